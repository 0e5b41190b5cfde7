"""Convolutions of sequences and images: whole, depthwise, separable, in groups."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._graph import Call
from keras_prunelab._export._c._operation import Array
from keras_prunelab._export._c._reader import FREE_LENGTH, Reader, UnsupportedError, numbers_of, reads
from keras_prunelab._export._c._value import Value
from keras_prunelab._export._c.operations._convolution import Convolution, Depthwise, Transposed
from keras_prunelab._export._c.operations._window import Window, padding_of

from ._dense import refuse_quantized

L = keras.layers


@reads(L.Conv1D, L.Conv2D)
def convolution(reader: Reader, call: Call, layer: Any) -> Value:
    """Each group of channels by itself; what other groups would multiply is zero."""
    refuse_quantized(layer)
    kernel, *bias = numbers_of(layer)
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    window = window_of(layer, source, layer.kernel_size, layer.strides, layer.dilation_rate)
    groups, (inputs, outputs) = layer.groups, kernel.shape[-2:]
    weights = np.zeros((outputs, *kernel.shape[:-2], inputs * groups), np.float32)
    for group in range(groups):
        own = slice(group * outputs // groups, (group + 1) * outputs // groups)
        weights[own, ..., group * inputs : (group + 1) * inputs] = np.moveaxis(kernel[..., own], -1, 0)
    found = reader.add(
        Convolution,
        call,
        (source,),
        _shape(source, window, outputs),
        weights=weights.reshape(outputs, -1),
        bias=_offset(bias, outputs),
        window=window,
        is_causal=_is_causal(layer),
    )
    return reader.activated(call, found, layer.activation)


@reads(L.Conv1DTranspose, L.Conv2DTranspose)
def transposed(reader: Reader, call: Call, layer: Any) -> Value:
    """Each place of the input spreads over a window of the output."""
    kernel, *bias = numbers_of(layer)
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if layer.data_format != "channels_last":
        raise UnsupportedError("its channels come first: build the model with data_format='channels_last'")
    shape = call.outputs[0].shape[1:]
    if None in source.shape or None in shape:
        raise UnsupportedError(FREE_LENGTH)
    *places, outputs, inputs = kernel.shape
    weights = np.moveaxis(kernel, -2, 0).reshape(outputs, -1)
    lengths = (source.shape[:-1], shape[:-1], places, layer.strides, layer.dilation_rate)
    image, output, size, strides, dilation = ((1, *each) if len(each) == 1 else tuple(each) for each in lengths)
    # What is cut off is what the convolution from the output to the input would pad.
    before = [
        max((length - 1) * stride + (one - 1) * apart + 1 - after, 0) // 2 if layer.padding == "same" else 0
        for length, stride, one, apart, after in zip(image, strides, size, dilation, output, strict=True)
    ]
    window = Window(image, inputs, size, strides, dilation, (before[0], before[1]), output)
    fields = {"weights": np.ascontiguousarray(weights), "bias": _offset(bias, outputs), "window": window}
    return reader.activated(call, reader.add(Transposed, call, (source,), shape, **fields), layer.activation)


@reads(L.DepthwiseConv1D, L.DepthwiseConv2D)
def depthwise(reader: Reader, call: Call, layer: Any) -> Value:
    """Each channel by itself."""
    kernel, *bias = numbers_of(layer)
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    found = _depthwise(reader, call, source, kernel, bias)
    return reader.activated(call, found, layer.activation)


@reads(L.SeparableConv1D, L.SeparableConv2D)
def separable(reader: Reader, call: Call, layer: Any) -> Value:
    """Each channel by itself, then all of them at each place."""
    kernel, points, *bias = numbers_of(layer)
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    middle = _depthwise(reader, call, source, kernel, [], name=f"{call.name}_depthwise")
    window = window_of(layer, middle, (1,) * layer.rank, (1,) * layer.rank, (1,) * layer.rank)
    outputs = points.shape[-1]
    weights = np.ascontiguousarray(points.reshape(-1, outputs).T)
    shape = _shape(middle, window, outputs)
    found = reader.add(
        Convolution, call, (middle,), shape, weights=weights, bias=_offset(bias, outputs), window=window, is_causal=True
    )
    return reader.activated(call, found, layer.activation)


def _depthwise(reader: Reader, call: Call, source: Value, kernel: Array, bias: list[Array], **names: Any) -> Value:
    layer = call.layer
    window = window_of(layer, source, layer.kernel_size, layer.strides, layer.dilation_rate)
    outputs = kernel.shape[-2] * kernel.shape[-1]
    shape = _shape(source, window, outputs)
    weights = np.ascontiguousarray(kernel.reshape(-1, outputs).T)
    fields = {"weights": weights, "bias": _offset(bias, outputs), "window": window, "is_causal": _is_causal(layer)}
    return reader.add(Depthwise, call, (source,), shape, **fields, **names)


def window_of(layer: Any, source: Value, size: Any, strides: Any, dilation: Any) -> Window:
    """The window of a layer on an image, or on a sequence, which is an image of one row.

    Raises:
        UnsupportedError: channels come first, or a length of an image is free.
    """
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise UnsupportedError("its channels come first: build the model with data_format='channels_last'")
    *image, channels = source.shape
    if len(image) == 1:
        image, size, strides, dilation = [1, *image], (1, *size), (1, *strides), (1, *dilation)
    elif None in image:
        raise UnsupportedError(FREE_LENGTH)
    axes = [
        padding_of("valid" if length == 1 == one else layer.padding, length, one, stride, apart)
        for length, one, stride, apart in zip(image, size, strides, dilation, strict=True)
    ]
    (above, rows), (left, columns) = axes
    return Window(
        image=(image[0], image[1]),
        channels=channels or 0,
        size=tuple(size),
        strides=tuple(strides),
        dilation=tuple(dilation),
        before=(above, left),
        output=(rows, columns),
    )


def _shape(source: Value, window: Window, outputs: int) -> tuple[int | None, ...]:
    return (*window.output, outputs) if len(source.shape) == 3 else (window.output[1], outputs)


def _is_causal(layer: Any) -> bool:
    """Whether a layer sees one step after the other: causal, or one step at a time."""
    is_point = layer.kernel_size == (1,)
    return bool(layer.strides == (1,) and (layer.padding == "causal" or is_point))


def _offset(bias: list[Array], outputs: int) -> Array:
    return bias[0] if bias else np.zeros(outputs, np.float32)
