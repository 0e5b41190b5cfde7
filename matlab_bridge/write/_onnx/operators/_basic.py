"""The ONNX operators of dense layers, activations, fixed arithmetic, and layers with several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from matlab_bridge._layer import Layer
from matlab_bridge.convert.layers._settings import expanded, number, text
from matlab_bridge.convert.layers.arithmetic import offset_of
from matlab_bridge.write._onnx._graph import Graph, Value, learnable, makes


@makes("FullyConnected")
def _fully_connected(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    bias = layer.learnables["Bias"].ravel(order="F")
    if values[0].is_sequence:  # each step by itself: a convolution of length 1
        weights = layer.learnables["Weights"].reshape((bias.size, -1, 1), order="F")
        inputs = [values[0].name, learnable(graph, layer, "Weights", weights), learnable(graph, layer, "Bias", bias)]
        return Value(graph.node("Conv", inputs, layer.name), values[0].size)
    inputs = [
        graph.vector(values[0], layer.name),
        # O x N, also where there is one output
        learnable(graph, layer, "Weights", layer.learnables["Weights"].reshape((bias.size, -1), order="F")),
        learnable(graph, layer, "Bias", bias),
    ]
    return Value(graph.node("Gemm", inputs, layer.name, transB=1))


@makes("Flatten")
def _flatten(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    return values[0] if values[0].is_sequence else Value(graph.vector(values[0], layer.name))


_WITHOUT_SETTINGS = {"ReLU": "Relu", "Sigmoid": "Sigmoid", "Softplus": "Softplus", "Tanh": "Tanh"}


@makes(*_WITHOUT_SETTINGS)
def _activation(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    operator = _WITHOUT_SETTINGS[layer.kind.removesuffix("Layer")]
    return Value(graph.node(operator, [values[0].name], layer.name), values[0].size)


@makes("Softmax")
def _softmax(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    return Value(graph.node("Softmax", [values[0].name], layer.name, axis=1), values[0].size)


@makes("LeakyReLU")
def _leaky(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    alpha = number(layer, "Scale", 0.01)
    return Value(graph.node("LeakyRelu", [values[0].name], layer.name, alpha=alpha), values[0].size)


@makes("ELU")
def _elu(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    alpha = number(layer, "Alpha", 1)
    return Value(graph.node("Elu", [values[0].name], layer.name, alpha=alpha), values[0].size)


@makes("ClippedReLU")
def _clip(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    limits = [
        graph.constant(f"{layer.name}.Floor", np.float32(0)),
        graph.constant(f"{layer.name}.Ceiling", np.float32(number(layer, "Ceiling"))),
    ]
    return Value(graph.node("Clip", [values[0].name, *limits], layer.name), values[0].size)


@makes("Swish")
def _swish(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    gate = graph.node("Sigmoid", [values[0].name], f"{layer.name}.gate")
    return Value(graph.node("Mul", [values[0].name, gate], layer.name), values[0].size)


@makes("GELU")
def _gelu(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    x, name = values[0].name, layer.name

    def scalar(word: str, value: float) -> str:
        return graph.constant(f"{name}.{word}", np.float32(value))

    if text(layer, "Approximation", "none") == "tanh":
        cube = graph.node("Pow", [x, scalar("Three", 3)], f"{name}.cube")
        part = graph.node("Mul", [cube, scalar("CubeFactor", 0.044715)], f"{name}.part")
        inner = graph.node("Add", [x, part], f"{name}.sum")
        scaled = graph.node("Mul", [inner, scalar("Factor", np.sqrt(2 / np.pi))], f"{name}.scaled")
        share = graph.node("Tanh", [scaled], f"{name}.tanh")
    else:
        scaled = graph.node("Mul", [x, scalar("Factor", np.sqrt(0.5))], f"{name}.scaled")
        share = graph.node("Erf", [scaled], f"{name}.erf")
    half = graph.node("Mul", [x, scalar("Half", 0.5)], f"{name}.half")
    gate = graph.node("Add", [share, scalar("One", 1)], f"{name}.gate")
    return Value(graph.node("Mul", [half, gate], name), values[0].size)


@makes("Scaling")
def _scaling(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    name, spatial = values[0].name, values[0].size or ()
    for operator, setting, neutral in (("Mul", "Scale", 1.0), ("Add", offset_of(layer), 0.0)):
        array = expanded(layer, setting, neutral, () if values[0].is_sequence else spatial)
        array = np.moveaxis(array, -1, 0) if array.ndim > 1 else np.reshape(array, (-1, *(1,) * len(spatial)))
        if np.any(array != neutral):
            by = graph.constant(f"{layer.name}.{setting}", array)
            name = graph.node(operator, [name, by], f"{layer.name}.{setting}Of")
    return Value(graph.node("Identity", [name], layer.name), values[0].size)


@makes("Dropout", "SpatialDropout", "Identity")
def _nothing(_graph: Graph, _layer: Layer, values: Sequence[Value]) -> Value:
    return values[0]


@makes("Addition")
def _addition(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    return _join(graph, "Sum", layer, values)


@makes("Multiplication")
def _multiplication(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    product, *others = values
    for count, value in enumerate(others, start=2):
        name = layer.name if count == len(values) else f"{layer.name}.product{count}"
        product = _join(graph, "Mul", replace(layer, name=name), [product, value])
    return product


@makes("DepthConcatenation")
def _depth_concatenation(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    return _join(graph, "Concat", layer, values, axis=1)


def _join(graph: Graph, operator: str, layer: Layer, values: Sequence[Value], **attributes: Any) -> Value:
    """Several inputs; vectors become images of 1x1 pixels where others are images."""
    names = [value.name for value in values]
    if len({value.size is None for value in values}) > 1:
        rank = max(len(value.size or ()) for value in values)
        axes = graph.constant(f"{layer.name}.axes", [*range(2, 2 + rank)], np.int64)
        names = [
            value.name if value.size else graph.node("Unsqueeze", [value.name, axes], f"{layer.name}.image{number}")
            for number, value in enumerate(values, start=1)
        ]
    # Images of one pixel spread over those of more.
    size = max((value.size for value in values if value.size), key=lambda size: (None in size, size), default=None)
    return Value(graph.node(operator, names, layer.name, **attributes), size)
