"""Functions of one value, in C and in Keras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

L = keras.layers


@dataclass(frozen=True)
class Activation:
    """A function of one value.

    Attributes:
        name: what the function is called in C.
        expression: it, in C, of `x`.
        function: the same in Keras.
        is_bounded: whether its values are between -1 and 1.
        limits: the ends between which it passes values on as they are, and where it stops; None where it does more.
    """

    name: str
    expression: str
    function: Callable[[Any], Any]
    is_bounded: bool = False
    limits: tuple[float, float] | None = None

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The function of each value."""
        return np.asarray(keras.ops.convert_to_numpy(self.function(np.asarray(x, np.float32))))


_SIGMOID = "1 / (1 + expf(-x))"
_HARD_SIGMOID = "x < -3 ? 0 : x > 3 ? 1 : x / 6 + 0.5f"
_EXPRESSIONS = {
    "elu": "x > 0 ? x : expm1f(x)",
    "exponential": "expf(x)",
    "hard_sigmoid": _HARD_SIGMOID,
    "hard_silu": f"x * ({_HARD_SIGMOID})",
    "hard_tanh": "x < -1 ? -1 : x > 1 ? 1 : x",
    "leaky_relu": "x > 0 ? x : 0.2f * x",
    "mish": "x * tanhf(x > 20 ? x : log1pf(expf(x)))",
    "relu": "x > 0 ? x : 0",
    "relu6": "x < 0 ? 0 : x > 6 ? 6 : x",
    "selu": "1.05070098f * (x > 0 ? x : 1.67326324f * expm1f(x))",
    "sigmoid": _SIGMOID,
    "silu": "x / (1 + expf(-x))",
    "softplus": "x > 20 ? x : log1pf(expf(x))",
    "softsign": "x / (1 + fabsf(x))",
    "tanh": "tanhf(x)",
}
_BOUNDED = ("hard_sigmoid", "hard_tanh", "sigmoid", "softsign", "tanh")
_LIMITS = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0)}
_GELU = "0.5f * x * (1 + erff(0.707106781f * x))"


def activation_of(function: Any) -> Activation | None:
    """The activation that a layer of Keras has.

    Args:
        function: a function of `keras.activations`, or a layer.

    Returns:
        The activation; None where there is none in C.
    """
    if isinstance(function, keras.layers.Layer):
        return _of_layer(function)
    name = getattr(function, "__name__", "")
    known: Any = getattr(keras.activations, name, None)
    if known is not function:
        return None
    if name == "gelu":
        return Activation("gelu", _GELU, known)
    if name not in _EXPRESSIONS:
        return None
    return Activation(name, _EXPRESSIONS[name], known, name in _BOUNDED, _LIMITS.get(name))


def is_linear(function: Any) -> bool:
    """Whether an activation passes values on."""
    return function is None or function is keras.activations.linear


def _of_layer(layer: Any) -> Activation | None:
    kind = type(layer)
    if kind is L.Activation:
        return activation_of(layer.activation)
    if kind is L.ReLU:
        return _relu(layer)
    if kind is L.LeakyReLU:
        return Activation("leaky_relu", f"x > 0 ? x : {literal(layer.negative_slope)} * x", layer)
    if kind is L.ELU:
        return Activation("elu", f"x > 0 ? x : {literal(layer.alpha)} * expm1f(x)", layer)
    return None


def _relu(layer: Any) -> Activation:
    slope, most, threshold = (float(each or 0) for each in (layer.negative_slope, layer.max_value, layer.threshold))
    if layer.max_value is None and not slope and not threshold:
        return activation_of(keras.activations.relu) or _unreachable()
    below = f"{literal(slope)} * (x - {literal(threshold)})" if threshold else f"{literal(slope)} * x"
    below = below if slope else "0"
    above = "x" if layer.max_value is None else f"x > {literal(most)} ? {literal(most)} : x"
    limits = (0.0, most if layer.max_value is not None else np.inf) if not slope and not threshold else None
    name = "relu6" if most == 6 and not slope and not threshold else "relu_between"
    return Activation(name, f"x < {literal(threshold)} ? {below} : {above}", layer, limits=limits)


def _unreachable() -> Activation:
    raise AssertionError("relu is in the table")


def literal(value: float) -> str:
    """A number as a float of C."""
    with np.errstate(over="ignore"):
        number = np.float32(value)
    return f"{number!s}f" if np.isfinite(number) else f"{'-' if number < 0 else ''}INFINITY"
