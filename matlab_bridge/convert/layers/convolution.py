"""Convolution over 1, 2 and 3 dimensions: plain, grouped, and transposed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer, column_major_reshape
from matlab_bridge.convert._rules import LayerRule, Parameter, RankedRule, Shapes, register_layer, register_ranks
from matlab_bridge.convert._site import Site, Tensor

from ._settings import integer, number, numbers, sizes, text
from ._window import (
    Margins,
    Window,
    crop_output,
    manual_margins,
    open_length,
    pad,
    padding_of,
    same_cropping,
    same_padding,
    shared_settings,
    sizes_of,
)

_CONVOLUTIONS = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D, 3: keras.layers.Conv3D}
_TRANSPOSED = {1: keras.layers.Conv1DTranspose, 2: keras.layers.Conv2DTranspose, 3: keras.layers.Conv3DTranspose}
_STRIDES = {1: keras.layers.MaxPooling1D, 2: keras.layers.MaxPooling2D, 3: keras.layers.MaxPooling3D}


def _weights_and_bias(rank: int) -> tuple[Parameter, ...]:
    """Weights are FH x FW x C x K, or FH x FW x K x C in a transposed convolution: Keras' own orders."""
    return (
        Parameter("Weights", "kernel"),
        Parameter("Bias", "bias", to_matlab=lambda bias: bias.reshape((1,) * rank + (-1,))),
    )


def _padding_value(layer: Layer) -> float | str:
    return text(layer, "PaddingValue") or number(layer, "PaddingValue", 0)


def _convolve(site: Site, rank: int, filters: int, groups: int) -> Tensor:
    """A convolution with MATLAB's padding, by Keras' own `"same"` or `"causal"` where they are the same."""
    layer, images = site.layer, site.as_image(site.input, rank)
    stride, dilation = sizes(layer, "Stride", rank, 1), sizes(layer, "DilationFactor", rank, 1)
    window = Window(sizes(layer, "FilterSize", rank), stride, dilation)
    margins, value = padding_of(layer, sizes_of(images), window), _padding_value(layer)
    # Keras refuses a stride together with a dilation: every pixel is computed, then every stride-th is taken.
    subsampled = max(stride) > 1 and max(dilation) > 1
    padding = "valid" if subsampled or value != 0 else _keras_padding(layer, images, window, margins)
    if padding == "valid":
        if margins is None:
            raise open_length("it has a dilation or a padding value" if subsampled or value != 0 else "of its stride")
        images = pad(site, images, margins, value)
    outputs = _CONVOLUTIONS[rank](
        filters,
        window.size,
        strides=1 if subsampled else stride,
        padding=padding,
        dilation_rate=dilation,
        groups=groups,
        name=site.name,
    )(images)
    return _STRIDES[rank](1, stride, name=site.helper("stride"))(outputs) if subsampled else outputs


def _keras_padding(layer: Layer, images: Tensor, window: Window, margins: Margins | None) -> str:
    """The name of Keras' own padding that does what the margins do; `"valid"` where there is none."""
    if margins is None:
        return "same"
    if text(layer, "PaddingMode") == "causal" and not margins.are_empty:
        return "causal"
    is_same = margins == same_padding(sizes_of(images), window)
    return "same" if is_same and not margins.are_empty else "valid"


def _channels(layer: keras.layers.Layer, axis: int, groups: int = 1) -> Array:
    return np.full((1, groups), layer.kernel.shape[axis], dtype=float)


def _window_settings(layer: keras.layers.Layer, rank: int) -> dict[str, Any]:
    """The settings that MATLAB's plain and grouped convolutions share, of a Keras one."""
    window = {"FilterSize": layer.kernel_size, "Stride": layer.strides, "DilationFactor": layer.dilation_rate}
    return {**shared_settings(rank, window, layer.padding), "PaddingValue": np.zeros((1, 1))}


