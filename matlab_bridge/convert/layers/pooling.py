"""Pooling over 1, 2 and 3 dimensions: the maximum or the mean of a window, of a region, or of the whole image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Layer
from matlab_bridge.convert._rules import LayerRule, RankedRule, Shapes, register_layer, register_ranks
from matlab_bridge.convert._site import Site, Tensor, is_sequence

from ._settings import flag, sizes, text
from ._window import Window, pad, padding_of, same_padding, shared_settings, sizes_of
from .unpooling import with_places

_MAXIMA = {1: keras.layers.MaxPooling1D, 2: keras.layers.MaxPooling2D, 3: keras.layers.MaxPooling3D}
_MEANS = {1: keras.layers.AveragePooling1D, 2: keras.layers.AveragePooling2D, 3: keras.layers.AveragePooling3D}
_GLOBAL_MEANS = {
    1: keras.layers.GlobalAveragePooling1D,
    2: keras.layers.GlobalAveragePooling2D,
    3: keras.layers.GlobalAveragePooling3D,
}
_GLOBAL_MAXIMA = {
    1: keras.layers.GlobalMaxPooling1D,
    2: keras.layers.GlobalMaxPooling2D,
    3: keras.layers.GlobalMaxPooling3D,
}


def _window(layer: Layer, rank: int) -> Window:
    return Window(sizes(layer, "PoolSize", rank), sizes(layer, "Stride", rank, 1))


def _settings(layer: keras.layers.Layer, rank: int) -> dict[str, Any]:
    """The settings that MATLAB's poolings share, of a Keras one."""
    size, stride = (np.atleast_1d(value).tolist() for value in (layer.pool_size, layer.strides))
    return shared_settings(rank, {"PoolSize": size, "Stride": stride}, layer.padding)


@register_ranks("nnet.cnn.layer.MaxPooling{rank}DLayer", 1, 2, 3)
@final
class MaxPooling(RankedRule):
    """The maximum of a window: padding never wins, as though it were -Inf."""

    per_frame = True
    keras_family = "MaxPooling{rank}D"

    def objection(self, layer: Layer) -> str | None:
        """Where windows overlap, two of them may find one maximum, and unpooling would have to choose."""
        if not flag(layer, "HasUnpoolingOutputs"):
            return None
        window = _window(layer, self.rank)
        if any(step < size for step, size in zip(window.stride, window.size, strict=True)):
            return (
                f"it gives the indices of the maxima (HasUnpoolingOutputs) of windows {window.size} that overlap at "
                f"stride {window.stride}, and what unpooling does with a maximum of two windows is not documented"
            )
        return None

    def build(self, site: Site) -> Tensor | Mapping[str, Tensor]:
        """One Keras pooling, padded with -Inf first where its own `"same"` is another."""
        images, window = site.as_image(site.input, self.rank), _window(site.layer, self.rank)
        margins = padding_of(site.layer, sizes_of(images), window)
        is_same = margins is None or (not margins.are_empty and margins == same_padding(sizes_of(images), window))
        around = pad(site, images, margins, -np.inf) if margins is not None and not is_same else images
        padding = "same" if is_same else "valid"
        pooled = _MAXIMA[self.rank](window.size, window.stride, padding, name=site.name)(around)
        if margins is None or not flag(site.layer, "HasUnpoolingOutputs"):
            return pooled
        return with_places(site, images, pooled, window, margins)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same pooling in MATLAB's words."""
        unpooling = {"HasUnpoolingOutputs": np.zeros((1, 1), dtype=bool)} if self.rank == 2 else {}
        return {**_settings(layer, self.rank), **unpooling}


