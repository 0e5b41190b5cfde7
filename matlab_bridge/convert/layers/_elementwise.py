"""MATLAB's arithmetic element by element, on Keras' tensors and on numbers, and a sum that broadcasts everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np

from matlab_bridge.convert._site import Tensor


def add_inputs(left: Any, right: Any) -> Tensor:
    """The sum of two tensors, or of a tensor and numbers.

    Keras' own (3.15), on TensorFlow, takes a second summand with one long axis for a bias, and adds it along the
    channels, or the first axis of the image, where its length fits; its difference does not.

    Args:
        left: a tensor, or numbers that broadcast.
        right: the same.

    Returns:
        `left + right`.
    """
    return keras.ops.subtract(left, keras.ops.negative(right))


def _operations(x: Any) -> Any:
    """Keras' functions for its tensors, NumPy's of the same names for numbers."""
    return np if isinstance(x, int | float | np.ndarray) else keras.ops


def _round(x: Any) -> Any:
    """The nearest whole numbers, halves away from zero; Keras and NumPy take halves to the even one."""
    of = _operations(x)
    size = of.absolute(x)
    whole = of.floor(size)
    # Half is not added before the floor: in single precision, 0.49999997 + 0.5 is 1.
    return of.sign(x) * of.where(size - whole >= 0.5, whole + 1, whole)


def _modulo(x: Any, by: Any) -> Any:
    """What is left of x after whole numbers, with their sign; all of it where they are 0."""
    of, is_zero = _operations(x), np.equal(by, 0)
    return of.where(is_zero, x, of.mod(x, np.where(is_zero, 1, by).astype(keras.config.floatx())))


def _leaky(x: Any, scale: Any) -> Any:
    of = _operations(x)
    return of.where(of.less(x, 0), of.multiply(x, scale), x)


def _gelu(x: Any) -> Any:
    return x / 2 * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2)))


# What each function of MATLAB's is on tensors, and on numbers.
ELEMENTWISE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    **{
        name: (getattr(keras.ops, name), getattr(np, name))
        for name in ("abs", "ceil", "cos", "cosh", "exp", "expm1", "floor", "log", "log10", "log1p", "log2", "sign")
    },
    **{name: (getattr(keras.ops, name), getattr(np, name)) for name in ("sin", "sinh", "sqrt", "tan", "tanh")},
    **{f"a{name}": (getattr(keras.ops, f"arc{name}"), getattr(np, f"arc{name}")) for name in ("cos", "sin", "tan")},
    "relu": (keras.ops.relu, lambda x: np.maximum(x, 0)),
    "sigmoid": (keras.ops.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "gelu": (partial(keras.ops.gelu, approximate=False), _gelu),
    "softplus": (keras.ops.softplus, lambda x: np.logaddexp(0, x)),
    "round": (_round, _round),
    "single": (lambda x: x, lambda x: x),
    "double": (lambda x: x, lambda x: x),
}

# Each operator, and the function of the same meaning.
_NAMES = {
    "add": ("+", "plus"),
    "subtract": ("-", "minus"),
    "multiply": (".*", "times"),
    "divide": ("./", "rdivide"),
    "power": (".^", "power"),
    "maximum": ("max",),
    "minimum": ("min",),
}
BINARY: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    name: (add_inputs if ours == "add" else getattr(keras.ops, ours), getattr(np, ours))
    for ours, names in _NAMES.items()
    for name in names
} | {"mod": (_modulo, _modulo), "leakyrelu": (_leaky, _leaky)}
LOGICAL = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "~=": np.not_equal,
    "&": np.logical_and,
    "|": np.logical_or,
}
