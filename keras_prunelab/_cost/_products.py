"""Multiply-adds between tensors, in which no weight takes part, as in attention: from shapes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_prunelab._channels._graph import Call, Tensor, step_of

L = keras.layers
Length = int | None


class UnknownCountError(Exception):
    """A layer whose multiply-adds nobody has told, or a free length."""


def products(call: Call, heads: tuple[int, int, int] | None = None) -> int:
    """Multiply-adds of a call between tensors for one observation.

    Args:
        call: the call.
        heads: of a multi-head attention, how many heads, keys and values it will have; by default those that it has.

    Raises:
        UnknownCountError: it multiplies tensors in a way that is not known here, or a length is free.
    """
    layer = call.layer
    if call.times != 1:
        once = products(replace(call, times=1), heads)
        return once and once * product_of([call.times])
    if type(layer) is L.MultiHeadAttention:
        query, value = attended(call)
        number, keys, values = heads or (layer.num_heads, layer.key_dim, layer.value_dim)
        axes = layer.attention_axes or range(1, len(value.shape) - 1)
        return steps_of(query) * product_of([value.shape[axis] for axis in axes]) * int(number * (keys + values))
    if type(layer) in _LAYERS:
        return _LAYERS[type(layer)](call)
    if isinstance(layer, L.Layer):
        return 0
    kind = type(layer).__name__
    if kind in _UNKNOWN:
        raise UnknownCountError
    return _OPERATIONS[kind](call) if kind in _OPERATIONS else 0


def product_of(lengths: Sequence[Length]) -> int:
    """The product of lengths.

    Raises:
        UnknownCountError: one of them is free.
    """
    if None in lengths:
        raise UnknownCountError
    return math.prod(length for length in lengths if length is not None)


def steps_of(tensor: Tensor) -> int:
    """How many positions a tensor has: all of its axes but the batch and the last one."""
    return product_of(tensor.shape[1:-1])


def attended(call: Call) -> tuple[Tensor, Tensor]:
    """Query and value of an attention that takes them one by one."""
    query, value = _arguments(call, "query", "value")
    return query, value


def letters(term: str, rank: int) -> list[str]:
    """The letter of each axis in a term of an Einstein sum.

    An ellipsis stands for as many axes as are left over, which are numbered from the right.
    """
    before, dots, after = term.replace(" ", "").partition("...")
    between = reversed(range(rank - len(before) - len(after))) if dots else ()
    return [*before, *map(str, between), *after]


def _arguments(call: Call, *names: str) -> list[Any]:
    given = dict(zip(names, call.args, strict=False)) | dict(call.kwargs)
    return [given[name] for name in names]


def _grouped_query_attention(call: Call) -> int:
    query, value = attended(call)
    return steps_of(query) * steps_of(value) * int(2 * call.layer.num_query_heads * call.layer.head_dim)


def _attention(call: Call) -> int:
    """The score of each query with each key, where it is a product, and the sum of the values."""
    query, value, *_ = call.inputs
    widths = product_of(value.shape[-1:])
    if type(call.layer) is L.Attention and call.layer.score_mode == "dot":
        widths += product_of(query.shape[-1:])
    return steps_of(query) * steps_of(value) * widths


def _dot_layer(call: Call) -> int:
    axis = call.layer.axes if isinstance(call.layer.axes, int) else call.layer.axes[0]
    return product_of([*call.outputs[0].shape[1:], call.inputs[0].shape[axis]])


def _matmul(call: Call) -> int:
    return product_of([*call.outputs[0].shape[1:], call.args[0].shape[-1]])


def _tensordot(call: Call) -> int:
    first, axes = call.args[0], call.layer.axes
    summed = first.shape[len(first.shape) - axes :] if isinstance(axes, int) else [first.shape[i] for i in _flat(axes)]
    return product_of([*call.outputs[0].shape[1:], *summed])


def _flat(axes: Any) -> list[int]:
    """The axes of the first tensor."""
    return [axes[0]] if isinstance(axes[0], int) else list(axes[0])


def _einsum(call: Call) -> int:
    left, arrow, right = call.layer.subscripts.partition("->")
    terms = left.split(",")
    if len(terms) == 1:
        return 0
    if len(terms) > 2 or not arrow:  # of three, the order decides in which they are multiplied
        raise UnknownCountError
    lengths: dict[str, Length] = {}
    for term, operand in zip(terms, call.args, strict=True):
        for letter, length in zip(letters(term, len(operand.shape)), operand.shape, strict=True):
            lengths[letter] = length if lengths.get(letter, 1) == 1 else lengths[letter]
    lengths[letters(right, len(call.outputs[0].shape))[0]] = 1  # the batch
    return product_of(list(lengths.values()))


def _dot_product_attention(call: Call) -> int:
    """Queries of shape (batch, steps, heads, length), and keys and values likewise."""
    query, key = _arguments(call, "query", "key")
    return product_of([*query.shape[1:], key.shape[1], 2])


_LAYERS: dict[type, Callable[[Call], int]] = {
    L.GroupQueryAttention: _grouped_query_attention,
    L.Attention: _attention,
    L.AdditiveAttention: _attention,
    L.Dot: _dot_layer,
    L.TimeDistributed: lambda call: product_of(call.inputs[0].shape[1:2]) * products(step_of(call)),
}

# By name, because Keras does not export the classes behind its functions.
_OPERATIONS: dict[str, Callable[[Call], int]] = {
    "Dot": _matmul,
    "DotProductAttention": _dot_product_attention,
    "Einsum": _einsum,
    "Matmul": _matmul,
    "Tensordot": _tensordot,
}
_UNKNOWN = {"Conv", "ConvTranspose", "Correlate", "DepthwiseConv", "Inner", "Outer", "SeparableConv", "Vdot"}
