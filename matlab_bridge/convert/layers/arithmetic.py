"""Layers of fixed arithmetic: scaling, and the products of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import LayerRule, Shapes, Site, Tensor, register_layer

from ._settings import numbers

# Each layer class that is written in MATLAB has them.
_OF_ANY_LAYER = frozenset({"NumInputs", "NumOutputs"})


@register_layer("rl.layer.ScalingLayer", "nnet.cnn.layer.ScalingLayer")
@final
class Scaling(LayerRule):
    """`scalingLayer`: `Scale` times the input plus `Bias`, numbers or one for each channel.

    Source: https://www.mathworks.com/help/reinforcement-learning/ref/rl.layer.scalinglayer.html
    """

    keras_classes = ("Rescaling",)

    def build(self, site: Site) -> Tensor:
        channels = site.input.shape[-1]
        factors = [numbers(site.layer, "Scale", (1.0,)), numbers(site.layer, "Bias", (0.0,))]
        if any(len(values) not in (1, channels) for values in factors):
            sizes = " and ".join(str(len(values)) for values in factors)
            raise UnsupportedLayerError(f"its Scale and Bias have {sizes} elements, and its input {channels} channels")
        scale, bias = (values[0] if len(values) == 1 else list(values) for values in factors)
        return keras.layers.Rescaling(scale, bias, name=site.name)(site.input)

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        """The numbers of the channels, which are settings here, along the dimension in which the layer has them."""
        constants = {"Scale": built.scale, "Bias": built.offset}
        return {
            name: np.reshape(values, [-1 if size > 1 else 1 for size in layer.settings[name].shape])
            for name, values in constants.items()
            if np.size(layer.settings.get(name, ())) > 1
        }

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """One number, or one for each channel in MATLAB's dimensions."""
        return {"Scale": _of_channels(layer.scale, shapes[0]), "Bias": _of_channels(layer.offset, shapes[0])}


def _of_channels(values: Any, shape: tuple[int | None, ...]) -> Array:
    """Constants of a Keras graph as MATLAB's arrays: 1x1, 1x1xC for images, Cx1 for vectors and sequences."""
    array, channels = np.asarray(values, dtype=float), shape[-1]
    if array.size == 1:
        return array.reshape(1, 1)
    if array.size != channels or array.shape[-1] != channels:
        raise UnsupportedLayerError(
            f"its scale or offset has the shape {array.shape}, and MATLAB's scalingLayer takes one number, or one for "
            f"each of the {channels} channels. Put other constants into the weights of a layer"
        )
    space = 0 if len(shape) < 4 else len(shape) - 2 - (shape[1] is None)
    return array.reshape((*(1,) * space, -1) if space else (-1, 1))


@register_layer("nnet.inceptionresnetv2.layer.ScalingFactorLayer")
@final
class ScalingFactor(LayerRule):
    """The scaling of a residual in MATLAB's pretrained Inception-ResNet-v2: a factor times the input.

    The name of the factor is not documented: it is the only number among the properties that are the layer's own.

    Source: https://www.mathworks.com/help/deeplearning/ref/inceptionresnetv2.html
    """

    def objection(self, layer: Layer) -> str | None:
        """No number, or several."""
        if len(found := _own_numbers(layer)) == 1:
            return None
        names = ", ".join(found) or "none"
        return f"one number among its properties was expected, the factor, and there are {len(found)}: {names}"

    def build(self, site: Site) -> Tensor:
        (factor,) = _own_numbers(site.layer).values()
        return keras.layers.Rescaling(factor, name=site.name)(site.input)


def _own_numbers(layer: Layer) -> dict[str, float]:
    """The settings that are one number each, without those that any layer has."""
    return {
        name: float(value.item())
        for name, value in layer.settings.items()
        if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "fiu" and name not in _OF_ANY_LAYER
    }


@register_layer("rl.layer.QuadraticLayer", "nnet.cnn.layer.QuadraticLayer")
@final
class Quadratic(LayerRule):
    """`quadraticLayer`: all products of two features, `[u1 u1, u1 u2, u2 u2, u1 u3, u2 u3, u3 u3, ...]`.

    Source: https://www.mathworks.com/help/reinforcement-learning/ref/rl.layer.quadraticlayer.html
    """

    def build(self, site: Site) -> Tensor:
        """The features by the numbers of the first factors, times those by the numbers of the second."""
        tensor = site.as_vector(site.input)
        pairs = [(first, second) for second in range(tensor.shape[-1]) for first in range(second + 1)]
        first, second = np.array(pairs, dtype="int32").T
        factors = [keras.ops.take(tensor, which, axis=-1) for which in (first, second)]
        return keras.layers.Multiply(name=site.name)(factors)
