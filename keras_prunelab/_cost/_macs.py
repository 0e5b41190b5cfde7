"""How often a call uses each weight of its layer for one observation, from shapes alone.

One multiply-add is one weight used at one position; those between two tensors, as in attention, are `products`. Biases,
normalizations, activations, pooling and sums are none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_prunelab._channels._channels import channel_axis
from keras_prunelab._channels._graph import Call, Tensor, graph_of, step_of
from keras_prunelab._model._rebuild import is_graph

from ._products import UnknownCountError, attended, letters, product_of, steps_of

L = keras.layers
Uses = Callable[[Call], Sequence[int]]


def uses(call: Call) -> Sequence[int]:
    """How often each weight of a layer is used in one call, in the order of `layer.weights`.

    Raises:
        UnknownCountError: the layer has a kernel and its class is not known here, quantization has packed several
            weights into one number, or a length is free.
    """
    kind = type(call.layer)
    if call.times != 1:
        once = uses(replace(call, times=1))
        return [count * product_of([call.times]) for count in once] if any(once) else once
    if kind in _USES:
        found = list(_USES[kind](call))
        return found + [0] * (len(call.weights) - len(found))
    if any(len(weight.shape) > 1 for weight in call.weights) and not issubclass(kind, _ELEMENTWISE):
        raise UnknownCountError
    return [0] * len(call.weights)


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
        weights = [id(weight) for weight in call.weights]
        try:
            counts = uses(call)
        except UnknownCountError:
            unknown.update(weights)
            continue
        for weight, count in zip(weights, counts, strict=True):
            found[weight] = found.get(weight, 0) + count
    return {weight: count for weight, count in found.items() if weight not in unknown}


def _pixels(layer: Any, tensor: Tensor) -> int:
    axis = channel_axis(layer, len(tensor.shape))
    return product_of([length for index, length in enumerate(tensor.shape) if index not in (0, axis)])


def _recurrent(call: Call) -> list[int]:
    """Each matrix of the cells once a step, each filter at every position of each step."""
    layer, counts = call.layer, []
    steps = product_of(call.inputs[0].shape[1:2])
    for way in (layer.forward_layer, layer.backward_layer) if isinstance(layer, L.Bidirectional) else (layer,):
        positions = 1
        if isinstance(way, _CONVOLUTIONS_OVER_TIME):
            positions = _positions(call.outputs[0].shape, len(way.kernel_size), way.data_format)
        elif any(type(cell) not in _CELLS for cell in getattr(way.cell, "cells", [way.cell])):
            raise UnknownCountError  # nobody knows how often a cell of one's own uses its weights
        counts += [steps * positions if _is_matrix(weight) else 0 for weight in way.weights]
    return counts


def _is_matrix(weight: Any) -> bool:
    return len(weight.shape) > 1 and not weight.name.endswith("bias")  # that of a GRU has two rows


def _positions(shape: Sequence[int | None], rank: int, data_format: str) -> int:
    """How many pixels a tensor has in its last axes."""
    return product_of(shape[-rank:] if data_format == "channels_first" else shape[-rank - 1 : -1])


def _at_each_step(call: Call) -> list[int]:
    steps = product_of(call.inputs[0].shape[1:2])
    return [steps * count for count in uses(step_of(call))]


def _at_kernel(layer: Any, size: int, count: int) -> list[int]:
    """A count at the kernel, which has `size` weights; a quantized layer has its bias before it."""
    for place, weight in enumerate(layer.weights):
        if weight.name == "kernel" and math.prod(weight.shape) == size:
            return [0] * place + [count]
    raise UnknownCountError  # packed, as in four bits: its zeros are not those of the weights


def _dense(call: Call) -> list[int]:
    size = product_of([call.inputs[0].shape[-1], call.outputs[0].shape[-1]])
    return _at_kernel(call.layer, size, steps_of(call.outputs[0]))


def _attention(call: Call) -> list[int]:
    """The projections, at each position of what they project."""
    query, value = map(steps_of, attended(call))
    counts = {"query": query, "gate": query, "attention_output": query, "key": value, "value": value}
    found: dict[int, int] = {}
    for part in call.layer._flatten_layers(include_self=False):
        if part.name in counts:
            # Keras notes the shape that a kernel had before it was packed.
            shape = getattr(part, "original_kernel_shape", part.kernel.shape)
            uses_of_part = _at_kernel(part, math.prod(shape), counts[part.name])
            found |= dict(zip(map(id, part.weights), uses_of_part, strict=False))
    return [found.get(id(weight), 0) for weight in call.layer.weights]


def _additive_attention(call: Call) -> list[int]:
    query, value, *_ = call.inputs
    return [steps_of(query) * steps_of(value)] if call.layer.use_scale else []


def _einsum(call: Call) -> list[int]:
    terms, _, result = call.layer.equation.partition("->")
    data, kernel = terms.split(",")
    given, made = call.inputs[0].shape, call.outputs[0].shape
    pairs = list(zip(letters(data, len(given)), given, strict=True))
    lengths = dict(zip(letters(result, len(made)), made, strict=True)) | dict(pairs)
    size = product_of([lengths[letter] for letter in letters(kernel, 0)])
    return _at_kernel(call.layer, size, product_of([length for letter, length in pairs[1:] if letter not in kernel]))


def _normalize(call: Call) -> list[int]:
    """The uses in `SpectralNormalization`, which changes its kernel in training only: those of the layer inside."""
    inner = call.layer.layer
    found = dict(zip(map(id, inner.weights), uses(replace(call, layer=inner)), strict=True))
    return [found.get(id(weight), 0) for weight in call.layer.weights]


_CELLS = (L.SimpleRNNCell, L.LSTMCell, L.GRUCell)
_CONVOLUTIONS_OVER_TIME = (L.ConvLSTM1D, L.ConvLSTM2D, L.ConvLSTM3D)
# Matrices that are looked up in, or added and multiplied number by number.
_ELEMENTWISE = (
    L.BatchNormalization,
    L.Embedding,
    L.LayerNormalization,
    L.Normalization,
    L.PReLU,
    L.RMSNormalization,
)
_USES: dict[type, Uses] = {
    L.Dense: _dense,
    L.EinsumDense: _einsum,
    L.MultiHeadAttention: _attention,
    L.GroupQueryAttention: _attention,
    L.AdditiveAttention: _additive_attention,
    L.TimeDistributed: _at_each_step,
    L.SpectralNormalization: _normalize,
}
for _kind in (L.Conv1D, L.Conv2D, L.Conv3D, L.DepthwiseConv1D, L.DepthwiseConv2D):
    _USES[_kind] = lambda call: [_pixels(call.layer, call.outputs[0])]
for _kind in (L.SeparableConv1D, L.SeparableConv2D):
    _USES[_kind] = lambda call: [_pixels(call.layer, call.outputs[0])] * 2
for _kind in (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose):
    _USES[_kind] = lambda call: [_pixels(call.layer, call.inputs[0])]
for _kind in (L.LSTM, L.GRU, L.SimpleRNN, L.RNN, L.Bidirectional, *_CONVOLUTIONS_OVER_TIME):
    _USES[_kind] = _recurrent
