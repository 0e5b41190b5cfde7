"""The ONNX operators that do what MATLAB's layers do, one function a kind of layer.

Images are (N, C, H, W), features (N, C). Operators are those of operator set 13, which importers of all ages know.

Source: https://github.com/onnx/onnx/blob/main/docs/Operators.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge.networks._network import Array, Layer, padded_shape
from matlab_bridge.networks._normalization import Normalization
from matlab_bridge.networks.layers._settings import flag, integer, number, numbers, text
from matlab_bridge.networks.layers._window import Window, padding_of, same_cropping
from matlab_bridge.networks.layers.inputs import gain_and_offset

Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph: its name, and the height and width of images; None for vectors."""

    name: str
    size: Size | None = None

    @property
    def is_pixel(self) -> bool:
        """Whether it holds images of 1x1 pixels, which count as vectors."""
        return self.size == (1, 1)


@dataclass(slots=True)
class Graph:
    """The nodes and the constants that were made so far, in an order in which they can run."""

    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add an operator; it and its output are called `name`."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        """Add an array, such as the weights of a layer."""
        self.constants[name] = np.ascontiguousarray(array, dtype=dtype)
        return name

    def vector(self, value: Value, name: str) -> str:
        """A tensor as vectors, the elements of an image in MATLAB's order: rows, then columns, then channels."""
        if value.size is None:
            return value.name
        source = value.name
        if not value.is_pixel:
            source = self.node("Transpose", [source], f"{name}.columns", perm=[0, 1, 3, 2])
        return self.node("Flatten", [source], f"{name}.flat", axis=1)


Make = Callable[[Graph, Layer, Sequence[Value]], Value]

MAKERS: dict[str, Make] = {}


def makes(*kinds: str) -> Callable[[Make], Make]:
    """Register the function for layers of MATLAB's."""

    def decorate(make: Make) -> Make:
        MAKERS.update(dict.fromkeys((f"{kind}Layer" for kind in kinds), make))
        return make

    return decorate


def normalized(graph: Graph, layer: Layer, value: Value) -> Value:
    """An input after its normalization."""
    normalization = Normalization.of(layer)
    if normalization.type == "none":
        return value
    name = value.name
    for operator, constant, neutral in zip(("Mul", "Add"), gain_and_offset(normalization), (1, 0), strict=True):
        if np.all(constant == neutral):
            continue
        channels_first = np.moveaxis(np.asarray(constant), -1, 0) if np.ndim(constant) == 3 else constant
        by = graph.constant(f"{layer.name}.{operator}Constant", channels_first)
        name = graph.node(operator, [name, by], f"{layer.name}.{operator}")
    return Value(name, value.size)


def _learnable(graph: Graph, layer: Layer, name: str, array: Array) -> str:
    return graph.constant(f"{layer.name}.{name}", array)


def _sides(layer: Layer, name: str) -> list[int]:
    """MATLAB's `[top bottom left right]` as ONNX's `[top left bottom right]`."""
    sizes = [int(size) for size in numbers(layer, name, (0,))]
    top, bottom, left, right = {1: sizes * 4, 2: [sizes[0]] * 2 + [sizes[-1]] * 2}.get(len(sizes), sizes)
    return [top, left, bottom, right]


def _pair(layer: Layer, name: str, default: tuple[float, ...] | None = None) -> Size:
    """`[vertical horizontal]`; one number stands for both."""
    vertical, *rest = (int(size) for size in numbers(layer, name, default))
    return vertical, rest[0] if rest else vertical


def _image_size(values: Sequence[Value]) -> Size:
    """The height and width of the first input."""
    if values[0].size is None:
        raise UnsupportedLayerError("it acts on images, but vectors reach it")
    return values[0].size


def _moving(layer: Layer, values: Sequence[Value], size_setting: str) -> tuple[dict[str, Any], Size]:
    """The attributes of a window that moves over images, and the size of what it gives."""
    image = _image_size(values)
    stride, dilation = _pair(layer, "Stride", (1,)), _pair(layer, "DilationFactor", (1,))
    window = Window(_pair(layer, size_setting), stride, dilation)
    margins: Any = padding_of(layer, image, window)
    (top, bottom), (left, right) = margins.pairs
    rows, columns = (
        (length + added - extent) // step + 1
        for length, added, extent, step in zip(image, (top + bottom, left + right), window.extent, stride, strict=True)
    )
    return {"kernel_shape": window.size, "strides": stride, "pads": [top, left, bottom, right]}, (rows, columns)


