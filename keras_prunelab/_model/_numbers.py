"""Numbers as users pass them: Python's, NumPy's, the backends' and Keras' own, or exact ones; never flags or texts."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import UnknownNameError


def real_number(value: Any) -> float | None:
    """Read a number, whatever it is kept in.

    Args:
        value: an `int`, a `float`, a `Fraction` or a `Decimal`; a scalar of NumPy; an array, a tensor of TensorFlow,
            JAX or torch, or a Keras variable without axes. A number of single precision means the shortest decimal
            fraction that it is nearest to.

    Returns:
        The number; None where the value is none: a `bool`, a text, None, an array with axes.

    Examples:
        >>> from fractions import Fraction
        >>> real_number(np.float32(0.9)), real_number(Fraction(1, 4)), real_number(np.array(2))
        (0.9, 0.25, 2.0)
        >>> real_number(True), real_number("0.5"), real_number(np.array([0.5]))
        (None, None, None)
    """
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, float | int | Decimal) or (isinstance(value, numbers.Real) and not hasattr(value, "dtype")):
        return _float(value)
    scalar = _scalar(value)
    if scalar is None:
        return None
    return float(str(scalar)) if scalar.dtype in (np.float16, np.float32) else _float(scalar)


def whole_number(value: Any) -> int | None:
    """Read a whole number, whatever it is kept in.

    Args:
        value: as for `real_number`; 3.0 is a whole number, too.

    Returns:
        The number; None where the value is none, or has a fraction.

    Examples:
        >>> whole_number(np.int64(3)), whole_number(3.0), whole_number(2.5), whole_number(True)
        (3, 3, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Integral):
        return int(value)
    found = real_number(value)
    return int(found) if found is not None and found.is_integer() else None


def real_numbers(values: Any) -> list[float] | None:
    """Read one number or several.

    Args:
        values: a number, a sequence of numbers or of such sequences, or an array or a tensor with axes.

    Returns:
        The numbers in their order; None where one of them is none.

    Examples:
        >>> real_numbers(0.5), real_numbers([np.float32(0.1), (0.2, 0.3)]), real_numbers(np.arange(3) / 10)
        ([0.5], [0.1, 0.2, 0.3], [0.0, 0.1, 0.2])
    """
    found: list[float] = []
    for each in _each(values):
        number = real_number(each)
        if number is None:
            return None
        found.append(number)
    return found


def check_seed(seed: Any) -> int:
    """Make sure that a number is a seed.

    Raises:
        UnknownNameError: it is no whole number from 0.
    """
    found = whole_number(seed)
    if found is None or found < 0:
        raise UnknownNameError(f"seed={seed!r}; a seed is a whole number from 0.")
    return found


def _each(values: Any) -> Iterator[Any]:
    if isinstance(values, list | tuple | range):
        for each in values:
            yield from _each(each)
    elif hasattr(values, "shape") and tuple(values.shape):
        yield from _numpy(values).reshape(-1)
    else:
        yield values


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        return None


def _scalar(value: Any) -> NDArray[Any] | None:
    """An array, a tensor or a variable without axes, as NumPy's; None for all else."""
    if not hasattr(value, "dtype") or isinstance(value, keras.KerasTensor):
        return None
    try:
        if tuple(value.shape) != ():
            return None
        array = _numpy(value)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):  # a tensor that a trace has no value for
        return None
    # bfloat16 and its like are kinds of their own to NumPy.
    is_number = array.dtype.kind in "iuf" or (array.dtype.kind == "V" and array.dtype.names is None)
    return array if is_number else None


def _numpy(value: Any) -> NDArray[Any]:
    """An array of a tensor of any backend, the running one or another."""
    if keras.ops.is_tensor(value) or isinstance(value, keras.Variable):
        return np.asarray(keras.ops.convert_to_numpy(value))
    return np.asarray(value.detach() if hasattr(value, "detach") else value)
