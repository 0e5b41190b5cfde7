"""Layers of fixed arithmetic: scaling, and the products of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import LayerRule, Shapes, register_layer
from matlab_bridge.convert._site import Site, Tensor, spatial_size

from ._settings import expanded, no_single_number, number, single_numbers


@register_layer("rl.layer.ScalingLayer", "nnet.cnn.layer.ScalingLayer", "nnet.onnx.layer.ElementwiseAffineLayer")
@final
class Scaling(LayerRule):
    """`scalingLayer`: `Scale` times the input plus an offset, numbers, one for each channel, or arrays like the input.

    The offset is `Bias` before R2025a. Networks that earlier releases imported from ONNX have a layer of their own for
    it, which may do one of the two only (`DoScale`, `DoOffset`).

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.scalinglayer.html
    """

    keras_classes = ("Rescaling",)

    def build(self, site: Site) -> Tensor:
        channels, spatial = site.input.shape[-1], spatial_size(site.input)
        scale = expanded(site.layer, "Scale", 1, spatial) if _does(site.layer, "DoScale") else np.ones(())
        offset = expanded(site.layer, offset_of(site.layer), 0, spatial)
        if not _does(site.layer, "DoOffset"):
            offset = np.zeros(())
        if any(values.ndim and values.shape[-1] not in (1, channels) for values in (scale, offset)):
            sizes = " and ".join(str(values.size) for values in (scale, offset))
            raise UnsupportedLayerError(
                f"its Scale and {offset_of(site.layer)} have {sizes} elements, and its input {channels} channels"
            )
        return keras.layers.Rescaling(scale.tolist(), offset.tolist(), name=site.name)(site.input)

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        """The numbers of the channels, which are settings here, along the dimension in which the layer has them."""
        constants = {"Scale": built.scale, offset_of(layer): built.offset}
        return {
            name: np.reshape(values, [-1 if size > 1 else 1 for size in layer.settings[name].shape])
            for name, values in constants.items()
            if name in layer.settings and np.size(values) not in (1, np.size(layer.settings[name]))
        }

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """One number, or one for each channel in MATLAB's dimensions."""
        return {"Scale": _of_channels(layer.scale, shapes[0]), "Bias": _of_channels(layer.offset, shapes[0])}


def offset_of(layer: Layer) -> str:
    """What the offset of a scaling layer is called: its name was `Bias` before R2025a."""
    return "Offset" if "Offset" in (*layer.settings, *layer.learnables) else "Bias"


def _does(layer: Layer, name: str) -> bool:
    return bool(number(layer, name, 1))


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
        return no_single_number(layer, "the factor")

    def build(self, site: Site) -> Tensor:
        (factor,) = single_numbers(site.layer).values()
        return keras.layers.Rescaling(factor, name=site.name)(site.input)


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
