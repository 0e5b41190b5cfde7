"""Multiply-adds of one call for one observation, from shapes alone.

One multiply-add is one weight used at one position. In attention the products of queries with keys, and of scores with
values, count too. Biases, normalizations, activations, pooling and sums do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_prunelab._rebuild import is_graph

from ._channels import channel_axis
from ._graph import Call, Tensor, graph_of, step_of

L = keras.layers
Uses = Callable[[Call], Sequence[int]]


# Operations that multiply in other ways than element by element, by name because Keras does not export their classes;
# how often depends on their arguments.
_CONTRACTIONS = {
    *("Correlate", "Dot", "Einsum", "Inner", "Matmul", "Outer", "Tensordot", "Vdot"),
    *("Conv", "ConvTranspose", "DepthwiseConv", "DotProductAttention", "SeparableConv"),
}


class UnknownCountError(Exception):
    """A layer whose multiply-adds nobody has told, or a free length."""


def uses(call: Call) -> Sequence[int]:
    """How often each weight of a layer is used in one call, in the order of `layer.weights`.

    Raises:
        UnknownCountError: the layer has a kernel and its class is not known here, or a length is free.
    """
    layer = call.layer
    if not isinstance(layer, L.Layer):
        return ()
    if type(layer) in _USES:
        found = list(_USES[type(layer)](call))
        return found + [0] * (len(layer.weights) - len(found))
    if any(len(weight.shape) > 1 for weight in layer.weights) and not isinstance(layer, (L.Embedding, L.PReLU)):
        raise UnknownCountError
    return [0] * len(layer.weights)


def uses_by_variable(model: keras.Model) -> dict[int, int]:
    """How often each weight of a model is used for one observation, in all calls of its layer together.

    Args:
        model: a built model.

    Returns:
        The counts by the id of the Keras variable, without those that are not known: of layers whose class is not known
        here, of free lengths, and of all layers of a subclass, because nobody can see how often it calls them.
    """
    found: dict[int, int] = {}
    unknown: set[int] = set()
    for call in graph_of(model).calls if is_graph(model) else ():
        weights = [id(weight) for weight in getattr(call.layer, "weights", ())]
        try:
            counts = uses(call)
        except UnknownCountError:
            unknown.update(weights)
            continue
        for weight, count in zip(weights, counts, strict=True):
            found[weight] = found.get(weight, 0) + count
    return {weight: count for weight, count in found.items() if weight not in unknown}


def products(call: Call, heads: tuple[int, int, int] | None = None) -> int:
    """Multiply-adds of a call between tensors, in which no weight takes part.

    Args:
        call: the call.
        heads: of a multi-head attention, how many heads, keys and values it will have; by default those that it has.

    Raises:
        UnknownCountError: it multiplies tensors in a way that is not known here, or a length is free.
    """
    layer = call.layer
    if type(layer) is L.MultiHeadAttention:
        query, value = _attended(call)
        number, keys, values = heads or (layer.num_heads, layer.key_dim, layer.value_dim)
        axes = layer.attention_axes or range(1, len(value.shape) - 1)
        return _lengths(query) * _product([value.shape[axis] for axis in axes]) * int(number * (keys + values))
    if type(layer) is L.Attention and layer.score_mode == "dot":
        query, value, *_ = call.inputs
        widths = _product(query.shape[-1:]) + _product(value.shape[-1:])
        return _lengths(query) * _product(value.shape[1:-1]) * widths
    if type(layer) is L.Dot:
        axis = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
        return _product([*call.outputs[0].shape[1:], call.inputs[0].shape[axis]])
    unknown = type(layer) in (L.Attention, L.AdditiveAttention)
    if unknown or (not isinstance(layer, L.Layer) and type(layer).__name__ in _CONTRACTIONS):
        raise UnknownCountError
    return 0


def _product(lengths: Sequence[int | None]) -> int:
    if None in lengths:
        raise UnknownCountError
    return math.prod(length for length in lengths if length is not None)


def _pixels(layer: Any, tensor: Tensor) -> int:
    axis = channel_axis(layer, len(tensor.shape))
    return _product([length for index, length in enumerate(tensor.shape) if index not in (0, axis)])


def _lengths(tensor: Tensor) -> int:
    """Everything but the batch and the last axis."""
    return _product(tensor.shape[1:-1])


def _attended(call: Call) -> tuple[Tensor, Tensor]:
    given = dict(zip(("query", "value"), call.args, strict=False)) | dict(call.kwargs)
    return given["query"], given["value"]


def _recurrent(call: Call) -> list[int]:
    """Each matrix of the cells once a step; the bias of a GRU is a matrix too."""
    steps = _product(call.inputs[0].shape[1:2])
    return [steps if len(weight.shape) > 1 and not weight.name.endswith("bias") else 0 for weight in call.layer.weights]


def _at_each_step(call: Call) -> list[int]:
    steps = _product(call.inputs[0].shape[1:2])
    return [steps * count for count in uses(step_of(call))]


def _attention(call: Call) -> list[int]:
    query, value = map(_lengths, _attended(call))
    found = []
    for weight, count in zip(call.layer.weights, _expanded(call.layer, (query, value, value, query)), strict=True):
        found.append(count if weight.name == "kernel" else 0)
    return found


def _expanded(layer: Any, counts: tuple[int, ...]) -> list[int]:
    each = 2 if layer.use_bias else 1
    return [count for count in counts for _ in range(each)]


def _einsum(call: Call) -> list[int]:
    left, _ = call.layer.equation.split("->")
    data, kernel = left.split(",")
    shape = call.inputs[0].shape
    # An ellipsis stands for as many axes as are left over; no axis of a kernel is one of them.
    data = data.replace("...", "." * (len(shape) - len(data.replace(".", ""))))
    pairs = list(zip(data, shape, strict=True))
    return [_product([length for letter, length in pairs[1:] if letter == "." or letter not in kernel])]


_USES: dict[type, Uses] = {
    L.Dense: lambda call: [_lengths(call.outputs[0])],
    L.EinsumDense: _einsum,
    L.MultiHeadAttention: _attention,
    L.TimeDistributed: _at_each_step,
}
for _kind in (L.Conv1D, L.Conv2D, L.Conv3D, L.DepthwiseConv1D, L.DepthwiseConv2D):
    _USES[_kind] = lambda call: [_pixels(call.layer, call.outputs[0])]
for _kind in (L.SeparableConv1D, L.SeparableConv2D):
    _USES[_kind] = lambda call: [_pixels(call.layer, call.outputs[0])] * 2
for _kind in (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose):
    _USES[_kind] = lambda call: [_pixels(call.layer, call.inputs[0])]
for _kind in (L.LSTM, L.GRU, L.SimpleRNN, L.RNN, L.Bidirectional):
    _USES[_kind] = _recurrent
