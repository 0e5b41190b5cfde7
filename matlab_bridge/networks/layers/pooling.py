"""Pooling: the maximum or the mean of a window, or of the whole image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge.networks._network import Layer
from matlab_bridge.networks._rules import LayerRule, Shapes, Site, Tensor, register_layer

from ._settings import flag, pair, text
from ._window import Window, image_size, padded, padding_of, same_padding


def _window(layer: Layer) -> Window:
    return Window(pair(layer, "PoolSize"), pair(layer, "Stride", 1))


def _settings(layer: keras.layers.Layer) -> dict[str, Any]:
    """The settings that MATLAB's poolings share, of a Keras one."""
    return {
        "PoolSize": np.array([layer.pool_size], dtype=float),
        "Stride": np.array([layer.strides], dtype=float),
        "PaddingMode": "same" if layer.padding == "same" else "manual",
        "PaddingSize": np.zeros((1, 4)),
    }


@register_layer("nnet.cnn.layer.MaxPooling2DLayer")
@final
class MaxPooling2D(LayerRule):
    """`maxPooling2dLayer`: padding never wins, as though it were -Inf."""

    keras_classes = ("MaxPooling2D",)

    def objection(self, layer: Layer) -> str | None:
        """Unpooling needs the indices of the maxima, which Keras' layer does not give."""
        if flag(layer, "HasUnpoolingOutputs"):
            return "it also gives the indices of the maxima (HasUnpoolingOutputs), which Keras' pooling does not"
        return None

    def build(self, site: Site) -> Tensor:
        """One Keras pooling, padded with -Inf first where its own `"same"` is another."""
        images, window = site.image, _window(site.layer)
        margins = padding_of(site.layer, image_size(images), window)
        is_same = not margins.are_empty and margins == same_padding(image_size(images), window)
        if not is_same:
            images = padded(site, images, margins, -np.inf)
        padding = "same" if is_same else "valid"
        return keras.layers.MaxPooling2D(window.size, window.stride, padding, name=site.name)(images)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same pooling in MATLAB's words."""
        return {**_settings(layer), "HasUnpoolingOutputs": np.zeros((1, 1), dtype=bool)}


@register_layer("nnet.cnn.layer.AveragePooling2DLayer")
@final
class AveragePooling2D(LayerRule):
    """`averagePooling2dLayer`: padding counts as zeros, or not at all where `PaddingValue` is `"mean"`."""

    keras_classes = ("AveragePooling2D",)

    def build(self, site: Site) -> Tensor:
        """A mean over zero-padded images; Keras' own `"same"` leaves the padding out, as `"mean"` does."""
        images, window = site.image, _window(site.layer)
        margins = padding_of(site.layer, image_size(images), window)
        leaves_out = text(site.layer, "PaddingValue") == "mean"
        is_same = leaves_out and not margins.are_empty and margins == same_padding(image_size(images), window)
        padding = "same" if is_same else "valid"
        pool = keras.layers.AveragePooling2D(window.size, window.stride, padding, name=site.name)
        if is_same or margins.are_empty:
            return pool(images)
        padding_layer = keras.layers.ZeroPadding2D(margins.pairs, name=site.helper("padding"))
        means = pool(padding_layer(images))
        if not leaves_out:
            return means
        # The mean of an image of ones is the share of each window that lies on the image.
        share = keras.layers.AveragePooling2D(window.size, window.stride, name=site.helper("share"))
        return keras.ops.divide(means, share(padding_layer(keras.ops.ones_like(images))))

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same pooling in MATLAB's words."""
        padding_value = "mean" if layer.padding == "same" else np.zeros((1, 1))
        return {**_settings(layer), "PaddingValue": padding_value}


@register_layer("nnet.cnn.layer.GlobalAveragePooling2DLayer")
@final
class GlobalAveragePooling2D(LayerRule):
    """`globalAveragePooling2dLayer`: the mean of each channel, an image of 1x1 pixels."""

    keras_classes = ("GlobalAveragePooling2D",)

    def build(self, site: Site) -> Tensor:
        """Keras' layer, its pixels kept."""
        return keras.layers.GlobalAveragePooling2D(keepdims=True, name=site.name)(site.image)


@register_layer("nnet.cnn.layer.GlobalMaxPooling2DLayer")
@final
class GlobalMaxPooling2D(LayerRule):
    """`globalMaxPooling2dLayer`: the maximum of each channel, an image of 1x1 pixels."""

    keras_classes = ("GlobalMaxPooling2D",)

    def build(self, site: Site) -> Tensor:
        """Keras' layer, its pixels kept."""
        return keras.layers.GlobalMaxPooling2D(keepdims=True, name=site.name)(site.image)
