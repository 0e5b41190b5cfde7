"""Input layers, and the normalization that belongs to them."""

from __future__ import annotations

from typing import final

import keras
import numpy as np

from matlab_bridge.networks._network import Array, Layer
from matlab_bridge.networks._normalization import Normalization
from matlab_bridge.networks._rules import LayerRule, Site, Tensor, register

from ._settings import flag, integer, numbers

_KINDS = ("none", "zerocenter", "zscore", "rescale")


def _gain_and_offset(normalization: Normalization) -> tuple[Array, Array]:
    """Any normalization as `x * gain + offset`; arrays that broadcast against one observation.

    A statistic without spread (a standard deviation of 0, a maximum that is the minimum) only shifts: a
    division by zero would make every output NaN.
    """
    one = np.ones(1)
    if normalization.type == "rescale":
        low, high = _float(normalization.min), _float(normalization.max)
        gain = (normalization.target_max - normalization.target_min) / _without_zeros(high - low)
        return gain, normalization.target_min - low * gain
    mean = _float(normalization.mean)
    gain = one / _without_zeros(_float(normalization.std)) if normalization.type == "zscore" else one
    return gain, -mean * gain


def _float(statistic: Array | None) -> Array:
    return np.asarray(statistic, dtype=float)


def _without_zeros(spread: Array) -> Array:
    return np.where(spread == 0, 1, spread)


def _normalized(site: Site, tensor: Tensor) -> Tensor:
    """The input after its normalization: plain Keras layers that any copy of the model keeps.

    `keras.layers.Normalization` is not among them: it takes its statistics when it is built or loaded, so
    that a model cloned and given the same weights would silently not normalize.
    """
    normalization = Normalization.of(site.layer)
    if normalization.type == "none" or not normalization.is_trained:
        return tensor
    gain, offset = _gain_and_offset(normalization)
    name = site.helper("normalization")
    if all(array.size == array.shape[-1] for array in (gain, offset)):
        scales = (array.item() if array.size == 1 else array.ravel().tolist() for array in (gain, offset))
        return keras.layers.Rescaling(*scales, name=name)(tensor)
    # One gain and one offset for each element belong into weights, not into the text of the configuration.
    axes = "hwc"[-len(tensor.shape) + 1 :]
    layer = keras.layers.EinsumDense(
        f"b{axes},{axes}->b{axes}", tensor.shape[1:], bias_axes=axes, trainable=False, name=name
    )
    outputs = layer(tensor)
    layer.set_weights([np.broadcast_to(array, tensor.shape[1:]) for array in (gain, offset)])
    return outputs


def _objection(layer: Layer) -> str | None:
    if flag(layer, "SplitComplexInputs"):
        return "it splits complex inputs (SplitComplexInputs); split them beforehand"
    if (kind := Normalization.of(layer).type) not in _KINDS:
        return f"its Normalization is {kind!r}, which is none of {', '.join(map(repr, _KINDS))}"
    return None


@register("nnet.cnn.layer.ImageInputLayer")
@final
class ImageInput(LayerRule):
    """`imageInputLayer`: (N, H, W, C); augmentations of old releases act at training time only."""

    is_input = True

    def objection(self, layer: Layer) -> str | None:
        """Complex inputs are not split, and functions of the user's are not run."""
        return _objection(layer)

    def build(self, site: Site) -> Tensor:
        """The input and its normalization."""
        height, width, *channels = (int(size) for size in numbers(site.layer, "InputSize"))
        shape = (height, width, channels[0] if channels else 1)
        return _normalized(site, keras.Input(shape, name=site.name))


@register("nnet.cnn.layer.FeatureInputLayer")
@final
class FeatureInput(LayerRule):
    """`featureInputLayer`: (N, D)."""

    is_input = True

    def objection(self, layer: Layer) -> str | None:
        """Complex inputs are not split, and functions of the user's are not run."""
        return _objection(layer)

    def build(self, site: Site) -> Tensor:
        """The input and its normalization."""
        return _normalized(site, keras.Input((integer(site.layer, "InputSize"),), name=site.name))


@register("nnet.cnn.layer.SequenceInputLayer")
@final
class SequenceInput(LayerRule):
    """`sequenceInputLayer` of vectors: (N, T, D), of any length T."""

    is_input = True

    def objection(self, layer: Layer) -> str | None:
        """Sequences of images are a later step."""
        if len(numbers(layer, "InputSize")) > 1:
            return f"it takes sequences of images (InputSize {numbers(layer, 'InputSize')}), not of vectors"
        return _objection(layer)

    def build(self, site: Site) -> Tensor:
        """The input and its normalization."""
        return _normalized(site, keras.Input((None, integer(site.layer, "InputSize")), name=site.name))
