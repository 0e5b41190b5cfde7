"""Arithmetic with constants in a Keras graph, such as `0.1 * y + 1`: each operation as a scale and a bias."""

from __future__ import annotations

import keras
import numpy as np

from matlab_bridge._layer import Array

from ._keras_graph import Call

_ARITHMETIC = frozenset({"Add", "Divide", "Multiply", "Negative", "Subtract", "TrueDivide"})


def scale_and_bias(call: Call) -> tuple[Array, Array] | None:
    """What an operation on one tensor and numbers does, as `x * scale + bias`.

    Args:
        call: any operation of the graph.

    Returns:
        Two arrays that broadcast against the tensor; None for a layer, for an operation on tensors alone, and for
        one that is no such sum or product.
    """
    if call.is_layer or call.kind not in _ARITHMETIC or len(call.inputs) != 1:
        return None
    if tuple(call.output.shape) != call.shapes[0]:  # the constant has dimensions of its own
        return None
    one, zero = np.ones(1), np.zeros(1)
    given = [*call.arguments, *call.options.values()]
    if call.kind == "Negative":
        return -one, zero
    is_first = isinstance(given[0], keras.KerasTensor)
    constant = np.asarray(keras.ops.convert_to_numpy(given[1 if is_first else 0]), dtype=float)
    match call.kind:
        case "Add":
            return one, constant
        case "Multiply":
            return constant, zero
        case "Subtract":
            return (one, -constant) if is_first else (-one, constant)
    return (1 / constant, zero) if is_first and np.all(constant) else None
