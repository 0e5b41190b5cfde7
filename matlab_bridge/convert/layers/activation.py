"""Activations, and the layers that act at training time only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Layer
from matlab_bridge.convert._rules import LayerRule, Parameter, Shapes, register_layer
from matlab_bridge.convert._site import Site, Tensor

from ._settings import number


def _scalar(value: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([[value]], dtype=float)


def _does(layer: keras.layers.Layer, function: str) -> bool:
    """Whether a Keras `Activation` layer applies the function of that name."""
    return bool(keras.activations.serialize(layer.activation) == function)


@register_layer("nnet.cnn.layer.ReLULayer")
@final
class ReLU(LayerRule):
    """`reluLayer`."""

    keras_classes = ("ReLU", "Activation")

    def build(self, site: Site) -> Tensor:
        """Keras' layer of the same name."""
        return keras.layers.ReLU(name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """No settings: Keras' other forms of ReLU are other classes in MATLAB."""
        if isinstance(layer, keras.layers.Activation):
            return {} if _does(layer, "relu") else None
        is_plain = layer.max_value is None and layer.negative_slope == 0 and layer.threshold == 0
        return {} if is_plain else None


@register_layer("nnet.cnn.layer.LeakyReLULayer")
@final
class LeakyReLU(LayerRule):
    """`leakyReluLayer`: negative values times `Scale`."""

    keras_classes = ("LeakyReLU", "ReLU")

    def build(self, site: Site) -> Tensor:
        """Keras' layer of the same name."""
        scale = number(site.layer, "Scale", 0.01)
        return keras.layers.LeakyReLU(negative_slope=scale, name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """`Scale` is the negative slope."""
        if isinstance(layer, keras.layers.ReLU) and (layer.max_value is not None or layer.threshold != 0):
            return None
        return {"Scale": _scalar(float(layer.negative_slope))}


@register_layer("nnet.cnn.layer.PReLULayer")
@final
class PReLU(LayerRule):
    """`preluLayer`: negative values times `Alpha`, a learned number for each channel or for all.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.prelulayer.html
    """

    keras_classes = ("PReLU",)

    def build(self, site: Site) -> Tensor:
        """Keras' layer of the same name, whose slopes are shared by all axes but the channels."""
        rank = len(site.input.shape)
        is_one = site.layer.learnables.get("Alpha", np.empty(0)).size == 1
        return keras.layers.PReLU(shared_axes=[*range(1, rank if is_one else rank - 1)], name=site.name)(site.input)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`Alpha` of each channel."""
        return (Parameter("Alpha", "alpha", to_matlab=lambda alpha: alpha.reshape(-1, 1)),)

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        """The channels that have a slope."""
        is_one = layer.learnables.get("Alpha", np.empty(0)).size == 1
        return {} if is_one else {"NumChannels": _scalar(built.alpha.shape[-1])}

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The number of channels."""
        if layer.alpha.shape[-1] != np.prod(layer.alpha.shape):
            raise UnsupportedLayerError("it has a slope for each element, and MATLAB's has one for each channel")
        return {"NumChannels": _scalar(layer.alpha.shape[-1])}


@register_layer("nnet.cnn.layer.ClippedReLULayer")
@final
class ClippedReLU(LayerRule):
    """`clippedReluLayer`: not above `Ceiling`."""

    keras_classes = ("ReLU", "Activation")

    def build(self, site: Site) -> Tensor:
        """Keras' ReLU with a maximum."""
        return keras.layers.ReLU(max_value=number(site.layer, "Ceiling"), name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """`Ceiling` is the maximum."""
        if isinstance(layer, keras.layers.Activation):
            return {"Ceiling": _scalar(6)} if _does(layer, "relu6") else None
        if layer.max_value is None or layer.negative_slope != 0 or layer.threshold != 0:
            return None
        return {"Ceiling": _scalar(layer.max_value)}


@register_layer("nnet.onnx.layer.ClipLayer", "nnet.keras.layer.ClipLayer")
@final
class Clip(LayerRule):
    """The clip between `Min` and `Max` of networks that MATLAB imported; from 0 to 6 it is the ReLU6 of MobileNets.

    Source: https://onnx.ai/onnx/operators/onnx__Clip.html
    """

    def build(self, site: Site) -> Tensor:
        """Keras' ReLU with a maximum, or a clip."""
        low, high = number(site.layer, "Min"), number(site.layer, "Max")
        if low == 0 and np.isfinite(high):
            return keras.layers.ReLU(max_value=high, name=site.name)(site.input)
        return keras.ops.clip(site.input, low, high)


@register_layer("nnet.cnn.layer.ELULayer")
@final
class ELU(LayerRule):
    """`eluLayer`: negative values become `Alpha` * (exp(x) - 1)."""

    keras_classes = ("ELU", "Activation")

    def build(self, site: Site) -> Tensor:
        """Keras' layer of the same name."""
        return keras.layers.ELU(alpha=number(site.layer, "Alpha", 1), name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """`Alpha` is Keras' alpha."""
        if isinstance(layer, keras.layers.Activation):
            return {"Alpha": _scalar(1)} if _does(layer, "elu") else None
        return {"Alpha": _scalar(float(layer.alpha))}


@register_layer("nnet.cnn.layer.TanhLayer", "nnet.keras.layer.TanhLayer", "nnet.onnx.layer.TanhLayer")
@final
class Tanh(LayerRule):
    """`tanhLayer`."""

    keras_classes = ("Activation",)

    def build(self, site: Site) -> Tensor:
        """Keras' activation of the same name."""
        return keras.layers.Activation("tanh", name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        return {} if _does(layer, "tanh") else None


@register_layer("nnet.cnn.layer.SigmoidLayer", "nnet.keras.layer.SigmoidLayer", "nnet.onnx.layer.SigmoidLayer")
@final
class Sigmoid(LayerRule):
    """`sigmoidLayer`."""

    keras_classes = ("Activation",)

    def build(self, site: Site) -> Tensor:
        """Keras' activation of the same name."""
        return keras.layers.Activation("sigmoid", name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        return {} if _does(layer, "sigmoid") else None


@register_layer("nnet.cnn.layer.SoftmaxLayer")
@final
class Softmax(LayerRule):
    """`softmaxLayer`: over the channels."""

    keras_classes = ("Softmax", "Activation")

    def build(self, site: Site) -> Tensor:
        """Keras' layer; 1x1 pixels become a vector before it, so that it stays the last layer."""
        return keras.layers.Softmax(name=site.name)(site.as_vector(site.input))

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """No settings; Keras' other axes have no counterpart."""
        if isinstance(layer, keras.layers.Activation):
            return {} if _does(layer, "softmax") else None
        return {} if layer.axis in (-1, len(shapes[0]) - 1) else None


@register_layer("nnet.cnn.layer.DropoutLayer")
@final
class Dropout(LayerRule):
    """`dropoutLayer`: acts at training time only, and scales what it keeps, as Keras does."""

    keras_classes = ("Dropout",)

    def build(self, site: Site) -> Tensor:
        """Keras' layer of the same name."""
        return keras.layers.Dropout(number(site.layer, "Probability", 0.5), name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """`Probability` is the rate; a noise shape has no counterpart, and no effect after training."""
        return {"Probability": _scalar(layer.rate)}


@register_layer("nnet.cnn.layer.SpatialDropoutLayer")
@final
class SpatialDropout(LayerRule):
    """`spatialDropoutLayer`: drops whole channels, at training time only.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.spatialdropoutlayer.html
    """

    keras_classes = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")

    def build(self, site: Site) -> Tensor:
        """Keras' dropout of one decision for each channel; a vector has nothing else."""
        shape = (None, *(1,) * (len(site.input.shape) - 2), None)
        rate = number(site.layer, "Probability", 0.5)
        return keras.layers.Dropout(rate, noise_shape=shape, name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """`Probability` is the rate."""
        return {"Probability": _scalar(layer.rate)}


@register_layer("nnet.cnn.layer.IdentityLayer", "nnet.onnx.layer.IdentityLayer", "nnet.onnx.layer.VerifyBatchSizeLayer")
@final
class Identity(LayerRule):
    """`identityLayer`, and the check of a batch's size that networks imported from ONNX begin with."""

    keras_classes = ("Identity", "Activation")

    def build(self, site: Site) -> Tensor:
        """Keras' layer of the same name."""
        return keras.layers.Identity(name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        return {} if not isinstance(layer, keras.layers.Activation) or _does(layer, "linear") else None
