"""Convolution: plain, grouped, and transposed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge.networks._network import Array, Layer
from matlab_bridge.networks._rules import (
    LayerRule,
    Parameter,
    Shapes,
    Site,
    Tensor,
    column_major_reshape,
    register_layer,
)

from ._settings import integer, number, numbers, pair, text
from ._window import (
    Margins,
    Window,
    image_size,
    manual_margins,
    padded,
    padding_of,
    same_cropping,
    same_padding,
)


def _bias_to_matlab(bias: Array) -> Array:
    return bias.reshape(1, 1, -1)


# FH x FW x C x K, Keras' own order.
_WEIGHTS = Parameter("Weights", "kernel")
_BIAS = Parameter("Bias", "bias", to_matlab=_bias_to_matlab)


def _padding_value(layer: Layer) -> float | str:
    return text(layer, "PaddingValue") or number(layer, "PaddingValue", 0)


def _convolve(site: Site, filters: int, groups: int) -> Tensor:
    """A convolution with MATLAB's padding, by Keras' own `"same"` where the two agree."""
    layer, images = site.layer, site.image
    stride, dilation = pair(layer, "Stride", 1), pair(layer, "DilationFactor", 1)
    window = Window(pair(layer, "FilterSize"), stride, dilation)
    margins, value = padding_of(layer, image_size(images), window), _padding_value(layer)
    # Keras refuses a stride together with a dilation: every pixel is computed, then every stride-th is taken.
    subsampled = max(stride) > 1 and max(dilation) > 1
    is_same = not subsampled and value == 0 and margins == same_padding(image_size(images), window)
    if not is_same:
        images = padded(site, images, margins, value)
    outputs = keras.layers.Conv2D(
        filters,
        window.size,
        strides=1 if subsampled else stride,
        padding="same" if is_same and not margins.are_empty else "valid",
        dilation_rate=dilation,
        groups=groups,
        name=site.name,
    )(images)
    return keras.layers.MaxPooling2D(1, stride, name=site.helper("stride"))(outputs) if subsampled else outputs


def _window_settings(layer: keras.layers.Layer) -> dict[str, Any]:
    """The settings that MATLAB's plain and grouped convolutions share, of a Keras one."""
    return {
        "FilterSize": np.array([layer.kernel_size], dtype=float),
        "Stride": np.array([layer.strides], dtype=float),
        "DilationFactor": np.array([layer.dilation_rate], dtype=float),
        "PaddingMode": "same" if layer.padding == "same" else "manual",
        "PaddingSize": np.zeros((1, 4)),
        "PaddingValue": np.zeros((1, 1)),
    }


@register_layer("nnet.cnn.layer.Convolution2DLayer")
@final
class Convolution2D(LayerRule):
    """`convolution2dLayer`; networks of R2016 write two groups as `NumFilters` of two numbers."""

    keras_classes = ("Conv2D",)

    def build(self, site: Site) -> Tensor:
        """One Keras convolution, padded first where Keras cannot."""
        filters = numbers(site.layer, "NumFilters")
        return _convolve(site, int(sum(filters)), groups=len(filters))

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`Weights` in Keras' own order, and `Bias`."""
        return _WEIGHTS, _BIAS

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """The same convolution in MATLAB's words."""
        if layer.groups != 1:
            return None
        return {
            **_window_settings(layer),
            "NumChannels": np.array([[layer.kernel.shape[2]]], dtype=float),
            "NumFilters": np.array([[layer.filters]], dtype=float),
        }


