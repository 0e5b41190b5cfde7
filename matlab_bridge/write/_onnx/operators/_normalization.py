"""The ONNX operators of normalizations: over batches, neighbouring channels, and each observation by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Layer
from matlab_bridge.convert.layers._settings import integer, number, text
from matlab_bridge.write._onnx._graph import Graph, Value, learnable, makes


@makes("BatchNormalization")
def _batch_normalization(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    names = ("Scale", "Offset", "TrainedMean", "TrainedVariance")
    arrays = [learnable(graph, layer, name, layer.parameters[name].ravel(order="F")) for name in names]
    epsilon = number(layer, "Epsilon", 1e-5)
    inputs = [values[0].name, *arrays]
    return Value(graph.node("BatchNormalization", inputs, layer.name, epsilon=epsilon), values[0].size)


@makes("CrossChannelNormalization")
def _cross_channel(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    attributes = {
        "size": integer(layer, "WindowChannelSize"),
        "alpha": number(layer, "Alpha", 1e-4),
        "beta": number(layer, "Beta", 0.75),
        "bias": number(layer, "K", 2),
    }
    return Value(graph.node("LRN", [values[0].name], layer.name, **attributes), values[0].size)


@makes("LayerNormalization")
def _layer_normalization(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    value, name = values[0], layer.name
    space = len(value.size or ())
    operation = text(layer, "OperationDimension", "batch-excluded")
    if operation == "auto":
        operation = "channel-only" if space < 2 else "batch-excluded"
    if operation == "spatial-channel":
        operation = "channel-only" if value.is_sequence else "batch-excluded"
    axes = [1] if operation == "channel-only" else [*range(1, 2 + space)]
    mean = graph.node("ReduceMean", [value.name], f"{name}.mean", axes=axes)
    centered = graph.node("Sub", [value.name, mean], f"{name}.centered")
    squares = graph.node("Mul", [centered, centered], f"{name}.squares")
    variance = graph.node("ReduceMean", [squares], f"{name}.variance", axes=axes)
    epsilon = graph.constant(f"{name}.Epsilon", np.float32(number(layer, "Epsilon", 1e-5)))
    deviation = graph.node("Sqrt", [graph.node("Add", [variance, epsilon], f"{name}.sum")], f"{name}.deviation")
    normalized = graph.node("Div", [centered, deviation], f"{name}.normalized")
    return Value(_scale(graph, layer, normalized, space), value.size)


def _scale(graph: Graph, layer: Layer, normalized: str, space: int) -> str:
    """Times `Scale`, plus `Offset`, of each channel."""
    scale, offset = (
        learnable(graph, layer, name, layer.learnables[name].reshape((-1,) + (1,) * space, order="F"))
        for name in ("Scale", "Offset")
    )
    return graph.node("Add", [graph.node("Mul", [normalized, scale], f"{layer.name}.scaled"), offset], layer.name)


@makes("GroupNormalization", "InstanceNormalization")
def _group_normalization(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    value, name = values[0], layer.name
    channels = layer.learnables["Scale"].size
    words = {"all-channels": 1, "channel-wise": channels}
    groups = channels
    if layer.kind == "GroupNormalizationLayer":
        word = text(layer, "NumGroups")
        groups = words[word] if word in words else integer(layer, "NumGroups")
    if value.size is None and groups == channels:
        raise UnsupportedLayerError("it normalizes single numbers")
    # The channels of a group become the space of one channel, which instances are normalized over.
    parts = graph.constant(f"{name}.Groups", [0, groups, -1], np.int64)
    grouped = graph.node("Reshape", [value.name, parts], f"{name}.grouped")
    neutral = [graph.constant(f"{name}.Ones", np.ones(groups)), graph.constant(f"{name}.Zeros", np.zeros(groups))]
    epsilon = number(layer, "Epsilon", 1e-5)
    normal = graph.node("InstanceNormalization", [grouped, *neutral], f"{name}.normal", epsilon=epsilon)
    shape = graph.node("Shape", [value.name], f"{name}.shape")
    normalized = graph.node("Reshape", [normal, shape], f"{name}.normalized")
    return Value(_scale(graph, layer, normalized, len(value.size or ())), value.size)
