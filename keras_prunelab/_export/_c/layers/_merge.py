"""Layers and operations of several values."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._graph import Call, Tensor
from keras_prunelab._export._c._reader import Reader, UnsupportedError, reads
from keras_prunelab._export._c._value import Value
from keras_prunelab._export._c.operations._arithmetic import Arithmetic
from keras_prunelab._export._c.operations._shape import Concatenate

from ._normalization import scaling

L = keras.layers
_OPERATIONS = keras.src.ops.numpy


@reads(L.Add, L.Subtract, L.Multiply)
def arithmetic(reader: Reader, call: Call, layer: Any) -> Value:
    """One value after the other."""
    kernel = {L.Add: "add", L.Subtract: "subtract", L.Multiply: "multiply_values"}[type(layer)]
    first, *others = (reader.value(tensor) for tensor in call.inputs)
    for other in others:
        first = _combine(reader, call, kernel, first, other)
    return first


@reads(_OPERATIONS.Add, _OPERATIONS.Subtract, _OPERATIONS.Multiply)
def operation(reader: Reader, call: Call, layer: Any) -> Value:
    """`x + y` and the like, of values or with a constant behind."""
    kernel = {"Add": "add", "Subtract": "subtract", "Multiply": "multiply_values"}[type(layer).__name__]
    one, other = (*call.args, *call.kwargs.values())
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return _combine(reader, call, kernel, reader.value(one), reader.value(other))
    is_first = isinstance(one, Tensor)
    value, constant = (one, other) if is_first else (other, one)
    number = np.asarray(keras.ops.convert_to_numpy(constant), np.float64)
    if kernel == "multiply_values":
        return scaling(reader, call, reader.value(value), number, np.zeros_like(number))
    signs = (1, 1) if kernel == "add" else (1, -1) if is_first else (-1, 1)
    return scaling(reader, call, reader.value(value), np.full_like(number, signs[0]), signs[1] * number)


@reads(_OPERATIONS.Negative)
def negative(reader: Reader, call: Call, layer: Any) -> Value:
    """`-x`."""
    del layer
    return scaling(reader, call, reader.value(call.inputs[0]), np.array(-1.0), np.array(0.0))


@reads(_OPERATIONS.Divide, _OPERATIONS.TrueDivide)
def divided(reader: Reader, call: Call, layer: Any) -> Value:
    """A value by a constant."""
    del layer
    one, other = (*call.args, *call.kwargs.values())
    if isinstance(other, Tensor):
        raise UnsupportedError("it divides by a value; by constants it works")
    number = np.asarray(keras.ops.convert_to_numpy(other), np.float64)
    if not number.all():
        raise UnsupportedError("it divides by zero")
    return scaling(reader, call, reader.value(one), 1 / number, np.zeros_like(number))


@reads(L.Average)
def average(reader: Reader, call: Call, layer: Any) -> Value:
    """The sum of all, divided."""
    del layer
    first, *others = (reader.value(tensor) for tensor in call.inputs)
    for other in others:
        first = _combine(reader, call, "add", first, other)
    return scaling(reader, call, first, np.array(1 / (len(others) + 1)), np.array(0.0))


@reads(L.Concatenate)
def concatenate(reader: Reader, call: Call, layer: Any) -> Value:
    """One behind the other along an axis."""
    inputs = tuple(reader.value(tensor) for tensor in call.inputs)
    axis = layer.axis % (len(inputs[0].shape) + 1) - 1
    return reader.add(Concatenate, call, inputs, call.outputs[0].shape[1:], axis=axis)


def _combine(reader: Reader, call: Call, kernel: str, first: Value, second: Value) -> Value:
    """Add an operation of two values, the second of which may be shorter."""
    if first.shape != second.shape:
        if len(first.shape) == len(second.shape) and _repeats(first, second) and kernel != "subtract":
            first, second = second, first
        if len(first.shape) != len(second.shape) or not _repeats(second, first):
            raise UnsupportedError(f"values of shapes {first.shape} and {second.shape}; of one shape they work")
    return reader.add(Arithmetic, call, (first, second), first.shape, kernel=kernel)


def _repeats(short: Value, long: Value) -> bool:
    """Whether a value repeats along the first axes of another one."""
    rest = list(short.shape)
    while rest and rest[0] == 1:
        del rest[0]
    return None not in rest and list(long.shape)[len(long.shape) - len(rest) :] == rest