@register_layer("nnet.cnn.layer.GroupedConvolution2DLayer")
@final
class GroupedConvolution2D(LayerRule):
    """`groupedConvolution2dLayer`: weights FH x FW x C/g x K/g x g, or FH x FW x 1 x K channel by channel."""

    keras_classes = ("Conv2D",)

    def build(self, site: Site) -> Tensor:
        """One Keras convolution with groups."""
        layer = site.layer
        channel_wise = text(layer, "NumGroups") == "channel-wise"
        groups = int(site.image.shape[-1]) if channel_wise else integer(layer, "NumGroups")
        return _convolve(site, groups * integer(layer, "NumFiltersPerGroup"), groups)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """Filters of a group follow each other in Keras, which is MATLAB's column-major order."""
        groups = None if text(layer, "NumGroups") else integer(layer, "NumGroups")

        def split(array: Array) -> Array:
            filters = array.shape[-1]
            count = groups or filters
            return column_major_reshape(array, (*array.shape[:-1], filters // count, count))

        return (
            Parameter("Weights", "kernel", to_matlab=split),
            Parameter("Bias", "bias", to_matlab=lambda bias: split(bias.reshape(1, 1, -1))),
        )

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """The same convolution in MATLAB's words."""
        if layer.groups == 1:
            return None
        return {
            **_window_settings(layer),
            "NumGroups": np.array([[layer.groups]], dtype=float),
            "NumChannelsPerGroup": np.array([[layer.kernel.shape[2]]], dtype=float),
            "NumFiltersPerGroup": np.array([[layer.filters // layer.groups]], dtype=float),
        }


@register_layer("nnet.cnn.layer.TransposedConvolution2DLayer")
@final
class TransposedConvolution2D(LayerRule):
    """`transposedConv2dLayer`: weights FH x FW x K x C, Keras' own order."""

    keras_classes = ("Conv2DTranspose",)

    def objection(self, layer: Layer) -> str | None:
        """An output size of its own is beyond what the documentation defines."""
        if any(numbers(layer, "OutputSizeOffset", (0.0,))):
            return f"its OutputSizeOffset is {numbers(layer, 'OutputSizeOffset')}, and only zeros are documented"
        return None

    def build(self, site: Site) -> Tensor:
        """A transposed convolution, then the cropping where Keras' own `"same"` is another."""
        layer, images = site.layer, site.image
        window = Window(pair(layer, "FilterSize"), pair(layer, "Stride", 1))
        same = same_cropping(window)
        is_same_mode = text(layer, "CroppingMode", "manual") == "same"
        crop = same if is_same_mode else manual_margins(layer, "CroppingSize", "Cropping")
        is_same = crop == same and min(same.top, same.left) >= 0
        outputs = keras.layers.Conv2DTranspose(
            integer(layer, "NumFilters"),
            window.size,
            strides=window.stride,
            padding="same" if is_same and not crop.are_empty else "valid",
            name=site.name,
        )(images)
        if is_same or (crop.are_empty and min(same.top, same.left) >= 0):
            return outputs
        # Keras' output is never shorter than image * stride: where a filter is shorter than the stride, Keras
        # adds rows of bias at the end that are beyond stride * (image - 1) + filter.
        excess = [max(step - size, 0) for size, step in zip(window.size, window.stride, strict=True)]
        cut = Margins(crop.top, crop.bottom + excess[0], crop.left, crop.right + excess[1])
        if min(cut.top, cut.bottom, cut.left, cut.right) < 0:
            raise UnsupportedLayerError(
                f"its filter {window.size} is smaller than its stride {window.stride}, and cropping 'same' "
                f"would have to add pixels; set the cropping by hand"
            )
        return keras.layers.Cropping2D(cut.pairs, name=site.helper("cropping"))(outputs)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`Weights` in Keras' own order, and `Bias`."""
        return _WEIGHTS, _BIAS

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same convolution in MATLAB's words."""
        if layer.output_padding is not None or tuple(layer.dilation_rate) != (1, 1):
            raise UnsupportedLayerError("MATLAB's transposed convolution has no output padding and no dilation")
        if any(size < step for size, step in zip(layer.kernel_size, layer.strides, strict=True)):
            raise UnsupportedLayerError("its filter is smaller than its stride, and Keras pads the output then")
        return {
            "FilterSize": np.array([layer.kernel_size], dtype=float),
            "NumChannels": np.array([[layer.kernel.shape[3]]], dtype=float),
            "NumFilters": np.array([[layer.filters]], dtype=float),
            "Stride": np.array([layer.strides], dtype=float),
            "CroppingMode": "same" if layer.padding == "same" else "manual",
            "CroppingSize": np.zeros((1, 4)),
        }
