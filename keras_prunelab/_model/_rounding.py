"""How far outputs may differ by rounding alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Outputs = Sequence[NDArray[Any]]


def relative_change(expected: Outputs, found: Outputs) -> float:
    """The largest difference of an output, relative to its largest value; infinite where the shapes or NaN differ."""
    worst = 0.0
    for one, other in zip(expected, found, strict=True):
        if one.shape != other.shape:
            return np.inf
        finite = np.isfinite(one)
        if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
            return np.inf
        largest = float(np.abs(one[finite]).max(initial=0.0))
        change = float(np.abs(one[finite] - other[finite]).max(initial=0.0))
        worst = max(worst, change / largest if largest else change)
    return worst


def amplified_rounding(model: keras.Model, inputs: Any, expected: Outputs) -> float:
    """What a model makes of the last digits of its weights.

    A sum that was rounded is the exact one of weights whose last digits differ: N. J. Higham, Accuracy and Stability of
    Numerical Algorithms, 2002, section 3.1. So a model answers a change of those digits as it answers rounding.

    Args:
        model: in float32; it is not changed.
        inputs: what it was called with.
        expected: what it gave, flat.

    Returns:
        The relative change of the outputs, where each weight moves up or down by one unit in the last place.
    """
    rng = np.random.default_rng(0)

    def moved(variable: keras.Variable) -> Any:
        value = keras.ops.convert_to_numpy(variable.value)
        if value.dtype != np.float32:
            return variable.value
        towards = np.where(rng.integers(0, 2, value.shape), np.inf, -np.inf).astype(np.float32)
        return keras.ops.convert_to_tensor(np.where(value, np.nextafter(value, towards), value))

    weights = ([moved(each) for each in kind] for kind in (model.trainable_variables, model.non_trainable_variables))
    outputs, _ = model.stateless_call(*weights, inputs, training=False)
    found = [keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in keras.tree.flatten(outputs)]
    return relative_change(expected, found)
