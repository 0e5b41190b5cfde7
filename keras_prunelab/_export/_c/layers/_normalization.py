"""Normalization with statistics that do not change, and scaling of inputs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._graph import Call
from keras_prunelab._export._c._operation import Array
from keras_prunelab._export._c._reader import FREE_LENGTH, Reader, UnsupportedError, numbers_of, reads
from keras_prunelab._export._c._value import Value
from keras_prunelab._export._c.operations._convolution import Scaling
from keras_prunelab._export._c.operations._normalize import Normalize
from keras_prunelab._export._c.operations._window import Window

L = keras.layers


@reads(L.BatchNormalization)
def batch_normalization(reader: Reader, call: Call, layer: Any) -> Value:
    """A factor and an offset for each channel, which the layer before takes up where it can."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if layer.axis % (len(source.shape) + 1) != len(source.shape):
        raise UnsupportedError(f"normalization over axis {layer.axis}; over the last one it works")
    numbers = [each.astype(np.float64) for each in numbers_of(layer)]
    variance, mean = numbers.pop(), numbers.pop()
    gain = numbers.pop(0) if layer.scale else np.ones_like(mean)
    offset = numbers.pop(0) if layer.center else np.zeros_like(mean)
    factor = gain / np.sqrt(variance + layer.epsilon)
    return scaling(reader, call, source, factor, offset - mean * factor)


@reads(L.Normalization)
def normalization(reader: Reader, call: Call, layer: Any) -> Value:
    """With a mean and a variance of data."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in (layer.mean, layer.variance))
    spread = np.maximum(np.sqrt(variance), keras.config.epsilon())
    factor = spread if layer.invert else 1 / spread
    offset = mean if layer.invert else -mean / spread
    return scaling(reader, call, source, factor, offset)


@reads(L.LayerNormalization, L.GroupNormalization)
def of_observation(reader: Reader, call: Call, layer: Any) -> Value:
    """With the mean and the variance of each place, of the whole observation, or of groups of channels."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    rank, axes = len(source.shape), layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    found = sorted(axis % (rank + 1) for axis in axes)
    is_last = found == [rank]
    if not is_last and (isinstance(layer, L.GroupNormalization) or found != list(range(1, rank + 1))):
        raise UnsupportedError(f"normalization over axis {layer.axis}; over the last one it works")
    is_grouped = isinstance(layer, L.GroupNormalization)
    if None in source.shape and (is_grouped or not is_last):
        raise UnsupportedError(FREE_LENGTH)
    channels = source.channels if is_last else source.size
    numbers = [each.reshape(-1) for each in numbers_of(layer)]
    factors = numbers.pop(0) if layer.scale else np.ones(channels, np.float32)
    offsets = numbers.pop(0) if layer.center else np.zeros(channels, np.float32)
    fields = {"factors": factors, "offsets": offsets, "epsilon": float(layer.epsilon)}
    together = (source.positions, layer.groups) if is_grouped else (1, 1)
    return reader.add(Normalize, call, (source,), source.shape, positions=together[0], groups=together[1], **fields)


@reads(L.Rescaling)
def rescaling(reader: Reader, call: Call, layer: Any) -> Value:
    """By numbers of the user's."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    return scaling(reader, call, source, np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64))


def scaling(reader: Reader, call: Call, source: Value, factor: Array, offset: Array) -> Value:
    """Add a factor and an offset for each channel, or for each value.

    Raises:
        UnsupportedError: they are neither.
    """
    factor, offset = np.broadcast_arrays(factor, offset)
    sizes = {source.channels, source.size} if None not in source.shape else {source.channels}
    if factor.size == 1:
        factor, offset = (np.full(source.channels, each.reshape(-1)[0]) for each in (factor, offset))
    lengths = factor.shape[1:] if factor.ndim > len(source.shape) else factor.shape
    is_by_channel = factor.size == source.channels and (lengths or (1,))[-1] == source.channels
    if factor.size not in sizes or not (is_by_channel or factor.size == source.size):
        raise UnsupportedError(f"factors of shape {factor.shape} for inputs of shape {source.shape}")
    count = None if None in source.shape else source.size // factor.size
    window = Window((1, count), factor.size, (1, 1), (1, 1), (1, 1), (0, 0), (1, count))
    weights = factor.reshape(-1, 1).astype(np.float32)
    bias = offset.reshape(-1).astype(np.float32)
    return reader.add(Scaling, call, (source,), source.shape, weights=weights, bias=bias, window=window)
