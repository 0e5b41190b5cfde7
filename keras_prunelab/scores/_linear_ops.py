"""What single operations compute while SynFlow scores: their linear part, with coefficients that are not negative."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

# Operations by class name. On what is not negative these are the identity, or are taken for it.
_IDENTITIES = frozenset(
    [
        "Abs",
        "Celu",
        "Clip",
        "Elu",
        "Erf",
        "Exp",
        "Exp2",
        "Expm1",
        "Gelu",
        "HardShrink",
        "HardSigmoid",
        "HardSilu",
        "HardSwish",
        "HardTanh",
        "LeakyRelu",
        "Log",
        "Log1p",
        "LogSigmoid",
        "LogSoftmax",
        "Maximum",
        "Minimum",
        "Negative",
        "Power",
        "Relu",
        "Relu6",
        "Rsqrt",
        "Selu",
        "Sigmoid",
        "Silu",
        "Sin",
        "Cos",
        "SoftShrink",
        "Softplus",
        "Softsign",
        "Sparsemax",
        "SparsePlus",
        "SparseSigmoid",
        "Sqrt",
        "Square",
        "Squareplus",
        "Tan",
        "Tanh",
        "TanhShrink",
        "Threshold",
    ]
)
_SUMS = frozenset(("Add", "Subtract"))
_PRODUCTS = frozenset(("Multiply", "Matmul", "Einsum", "Dot", "Tensordot", "Inner", "Outer"))
_QUOTIENTS = frozenset(("Divide", "TrueDivide", "DivideNoNan"))
_NONLINEAR = _IDENTITIES | _SUMS | _PRODUCTS | _QUOTIENTS | {"Softmax", "Where", "DotProductAttention", "Glu"}


def is_nonlinear(operation: Any) -> bool:
    """Whether an operation has a rule here; what has none is linear, or moves values about."""
    return type(operation).__name__ in _NONLINEAR


def rescale(x: Any) -> Any:
    """Divide by the largest value, a constant without gradient; zeros stay zeros."""
    largest = keras.ops.stop_gradient(keras.ops.max(keras.ops.abs(x)))
    return x / keras.ops.where(largest > 0, largest, keras.ops.ones_like(largest))


def gain_of(scores: Any, axis: Any = -1, mask: Any = None) -> Any:
    """A softmax as a constant gain: divide by the sum of what is not masked, a constant without gradient."""
    if mask is not None:
        scores = keras.ops.where(keras.ops.cast(mask, "bool"), scores, keras.ops.zeros_like(scores))
    total = keras.ops.stop_gradient(keras.ops.sum(scores, axis=axis, keepdims=True))
    return scores / keras.ops.where(total > 0, total, keras.ops.ones_like(total))


def apply_linear(operation: Any, plain: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Compute the linear part of an operation.

    Args:
        operation: a Keras operation that has a rule, see `is_nonlinear`.
        plain: what it computes else.
        args: its positional arguments; what is no tensor of the network is a number, an array or a variable.
        kwargs: its named arguments.

    Returns:
        Its result.
    """
    kind, fixed = type(operation).__name__, _constants(operation)

    def flows(arg: Any) -> bool:
        return id(arg) not in fixed and _is_float(arg)

    def enters(arg: Any) -> bool:  # activations do, and biases, but no constants
        return flows(arg) or (isinstance(arg, keras.Variable) and arg.trainable)

    if kind in _IDENTITIES:
        return next((arg for arg in args if flows(arg)), args[0])
    if kind in _SUMS:
        return keras.ops.add(*(part if enters(part) else _zeros_like(part) for part in args[:2]))
    if kind in _PRODUCTS:
        factors = [leaf for leaf in keras.tree.flatten(list(args)) if flows(leaf)]
        change = rescale if len(factors) > 1 else lambda factor: factor
        by_rule = keras.tree.map_structure(lambda arg: change(arg) if flows(arg) else _absolute(arg), list(args))
        return plain(*by_rule, **kwargs)
    if kind in _QUOTIENTS:
        return _divide(args[0] if flows(args[0]) else _absolute(args[0]), args[1], flows(args[1]))
    if kind == "Softmax":
        return gain_of(args[0], getattr(operation, "axis", -1))
    if kind == "Where":
        condition, *branches = args
        return plain(condition, *(branch if enters(branch) else _zeros_like(branch) for branch in branches))
    if kind == "Glu":
        value, gate = keras.ops.split(args[0], 2, axis=operation.axis)
        return rescale(value) * rescale(gate)
    return _attend(operation, *args, **kwargs)


def _constants(operation: Any) -> set[int]:
    """The ids of the tensors that an operation was given as they are, and does not get from the network."""
    calls = [(node.arguments.args, node.arguments.kwargs) for node in operation._inbound_nodes]
    return {id(leaf) for leaf in keras.tree.flatten(calls) if not isinstance(leaf, keras.KerasTensor)}


def _is_float(arg: Any) -> bool:
    is_number = keras.ops.is_tensor(arg) and not isinstance(arg, keras.Variable)
    return is_number and keras.backend.is_float_dtype(keras.backend.standardize_dtype(arg.dtype))


def _zeros_like(part: Any) -> Any:
    return keras.ops.zeros(getattr(part, "shape", ()), dtype="float64")


def _absolute(arg: Any) -> Any:
    if not (isinstance(arg, (int, float)) or hasattr(arg, "dtype")):
        return arg
    # In float64, because Keras narrows what it combines with a float32.
    return keras.ops.abs(keras.ops.cast(keras.ops.convert_to_tensor(arg), "float64"))


def _divide(one: Any, other: Any, flows: bool) -> Any:
    divisor = keras.ops.abs(keras.ops.stop_gradient(other)) if flows else _absolute(other)
    if flows:
        divisor = keras.ops.where(divisor > 0, divisor, keras.ops.ones_like(divisor))
    return keras.ops.divide(one, divisor)


def _attend(operation: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
    """Attention as a product of three: (B, T, N, D) queries, (B, S, K, D) keys and values."""
    names = ("bias", "mask", "scale", "is_causal")
    given = {
        **{name: getattr(operation, name, None) for name in names},
        **dict(zip(names, args, strict=False)),
        **kwargs,
    }
    repeats = query.shape[2] // key.shape[2]
    key, value = (keras.ops.repeat(part, repeats, axis=2) if repeats > 1 else part for part in (key, value))
    scores = keras.ops.einsum("btnd,bsnd->bnts", rescale(query), rescale(key))
    mask = given["mask"]
    if given["is_causal"]:
        steps = keras.ops.arange(scores.shape[-1])
        causal = steps[None, :] <= keras.ops.arange(scores.shape[-2])[:, None]
        mask = causal if mask is None else keras.ops.logical_and(keras.ops.cast(mask, "bool"), causal)
    return keras.ops.einsum("bnts,bsnd->btnd", gain_of(scores, mask=mask), rescale(value))
