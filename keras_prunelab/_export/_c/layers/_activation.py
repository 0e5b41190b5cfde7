"""Activations."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._graph import Call
from keras_prunelab._export._c._activations import activation_of, is_linear
from keras_prunelab._export._c._reader import Reader, UnsupportedError, numbers_of, reads
from keras_prunelab._export._c._value import Value
from keras_prunelab._export._c.operations._elementwise import Elementwise, PReLU, Softmax

L = keras.layers


@reads(L.Activation, L.ReLU, L.LeakyReLU, L.ELU)
def activation(reader: Reader, call: Call, layer: Any) -> Value:
    """A function of each value, or softmax."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    function = getattr(layer, "activation", layer)
    if is_linear(function):
        return source
    if function is keras.activations.softmax:
        return reader.add(Softmax, call, (source,), source.shape)
    found = activation_of(layer)
    if found is None:
        raise UnsupportedError(f"the activation {getattr(function, '__name__', function)!r}")
    return reader.add(Elementwise, call, (source,), source.shape, activation=found)


@reads(L.PReLU)
def prelu(reader: Reader, call: Call, layer: Any) -> Value:
    """A slope below zero for each channel, or for each value."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    (slope,) = numbers_of(layer)
    if slope.size != slope.shape[-1] and slope.shape != source.shape:
        if None in source.shape:
            raise UnsupportedError("the length of its inputs is free: build the model with keras.Input of a fixed size")
        slope = np.broadcast_to(slope, [length or 0 for length in source.shape])
    return reader.add(PReLU, call, (source,), source.shape, slope=np.ascontiguousarray(slope.reshape(-1)))


@reads(L.Softmax)
def softmax(reader: Reader, call: Call, layer: Any) -> Value:
    """Over the last axis."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if layer.axis not in (-1, len(source.shape)):
        raise UnsupportedError(f"softmax over axis {layer.axis}; over the last one it works")
    return reader.add(Softmax, call, (source,), source.shape)
