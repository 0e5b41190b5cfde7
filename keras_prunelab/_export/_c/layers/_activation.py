"""Activations."""

from __future__ import annotations

from typing import Any

import keras

from keras_prunelab._channels._graph import Call
from keras_prunelab._export._c._activations import activation_of, is_linear
from keras_prunelab._export._c._reader import Reader, UnsupportedError, reads
from keras_prunelab._export._c._value import Value
from keras_prunelab._export._c.operations._elementwise import Elementwise, Softmax

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


@reads(L.Softmax)
def softmax(reader: Reader, call: Call, layer: Any) -> Value:
    """Over the last axis."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if layer.axis not in (-1, len(source.shape)):
        raise UnsupportedError(f"softmax over axis {layer.axis}; over the last one it works")
    return reader.add(Softmax, call, (source,), source.shape)