@register_ranks("nnet.cnn.layer.Convolution{rank}DLayer", 1, 2, 3)
@final
class Convolution(RankedRule):
    """A plain convolution; networks of R2016 write two groups as `NumFilters` of two numbers."""

    per_frame = True
    keras_family = "Conv{rank}D"

    def build(self, site: Site) -> Tensor:
        """One Keras convolution, padded first where Keras cannot."""
        filters = numbers(site.layer, "NumFilters")
        return _convolve(site, self.rank, int(sum(filters)), groups=len(filters))

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`Weights` in Keras' own order, and `Bias`."""
        return _weights_and_bias(self.rank)

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        """Channels and filters, of each group where there are two."""
        groups = len(numbers(layer, "NumFilters"))
        filters = np.full((1, groups), built.filters // groups, dtype=float)
        return {"NumChannels": _channels(built, -2, groups), "NumFilters": filters}

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """The same convolution in MATLAB's words."""
        if layer.groups != 1:
            return None
        return {
            **_window_settings(layer, self.rank),
            "NumChannels": _channels(layer, -2),
            "NumFilters": np.array([[layer.filters]], dtype=float),
        }


@register_layer("nnet.cnn.layer.GroupedConvolution2DLayer")
@final
class GroupedConvolution2D(LayerRule):
    """`groupedConvolution2dLayer`: weights FH x FW x C/g x K/g x g, or FH x FW x 1 x K channel by channel."""

    per_frame = True
    keras_classes = ("Conv2D",)

    def build(self, site: Site) -> Tensor:
        """One Keras convolution with groups."""
        layer = site.layer
        channel_wise = text(layer, "NumGroups") == "channel-wise"
        groups = int(site.input.shape[-1]) if channel_wise else integer(layer, "NumGroups")
        return _convolve(site, 2, groups * integer(layer, "NumFiltersPerGroup"), groups)

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

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        """Groups, unless each channel is one, and the channels and filters of each."""
        sizes = _group_sizes(built)
        return {**sizes, "NumGroups": "channel-wise"} if text(layer, "NumGroups") else sizes

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """The same convolution in MATLAB's words."""
        return None if layer.groups == 1 else {**_window_settings(layer, 2), **_group_sizes(layer)}


def _group_sizes(layer: keras.layers.Layer) -> dict[str, Any]:
    return {
        "NumGroups": np.array([[layer.groups]], dtype=float),
        "NumChannelsPerGroup": _channels(layer, -2),
        "NumFiltersPerGroup": np.array([[layer.filters // layer.groups]], dtype=float),
    }


@register_ranks("nnet.cnn.layer.TransposedConvolution{rank}DLayer", 1, 2, 3)
@final
class TransposedConvolution(RankedRule):
    """A transposed convolution: weights FH x FW x K x C, Keras' own order."""

    per_frame = True
    keras_family = "Conv{rank}DTranspose"

    def objection(self, layer: Layer) -> str | None:
        """An output size of its own is beyond what the documentation defines."""
        if any(numbers(layer, "OutputSizeOffset", (0.0,))):
            return f"its OutputSizeOffset is {numbers(layer, 'OutputSizeOffset')}, and only zeros are documented"
        return None

    def build(self, site: Site) -> Tensor:
        """A transposed convolution, then the cropping where Keras' own `"same"` is another."""
        layer, images = site.layer, site.as_image(site.input, self.rank)
        window = Window(sizes(layer, "FilterSize", self.rank), sizes(layer, "Stride", self.rank, 1))
        same = same_cropping(window)
        is_same_mode = text(layer, "CroppingMode", "manual") == "same"
        crop = same if is_same_mode else manual_margins(layer, self.rank, "CroppingSize", "Cropping")
        is_same = crop == same and same.least >= 0
        outputs = _TRANSPOSED[self.rank](
            integer(layer, "NumFilters"),
            window.size,
            strides=window.stride,
            padding="same" if is_same and not crop.are_empty else "valid",
            name=site.name,
        )(images)
        if is_same or (crop.are_empty and same.least >= 0):
            return outputs
        # Keras' output is never shorter than image * stride: where a filter is shorter than the stride, Keras
        # adds rows of bias at the end that are beyond stride * (image - 1) + filter.
        excess = tuple((0, max(step - size, 0)) for size, step in zip(window.size, window.stride, strict=True))
        cut = crop.plus(Margins(excess))
        if cut.least < 0:
            raise UnsupportedLayerError(
                f"its filter {window.size} is smaller than its stride {window.stride}, and cropping 'same' "
                f"would have to add pixels; set the cropping by hand"
            )
        return crop_output(site, outputs, cut)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`Weights` in Keras' own order, and `Bias`."""
        return _weights_and_bias(self.rank)

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        return {"NumChannels": _channels(built, -1), "NumFilters": _channels(built, -2)}

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same convolution in MATLAB's words."""
        dilation = np.ravel(layer.dilation_rate)
        if layer.output_padding is not None or np.any(dilation != 1):
            raise UnsupportedLayerError("MATLAB's transposed convolution has no output padding and no dilation")
        if any(size < step for size, step in zip(layer.kernel_size, layer.strides, strict=True)):
            raise UnsupportedLayerError("its filter is smaller than its stride, and Keras pads the output then")
        return {
            "FilterSize": np.array([layer.kernel_size], dtype=float),
            "NumChannels": _channels(layer, -1),
            "NumFilters": np.array([[layer.filters]], dtype=float),
            "Stride": np.array([layer.strides], dtype=float),
            "CroppingMode": "same" if layer.padding == "same" else "manual",
            "CroppingSize": Margins.none(self.rank).for_matlab,
        }
