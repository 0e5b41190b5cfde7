"""Batch normalization as part of the layer before it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._rebuild import copy_of, nothing, rebuilt

from ._build import assign_weights, updated
from ._channels import channel_axis, weights_of
from ._compact import without_wrappers
from ._graph import Graph, graph_of
from ._proof import proved

L = keras.layers

# The axis of the last kernel that counts outputs; two for a depthwise kernel, (channels, multiplier).
_OUTPUTS = {
    **dict.fromkeys((L.Dense, L.Conv1D, L.Conv2D, L.Conv3D, L.SeparableConv1D, L.SeparableConv2D), (-1,)),
    **dict.fromkeys((L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose), (-2,)),
    **dict.fromkeys((L.DepthwiseConv1D, L.DepthwiseConv2D), (-2, -1)),
}


def fuse(model: keras.Model, data: Any = None) -> keras.Model:
    """Make a model without those batch normalizations that the layer before them can do.

    A convolution or fully connected layer without an activation, whose output goes to a batch normalization and nowhere
    else, takes up its scale in the kernel and its offset in the bias. The outputs are the same in inference; do this
    last, because the smaller model cannot be trained like the other one.

    Args:
        model: a built functional or sequential model, which is only read. `Pruned` wrappers are taken off.
        data: inputs of your own to compare both models on, beside random ones.

    Returns:
        A plain Keras model without these normalizations. All zeros of kernels are kept.

    Raises:
        InvalidModelError: the model is not built, or a subclass whose `call` nobody can look into.
        NotEquivalentError: the outputs differ by more than 1e-4 of the largest output, in float32.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 3)),
        ...     keras.layers.Conv2D(4, 3, use_bias=False),
        ...     keras.layers.BatchNormalization(),
        ... ])
        >>> [layer.use_bias for layer in kpl.fuse(model).layers]
        [True]
    """
    plain = without_wrappers(model)
    pairs = _pairs(graph_of(plain))
    absorbed = {id(norm) for norm in pairs.values()}
    made: list[tuple[Any, list[NDArray[Any]]]] = []

    def replace(layer: Any) -> Any:
        if id(layer) in absorbed:
            return nothing
        if not isinstance(layer, L.Layer):
            return layer
        norm = pairs.get(id(layer))
        if norm is None:
            made.append((copy_of(layer), weights_of(layer)))
        else:
            new = type(layer).from_config(updated(layer.get_config(), {"use_bias": True}))
            made.append((new, _fused(layer, norm)))
        return made[-1][0]

    fused = rebuilt(plain, replace, what="fused")
    for new, weights in made:
        assign_weights(new, weights)
    if pairs:  # else it is a copy
        proved(plain, fused, data)
    return fused


def _pairs(graph: Graph) -> dict[int, Any]:
    """Batch normalizations by the id of the layer that can take them up."""
    calls: dict[int, int] = {}
    readers: dict[Any, int] = dict.fromkeys(graph.outputs, 1)
    for call in graph.calls:
        calls[id(call.layer)] = calls.get(id(call.layer), 0) + 1
        for tensor in call.inputs:
            readers[tensor] = readers.get(tensor, 0) + 1
    makers = {tensor: call for call in graph.calls for tensor in call.outputs}
    pairs = {}
    for call in graph.calls:
        before = makers.get(call.inputs[0]) if call.inputs else None
        if type(call.layer) is not L.BatchNormalization or before is None or type(before.layer) not in _OUTPUTS:
            continue
        layer, rank = before.layer, len(call.inputs[0].shape)
        axis = rank - 1 if type(layer) is L.Dense else channel_axis(layer, rank)
        linear = layer.activation is None or layer.activation is keras.activations.linear
        once = calls[id(layer)] == calls[id(call.layer)] == 1 and readers[call.inputs[0]] == 1
        if once and linear and call.layer.axis % rank == axis and layer.activity_regularizer is None:
            pairs[id(layer)] = call.layer
    return pairs


def _fused(layer: Any, norm: Any) -> list[NDArray[Any]]:
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