@register_ranks("nnet.cnn.layer.AveragePooling{rank}DLayer", 1, 2, 3)
@final
class AveragePooling(RankedRule):
    """The mean of a window: padding counts as zeros, or not at all where `PaddingValue` is `"mean"`."""

    per_frame = True
    keras_family = "AveragePooling{rank}D"

    def build(self, site: Site) -> Tensor:
        """A mean over zero-padded images; what Keras' own `"same"` counts is not the same on every backend."""
        images, window = site.as_image(site.input, self.rank), _window(site.layer, self.rank)
        margins = padding_of(site.layer, sizes_of(images), window)
        leaves_out = text(site.layer, "PaddingValue") == "mean"
        if margins is None:
            means = _same_mean(images, window)
            return keras.ops.divide(means, _same_mean(keras.ops.ones_like(images), window)) if leaves_out else means
        pool = _MEANS[self.rank](window.size, window.stride, name=site.name)
        means = pool(pad(site, images, margins))
        if margins.are_empty or not leaves_out:
            return means
        # The mean of an image of ones is the share of each window that lies on the image.
        share = _MEANS[self.rank](window.size, window.stride, name=site.helper("share"))
        return keras.ops.divide(means, share(pad(site, keras.ops.ones_like(images), margins)))

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same pooling in MATLAB's words."""
        padding_value = "mean" if layer.padding == "same" else np.zeros((1, 1))
        return {**_settings(layer, self.rank), "PaddingValue": padding_value}


def _same_mean(sequences: Tensor, window: Window) -> Tensor:
    """A mean with padding `"same"` of zeros, over sequences whose length is open: a convolution of equal weights."""
    kernel = keras.ops.full((*window.size, sequences.shape[-1], 1), 1 / window.size[0])
    return keras.ops.depthwise_conv(sequences, kernel, window.stride[0], "same", data_format="channels_last")


@register_layer("nnet.cnn.layer.AdaptiveAveragePooling2DLayer")
@final
class AdaptiveAveragePooling2D(LayerRule):
    """`adaptiveAveragePooling2dLayer`: the means of `OutputSize` equal regions."""

    per_frame = True
    keras_classes = ("AdaptiveAveragePooling2D",)

    def build(self, site: Site) -> Tensor:
        """A pooling whose window is a region."""
        images = site.image
        wanted = sizes(site.layer, "OutputSize", 2)
        size = sizes_of(images)
        if any(length is None or length % count for length, count in zip(size, wanted, strict=True)):
            raise UnsupportedLayerError(
                f"its OutputSize {wanted} does not divide images of {size}, and how the regions overlap then is "
                f"not documented"
            )
        window = tuple(int(length or 0) // count for length, count in zip(size, wanted, strict=True))
        return keras.layers.AveragePooling2D(window, window, name=site.name)(images)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The size of the output."""
        wanted = np.ravel(layer.output_size)
        if any((length or 1) % count for length, count in zip(shapes[0][1:3], wanted, strict=True)):
            raise UnsupportedLayerError("its output size does not divide the image")
        return {"OutputSize": np.array([wanted], dtype=float)}


class _GlobalPooling(RankedRule):
    """The mean or the maximum of each channel: an image of one pixel, or of sequences a vector."""

    per_frame = True
    layers: ClassVar[Mapping[int, Any]]

    def build(self, site: Site) -> Tensor:
        """Keras' layer; the pixel of an image is kept."""
        images = site.as_image(site.input, self.rank)
        return self.layers[self.rank](keepdims=not is_sequence(images), name=site.name)(images)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        if self.rank == 1 and layer.keepdims:
            raise UnsupportedLayerError("it keeps the time (keepdims), which MATLAB's layer does away with")
        return {}


@register_ranks("nnet.onnx.layer.GlobalAveragePooling{rank}dLayer", 2)
@register_ranks("nnet.keras.layer.GlobalAveragePooling{rank}dLayer", 2)
@register_ranks("nnet.cnn.layer.GlobalAveragePooling{rank}DLayer", 1, 2, 3)
@final
class GlobalAveragePooling(_GlobalPooling):
    """`globalAveragePooling1dLayer`, and those of 2 and 3 dimensions."""

    layers = _GLOBAL_MEANS
    keras_family = "GlobalAveragePooling{rank}D"


@register_ranks("nnet.cnn.layer.GlobalMaxPooling{rank}DLayer", 1, 2, 3)
@final
class GlobalMaxPooling(_GlobalPooling):
    """`globalMaxPooling1dLayer`, and those of 2 and 3 dimensions."""

    layers = _GLOBAL_MAXIMA
    keras_family = "GlobalMaxPooling{rank}D"
