"""Activations."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._graph import Call
from keras_prunelab._export._c._activations import activation_of, is_linear
from keras_prunelab._export._c._reader import FREE_LENGTH, Reader, UnsupportedError, numbers_of, reads
from keras_prunelab._export._c._value import Value
from keras_prunelab._export._c.operations._elementwise import Elementwise, PReLU, Softmax

L = keras.layers
_OPERATIONS = keras.src.ops.nn
_NAMES = {
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "HardTanh": "hard_tanh",
    "Relu": "relu",
    "Relu6": "relu6",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Softplus": "softplus",
    "Softsign": "softsign",
}
"""Operations without settings, and the activations that are the same."""


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


@reads(*(getattr(_OPERATIONS, name) for name in _NAMES), keras.src.ops.numpy.Tanh)
def operation(reader: Reader, call: Call, layer: Any) -> Value:
    """`keras.ops.relu(x)` and the like."""
    name = type(layer).__name__
    function = getattr(keras.activations, _NAMES.get(name, name.lower()))
    return reader.activated(call, reader.value(call.inputs[0]), function)


@reads(keras.src.activations.activations.ReLU, _OPERATIONS.Elu, _OPERATIONS.LeakyRelu)
def operation_with_settings(reader: Reader, call: Call, layer: Any) -> Value:
    """`keras.activations.relu(x, max_value=6)` and the like, as the layers that compute the same."""
    if isinstance(layer, _OPERATIONS.Elu):
        same = L.ELU(layer.alpha)
    elif isinstance(layer, _OPERATIONS.LeakyRelu):
        same = L.LeakyReLU(layer.negative_slope)
    else:
        same = L.ReLU(layer.max_value, layer.negative_slope, layer.threshold)
    source = reader.value(call.inputs[0])
    return reader.add(Elementwise, call, (source,), source.shape, activation=activation_of(same))


@reads(_OPERATIONS.Gelu)
def gelu_operation(reader: Reader, call: Call, layer: Any) -> Value:
    """`keras.ops.gelu(x, approximate=False)`."""
    if layer.approximate:
        raise UnsupportedError("it is approximate; with approximate=False it works")
    return reader.activated(call, reader.value(call.inputs[0]), keras.activations.gelu)


@reads(_OPERATIONS.Softmax)
def softmax_operation(reader: Reader, call: Call, layer: Any) -> Value:
    """`keras.ops.softmax(x)` over the last axis."""
    return softmax(reader, call, layer)


@reads(L.PReLU)
def prelu(reader: Reader, call: Call, layer: Any) -> Value:
    """A slope below zero for each channel, or for each value."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    (slope,) = numbers_of(layer)
    if slope.size != slope.shape[-1] and slope.shape != source.shape:
        if None in source.shape:
            raise UnsupportedError(FREE_LENGTH)
        slope = np.broadcast_to(slope, [length or 0 for length in source.shape])
    return reader.add(PReLU, call, (source,), source.shape, slope=np.ascontiguousarray(slope.reshape(-1)))


@reads(L.Softmax)
def softmax(reader: Reader, call: Call, layer: Any) -> Value:
    """Over the last axis."""
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if layer.axis not in (-1, len(source.shape)):
        raise UnsupportedError(f"softmax over axis {layer.axis}; over the last one it works")
    return reader.add(Softmax, call, (source,), source.shape)
