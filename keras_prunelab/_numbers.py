"""Numbers as users pass them: Python's, NumPy's, the backends' and Keras' own, or exact ones; never flags or texts."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


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
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    found = real_number(value)
    return int(found) if found is not None and found.is_integer() else None


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
        known = keras.ops.is_tensor(value) or isinstance(value, keras.Variable)
        detached = value.detach() if not known and hasattr(value, "detach") else value
        array = np.asarray(keras.ops.convert_to_numpy(detached) if known else detached)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):  # a tensor that a trace has no value for
        return None
    # bfloat16 and its like are kinds of their own to NumPy.
    is_number = array.dtype.kind in "iuf" or (array.dtype.kind == "V" and array.dtype.names is None)
    return array if is_number else None
