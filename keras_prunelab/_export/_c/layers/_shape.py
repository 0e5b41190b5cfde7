"""Layers that pass values on as they are, in another shape, or with borders."""

from __future__ import annotations

from typing import Any

import keras

from keras_prunelab._channels._graph import Call
from keras_prunelab._export._c._reader import FREE_LENGTH, Reader, UnsupportedError, reads
from keras_prunelab._export._c._value import Value
from keras_prunelab._export._c.operations._shape import Pad, Permute, Repeat, View
from keras_prunelab._export._c.operations._window import Window

L = keras.layers


@reads(
    L.Dropout,
    L.SpatialDropout1D,
    L.SpatialDropout2D,
    L.GaussianDropout,
    L.GaussianNoise,
    L.AlphaDropout,
    L.ActivityRegularization,
    L.Identity,
)
def nothing(reader: Reader, call: Call, layer: Any) -> Value:
    """What acts in training alone."""
    del layer
    return reader.value(call.inputs[0])


@reads(L.Flatten, L.Reshape)
def reshape(reader: Reader, call: Call, layer: Any) -> Value:
    """The same values in another shape."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if getattr(layer, "data_format", "channels_last") != "channels_last" and len(source.shape) > 1:
        raise UnsupportedError("its channels come first: build the model with data_format='channels_last'")
    return reader.add(View, call, (source,), call.outputs[0].shape[1:])


@reads(L.Permute)
def permute(reader: Reader, call: Call, layer: Any) -> Value:
    """Axes in another order, which a dense layer behind a flatten takes up."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if None in source.shape or len(source.shape) > 3:
        raise UnsupportedError(f"inputs of shape {source.shape}; up to three axes of fixed lengths work")
    axes = tuple(axis - 1 for axis in layer.dims)
    return reader.add(Permute, call, (source,), call.outputs[0].shape[1:], axes=axes)


@reads(L.ZeroPadding1D, L.ZeroPadding2D)
def zero_padding(reader: Reader, call: Call, layer: Any) -> Value:
    """Borders of zeros, which a convolution behind takes up."""
    return _borders(reader, call, layer.padding, 1)


@reads(L.Cropping1D, L.Cropping2D)
def cropping(reader: Reader, call: Call, layer: Any) -> Value:
    """Borders that are cut off."""
    return _borders(reader, call, layer.cropping, -1)


def _borders(reader: Reader, call: Call, widths: Any, sign: int) -> Value:
    source, (rows, columns, channels) = _image(reader, call)
    borders = [(0, 0), tuple(widths)] if len(source.shape) == 2 else widths
    (above, below), (left, right) = [(sign * one, sign * other) for one, other in borders]
    output = (rows + above + below, columns + left + right)
    window = Window((rows, columns), channels, (1, 1), (1, 1), (1, 1), (above, left), output)
    return reader.add(Pad, call, (source,), call.outputs[0].shape[1:], window=window)


@reads(L.UpSampling1D, L.UpSampling2D)
def up_sampling(reader: Reader, call: Call, layer: Any) -> Value:
    """Each place several times."""
    if getattr(layer, "interpolation", "nearest") != "nearest":
        raise UnsupportedError(f"interpolation={layer.interpolation!r}; 'nearest' works")
    source, image = _image(reader, call)
    times = (1, layer.size) if isinstance(layer, L.UpSampling1D) else tuple(layer.size)
    return reader.add(Repeat, call, (source,), call.outputs[0].shape[1:], image=image, times=times)


@reads(L.RepeatVector)
def repeat_vector(reader: Reader, call: Call, layer: Any) -> Value:
    """The same values at each step."""
    source, image = _image(reader, call)
    return reader.add(Repeat, call, (source,), (layer.n, source.channels), image=image, times=(1, layer.n))


def _image(reader: Reader, call: Call) -> tuple[Value, tuple[int, int, int]]:
    """What a layer is given, and the rows, columns and channels of it; a sequence is an image of one row.

    Raises:
        UnsupportedError: channels come first, or a length is free.
    """
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if getattr(call.layer, "data_format", "channels_last") != "channels_last":
        raise UnsupportedError("its channels come first: build the model with data_format='channels_last'")
    if None in source.shape:
        raise UnsupportedError(FREE_LENGTH)
    lengths = [length or 0 for length in source.shape]
    rows, columns, channels = (1,) * (3 - len(lengths)) + tuple(lengths)
    return source, (rows, columns, channels)


@reads(L.TimeDistributed)
def time_distributed(reader: Reader, call: Call, layer: Any) -> Value:
    """A layer that treats the last axis, at each step."""
    inner = layer.layer
    if not isinstance(inner, (L.Dense, L.Activation, L.ReLU, L.LeakyReLU, L.ELU, L.Dropout)):
        raise UnsupportedError(f"{type(inner).__name__} at each step")
    return reader.read_as(call, inner)
