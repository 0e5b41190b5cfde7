"""Pooling."""

from __future__ import annotations

from typing import Any

import keras

from keras_prunelab._channels._graph import Call
from keras_prunelab._export._c._reader import FREE_LENGTH, Reader, UnsupportedError, reads
from keras_prunelab._export._c._value import Value
from keras_prunelab._export._c.operations._pooling import Mean, Pooling
from keras_prunelab._export._c.operations._window import Window

from ._convolution import window_of

L = keras.layers


@reads(L.MaxPooling1D, L.MaxPooling2D, L.AveragePooling1D, L.AveragePooling2D)
def pooling(reader: Reader, call: Call, layer: Any) -> Value:
    """In windows."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if None in source.shape:
        raise UnsupportedError(FREE_LENGTH)
    window = window_of(layer, source, layer.pool_size, layer.strides, (1,) * len(layer.pool_size))
    shape = call.outputs[0].shape[1:]
    is_mean = isinstance(layer, (L.AveragePooling1D, L.AveragePooling2D))
    return reader.add(Pooling, call, (source,), shape, window=window, is_mean=is_mean)


@reads(L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.GlobalAveragePooling1D, L.GlobalAveragePooling2D)
def global_pooling(reader: Reader, call: Call, layer: Any) -> Value:
    """Over all positions."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if layer.data_format != "channels_last":
        raise UnsupportedError("its channels come first: build the model with data_format='channels_last'")
    if None in source.shape:
        raise UnsupportedError(FREE_LENGTH)
    shape = call.outputs[0].shape[1:]
    if isinstance(layer, (L.GlobalAveragePooling1D, L.GlobalAveragePooling2D)):
        return reader.add(Mean, call, (source,), shape)
    *image, channels = (length or 0 for length in source.shape)
    rows, columns = image if len(image) == 2 else (1, *image)
    size = (rows, columns)
    window = Window(size, channels, size, (1, 1), (1, 1), (0, 0), (1, 1))
    return reader.add(Pooling, call, (source,), shape, window=window, is_mean=False)
