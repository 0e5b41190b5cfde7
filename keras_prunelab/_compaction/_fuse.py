"""Batch normalization as part of the layer before it, zero padding as part of the layer behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._channels import channel_axis, weights_of
from keras_prunelab._channels._graph import Call, Graph, graph_of
from keras_prunelab._model._rebuild import config_of, copy_of, inside, is_stepwise, nothing, rebuild
from keras_prunelab.layers._strip import without_wrappers

from ._build import assign_weights, update_config
from ._equivalence import check_equivalence

L = keras.layers

# The axis of the last kernel that counts outputs; two for a depthwise kernel, (channels, multiplier).
_OUTPUTS = {
    **dict.fromkeys((L.Dense, L.Conv1D, L.Conv2D, L.Conv3D, L.SeparableConv1D, L.SeparableConv2D), (-1,)),
    **dict.fromkeys((L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose), (-2,)),
    **dict.fromkeys((L.DepthwiseConv1D, L.DepthwiseConv2D), (-2, -1)),
}


def fuse(model: keras.Model, data: Any = None) -> keras.Model:
    """Make a model without those batch normalizations and zero paddings that the layer next to them can do.

    A convolution or fully connected layer without an activation, whose output goes to a batch normalization and nowhere
    else, takes up its scale in the kernel and its offset in the bias. A convolution behind a padding that is as wide as
    `padding="same"` makes it pads by itself. The outputs are the same in inference; do this last, because the smaller
    model cannot be trained like the other one.

    A normalization that makes an output of the model stays, because losses and metrics go by its name; so does one that
    computes in another precision than the layer before it.

    Args:
        model: a built functional or sequential model, which is only read. `Pruned` wrappers are taken off.
        data: data of your own to compare both models on, beside random inputs, as for `compact`.

    Returns:
        A plain Keras model without these layers. All zeros of kernels are kept.

    Raises:
        InvalidModelError: the model is not built, or a subclass whose `call` nobody can look into.
        NotEquivalentError: the outputs differ by more than 1e-4 of the largest output, in float32.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 3)),
        ...     keras.layers.ZeroPadding2D(1),
        ...     keras.layers.Conv2D(4, 3, use_bias=False),
        ...     keras.layers.BatchNormalization(),
        ...     keras.layers.ReLU(),
        ... ])
        >>> fused = kpl.fuse(model)
        >>> len(fused.layers), fused.layers[0].use_bias, fused.layers[0].padding
        (2, True, 'same')
    """
    plain = without_wrappers(model)
    graph = graph_of(plain)
    pairs = list(_pairs(graph))
    named = set(graph.outputs)
    norms = {
        id(first.layer): second.layer
        for first, second in pairs
        if _normalizes(first, second) and named.isdisjoint(second.outputs)
    }
    paddings = {id(second.layer): first.layer for first, second in pairs if _is_padding(first, second)}
    called = {id(call.layer) for call in graph.calls}
    absorbed = {id(layer) for layer in (*norms.values(), *paddings.values())}
    made: list[tuple[Any, Any, list[NDArray[Any]]]] = []

    def replace(layer: Any) -> Any:
        if id(layer) in absorbed:
            return nothing
        if not isinstance(layer, L.Layer):
            return layer
        if is_stepwise(layer) and id(layer) not in called:
            return inside
        norm = norms.get(id(layer))
        changes: dict[str, Any] = {} if norm is None else {"use_bias": True}
        if id(layer) in paddings:
            changes["padding"] = "same"
        new = type(layer).from_config(update_config(config_of(layer), changes)) if changes else copy_of(layer)
        made.append((layer, new, weights_of(layer) if norm is None else _fuse(layer, norm)))
        return new

    fused = rebuild(plain, replace, what="fused")
    for layer, new, weights in made:
        assign_weights(new, weights, layer)
    if absorbed:  # else it is a copy
        check_equivalence(plain, fused, data)
    return fused


def _pairs(graph: Graph) -> Iterator[tuple[Call, Call]]:
    """Calls of two layers, each called once, of which the second alone reads what the first gives out."""
    times = Counter(id(call.layer) for call in graph.calls)
    readers = Counter([*graph.outputs, *(tensor for call in graph.calls for tensor in call.inputs)])
    makers = {tensor: call for call in graph.calls for tensor in call.outputs}
    for call in graph.calls:
        before = makers.get(call.inputs[0]) if call.inputs else None
        if (
            before is not None
            and times[id(before.layer)] == times[id(call.layer)] == 1
            and readers[call.inputs[0]] == 1
        ):
            yield before, call


def _is_padding(first: Call, second: Call) -> bool:
    """Whether the second layer can pad as the first one does; the input of a model inside has a size of its own."""
    models = {call.name.rpartition("/")[0] for call in (first, second)}
    return len(models) == 1 and _pads_as_same(first, second.layer)


def _normalizes(first: Call, second: Call) -> bool:
    """Whether the second layer is a batch normalization that the first one can do."""
    layer, norm = first.layer, second.layer
    if type(norm) is not L.BatchNormalization or type(layer) not in _OUTPUTS:
        return False
    if layer.compute_dtype != norm.compute_dtype:
        return False  # what comes out would have another type
    if len(layer.weights) != _kernels(layer) + layer.use_bias:
        return False  # quantized, or with a low-rank addition
    rank = len(second.inputs[0].shape)
    axis = rank - 1 if type(layer) is L.Dense else channel_axis(layer, rank)
    linear = layer.activation is None or layer.activation is keras.activations.linear
    return linear and norm.axis % rank == axis and layer.activity_regularizer is None


def _kernels(layer: Any) -> int:
    return 2 if isinstance(layer, (L.SeparableConv1D, L.SeparableConv2D)) else 1


def _fuse(layer: Any, norm: Any) -> list[NDArray[Any]]:
    """The weights of a layer that does what a normalization behind it did."""
    values = [np.asarray(each, np.float64) for each in weights_of(norm)]
    scale = values.pop(0) if norm.scale else np.ones(values[-1].shape)
    offset = values.pop(0) if norm.center else np.zeros(values[-1].shape)
    mean, variance = values
    scale = scale / np.sqrt(variance + norm.epsilon)
    *kernels, bias = weights_of(layer) if layer.use_bias else [*weights_of(layer), np.zeros(scale.shape)]
    axes = _OUTPUTS[type(layer)]
    kernel = kernels[-1]
    lengths = [1] * kernel.ndim
    for axis in axes:
        lengths[axis] = kernel.shape[axis]
    dtype = kernel.dtype
    return [
        *kernels[:-1],
        (kernel * scale.reshape(lengths)).astype(dtype),
        (offset + (bias - mean) * scale).astype(dtype),
    ]


_PADDINGS = (L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D)
_PLAIN = (L.Conv1D, L.Conv2D, L.Conv3D)
_CONVOLUTIONS = (*_PLAIN, L.DepthwiseConv1D, L.DepthwiseConv2D, L.SeparableConv1D, L.SeparableConv2D)


def _pads_as_same(padding: Call, layer: Any) -> bool:
    """Whether a call adds just the zeros that a layer behind it would add with `padding="same"`.

    Args:
        padding: the call of a layer.
        layer: the layer that alone reads what it gives out.
    """
    pad = padding.layer
    if type(pad) not in _PADDINGS or type(layer) not in _CONVOLUTIONS or layer.padding != "valid":
        return False
    if getattr(pad, "data_format", layer.data_format) != layer.data_format:
        return False
    shape = padding.inputs[0].shape
    lengths = shape[2:] if layer.data_format == "channels_first" else shape[1:-1]
    ends = [pad.padding] if isinstance(pad, L.ZeroPadding1D) else pad.padding
    return all(
        _is_same(*each)
        for each in zip(lengths, ends, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    )


def _is_same(length: int | None, ends: tuple[int, int], kernel: int, stride: int, dilation: int) -> bool:
    """Whether zeros at both ends do what `padding="same"` does along one axis.

    "Same" gives as many outputs as strides begin within the input, and adds the zeros that their kernels lack, the odd
    one at the end: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    before, after = ends
    reach = dilation * (kernel - 1) + 1
    if stride == 1:
        return before == (reach - 1) // 2 and before + after == reach - 1
    if length is None:
        return False  # how many zeros are lacking depends on it
    count = -(-length // stride)
    lacking = max(0, (count - 1) * stride + reach - length)
    # Zeros at the end that no kernel reaches change nothing.
    return before == lacking // 2 and (length + before + after - reach) // stride + 1 == count
