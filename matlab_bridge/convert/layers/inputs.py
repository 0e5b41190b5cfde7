"""Input layers, and the normalization that belongs to them."""

from __future__ import annotations

import math
from typing import final

import keras
import numpy as np

from matlab_bridge._layer import Array, Layer
from matlab_bridge._normalization import Normalization
from matlab_bridge.convert._rules import LayerRule, register_layer
from matlab_bridge.convert._site import Site, Tensor, is_sequence, spatial_size

from ._settings import flag, integer, numbers

_KINDS = ("none", "zerocenter", "zscore", "rescale")


def gain_and_offset(normalization: Normalization) -> tuple[Array, Array]:
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


def _normalize(site: Site, tensor: Tensor) -> Tensor:
    """The input after its normalization: plain Keras layers that any copy of the model keeps.

    `keras.layers.Normalization` is not among them: it takes its statistics when it is built or loaded, so
    that a model cloned and given the same weights would silently not normalize.
    """
    normalization = Normalization.of(site.layer)
    if normalization.type == "none" or not normalization.is_trained:
        return tensor
    gain, offset = gain_and_offset(normalization)
    name = site.helper("normalization")
    if all(array.size == array.shape[-1] for array in (gain, offset)):
        scales = (array.item() if array.size == 1 else array.ravel().tolist() for array in (gain, offset))
        return keras.layers.Rescaling(*scales, name=name)(tensor)
    return _normalize_by_element(site, tensor, gain, offset)


def _normalize_by_element(site: Site, images: Tensor, gain: Array, offset: Array) -> Tensor:
    """A gain and an offset for each element of an image, or of those of a sequence.

    They are too many for the text of a configuration. A batch normalization of the flattened image holds them as
    weights that are no learnables, so that nothing trains, prunes or counts them. It is frozen, and its statistics
    would not move even if it were not.
    """
    shape = (*spatial_size(images), images.shape[-1])
    norm = keras.layers.BatchNormalization(
        center=False, scale=False, epsilon=0, momentum=1, trainable=False, name=site.helper("normalization")
    )
    # A -1 stands for the length of a sequence.
    steps = (-1,) if is_sequence(images) else ()
    elements = norm(keras.layers.Reshape((*steps, math.prod(shape)), name=site.helper("elements"))(images))
    gain, offset = (np.broadcast_to(array, shape).ravel() for array in (gain, offset))
    norm.moving_mean.assign(-offset / gain)
    norm.moving_variance.assign(1 / gain**2)
    return keras.layers.Reshape((*steps, *shape), name=site.helper("image"))(elements)


def _objection(layer: Layer) -> str | None:
    if flag(layer, "SplitComplexInputs"):
        return "it splits complex inputs (SplitComplexInputs); split them beforehand"
    if (kind := Normalization.of(layer).type) not in _KINDS:
        return f"its Normalization is {kind!r}, which is none of {', '.join(map(repr, _KINDS))}"
    return None


@register_layer("nnet.cnn.layer.ImageInputLayer")
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
        return _normalize(site, keras.Input(shape, name=site.name))


@register_layer("nnet.cnn.layer.Image3DInputLayer")
@final
class Image3DInput(LayerRule):
    """`image3dInputLayer`: (N, H, W, D, C)."""

    is_input = True

    def objection(self, layer: Layer) -> str | None:
        """Complex inputs are not split, and functions of the user's are not run."""
        return _objection(layer)

    def build(self, site: Site) -> Tensor:
        """The input and its normalization."""
        return _normalize(site, keras.Input(_integers(site.layer, "InputSize"), name=site.name))


@register_layer("nnet.cnn.layer.FeatureInputLayer")
@final
class FeatureInput(LayerRule):
    """`featureInputLayer`: (N, D)."""

    is_input = True

    def objection(self, layer: Layer) -> str | None:
        """Complex inputs are not split, and functions of the user's are not run."""
        return _objection(layer)

    def build(self, site: Site) -> Tensor:
        """The input and its normalization."""
        return _normalize(site, keras.Input((integer(site.layer, "InputSize"),), name=site.name))


@register_layer("nnet.cnn.layer.SequenceInputLayer")
@final
class SequenceInput(LayerRule):
    """`sequenceInputLayer`: (N, T, D), or sequences of images (N, T, H, W, C), of any length T.

    Sequences shorter than `MinLength` are too short for the layers after it; Keras says so when they come.
    """

    is_input = True

    def objection(self, layer: Layer) -> str | None:
        """Complex inputs are not split, and functions of the user's are not run."""
        return _objection(layer)

    def build(self, site: Site) -> Tensor:
        """The input and its normalization."""
        return _normalize(site, keras.Input((None, *_integers(site.layer, "InputSize")), name=site.name))


def _integers(layer: Layer, name: str) -> tuple[int, ...]:
    return tuple(map(int, numbers(layer, name)))