@makes("Convolution2D", "GroupedConvolution2D")
def _convolution(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    if text(layer, "PaddingValue") or number(layer, "PaddingValue", 0):
        raise UnsupportedLayerError("its PaddingValue is not 0")
    attributes, size = _moving(layer, values, "FilterSize")
    height, width = attributes["kernel_shape"]
    weights = padded_shape(layer.learnables["Weights"], 4)
    channels = weights.shape[2]
    # FH x FW x C/g x K/g x g: in column-major order the filters of a group follow each other.
    weights = weights.reshape((height, width, channels, -1), order="F")
    groups = 1
    if layer.kind == "GroupedConvolution2DLayer":
        groups = weights.shape[3] // integer(layer, "NumFiltersPerGroup")
    elif len(numbers(layer, "NumFilters")) > 1:
        groups = len(numbers(layer, "NumFilters"))
    inputs = [
        values[0].name,
        _learnable(graph, layer, "Weights", weights.transpose(3, 2, 0, 1)),
        _learnable(graph, layer, "Bias", layer.learnables["Bias"].ravel(order="F")),
    ]
    attributes |= {"dilations": _pair(layer, "DilationFactor", (1,)), "group": groups}
    return Value(graph.node("Conv", inputs, layer.name, **attributes), size)


@makes("TransposedConvolution2D")
def _transposed_convolution(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    image, extent, stride = _image_size(values), _pair(layer, "FilterSize"), _pair(layer, "Stride", (1,))
    cut = _sides(layer, "CroppingSize")
    if text(layer, "CroppingMode", "manual") == "same":
        (top, bottom), (left, right) = same_cropping(Window(extent, stride)).pairs
        cut = [top, left, bottom, right]
        if min(cut) < 0:
            raise UnsupportedLayerError("its filter is smaller than its stride, and it crops 'same'")
    weights = padded_shape(layer.learnables["Weights"], 4).transpose(3, 2, 0, 1)
    inputs = [
        values[0].name,
        _learnable(graph, layer, "Weights", weights),
        _learnable(graph, layer, "Bias", layer.learnables["Bias"].ravel(order="F")),
    ]
    node = graph.node("ConvTranspose", inputs, layer.name, kernel_shape=extent, strides=stride, pads=cut)
    removed = (cut[0] + cut[2], cut[1] + cut[3])
    rows, columns = (
        (length - 1) * step + covered - less
        for length, step, covered, less in zip(image, stride, extent, removed, strict=True)
    )
    return Value(node, (rows, columns))


@makes("FullyConnected")
def _fully_connected(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    bias = layer.learnables["Bias"].ravel(order="F")
    inputs = [
        graph.vector(values[0], layer.name),
        # O x N, also where there is one output
        _learnable(graph, layer, "Weights", layer.learnables["Weights"].reshape((bias.size, -1), order="F")),
        _learnable(graph, layer, "Bias", bias),
    ]
    return Value(graph.node("Gemm", inputs, layer.name, transB=1))


@makes("Flatten")
def _flatten(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    return Value(graph.vector(values[0], layer.name))


@makes("BatchNormalization")
def _batch_normalization(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    names = ("Scale", "Offset", "TrainedMean", "TrainedVariance")
    arrays = [_learnable(graph, layer, name, layer.parameters[name].ravel(order="F")) for name in names]
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


@makes("MaxPooling2D", "AveragePooling2D")
def _pooling(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    if flag(layer, "HasUnpoolingOutputs"):
        raise UnsupportedLayerError("it also gives the indices of the maxima (HasUnpoolingOutputs)")
    attributes, size = _moving(layer, values, "PoolSize")
    if layer.kind == "MaxPooling2DLayer":
        return Value(graph.node("MaxPool", [values[0].name], layer.name, **attributes), size)
    counts = int(text(layer, "PaddingValue") != "mean")
    node = graph.node("AveragePool", [values[0].name], layer.name, count_include_pad=counts, **attributes)
    return Value(node, size)


@makes("GlobalAveragePooling2D")
def _global_mean(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    _image_size(values)
    return Value(graph.node("GlobalAveragePool", [values[0].name], layer.name), (1, 1))


@makes("GlobalMaxPooling2D")
def _global_maximum(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    _image_size(values)
    return Value(graph.node("GlobalMaxPool", [values[0].name], layer.name), (1, 1))


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
def _clipped(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    limits = [
        graph.constant(f"{layer.name}.Floor", np.float32(0)),
        graph.constant(f"{layer.name}.Ceiling", np.float32(number(layer, "Ceiling"))),
    ]
    return Value(graph.node("Clip", [values[0].name, *limits], layer.name), values[0].size)


@makes("Swish")
def _swish(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    gate = graph.node("Sigmoid", [values[0].name], f"{layer.name}.gate")
    return Value(graph.node("Mul", [values[0].name, gate], layer.name), values[0].size)


@makes("Dropout", "SpatialDropout", "Identity")
def _nothing(_graph: Graph, _layer: Layer, values: Sequence[Value]) -> Value:
    return values[0]


@makes("Addition")
def _addition(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    return _joined(graph, "Sum", layer, values)


@makes("DepthConcatenation")
def _depth_concatenation(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    return _joined(graph, "Concat", layer, values, axis=1)


def _joined(graph: Graph, operator: str, layer: Layer, values: Sequence[Value], **attributes: Any) -> Value:
    """Several inputs; vectors become images of 1x1 pixels where others are images."""
    names = [value.name for value in values]
    if len({value.size is None for value in values}) > 1:
        axes = graph.constant(f"{layer.name}.axes", [2, 3], np.int64)
        names = [
            value.name if value.size else graph.node("Unsqueeze", [value.name, axes], f"{layer.name}.image{number}")
            for number, value in enumerate(values, start=1)
        ]
    # Images of one pixel spread over those of more.
    size = max((value.size for value in values if value.size), default=None)
    return Value(graph.node(operator, names, layer.name, **attributes), size)
