"""The ONNX operators of convolutions and poolings, over images of 1, 2 and 3 dimensions; sequences are of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Layer, padded_shape
from matlab_bridge.convert.layers._settings import flag, integer, number, numbers, sizes, text
from matlab_bridge.convert.layers._window import Window, manual_margins, padding_of, same_cropping
from matlab_bridge.write._onnx._graph import Graph, Size, Value, learnable, makes


def _image_size(values: Sequence[Value], layer: Layer) -> Size:
    """The sizes of the first input."""
    size, rank = values[0].size, _rank(layer)
    if size is None or len(size) != rank:
        raise UnsupportedLayerError(f"it acts on images of {rank} dimensions, but others, or vectors, reach it")
    return size


def _rank(layer: Layer) -> int:
    return int(layer.kind.removesuffix("DLayer")[-1])


def _moving(layer: Layer, values: Sequence[Value], size_setting: str) -> tuple[dict[str, Any], Size]:
    """The attributes of a window that moves over images, and the size of what it gives."""
    image, rank = _image_size(values, layer), _rank(layer)
    stride, dilation = sizes(layer, "Stride", rank, 1), sizes(layer, "DilationFactor", rank, 1)
    window = Window(sizes(layer, size_setting, rank), stride, dilation)
    attributes: dict[str, Any] = {"kernel_shape": window.size, "strides": stride}
    margins = padding_of(layer, image, window)
    if margins is None:  # of a length that is open; the output is the length by the stride, rounded up
        return {**attributes, "auto_pad": "SAME_UPPER"}, image
    befores, afters = zip(*margins.pairs, strict=True)
    reached = tuple(
        None if length is None else (length + before + after - extent) // step + 1
        for length, before, after, extent, step in zip(image, befores, afters, window.extent, stride, strict=True)
    )
    return {**attributes, "pads": [*befores, *afters]}, reached


@makes("Convolution1D", "Convolution2D", "Convolution3D", "GroupedConvolution2D")
def _convolution(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    if text(layer, "PaddingValue") or number(layer, "PaddingValue", 0):
        raise UnsupportedLayerError("its PaddingValue is not 0")
    attributes, size = _moving(layer, values, "FilterSize")
    rank = _rank(layer)
    weights = padded_shape(layer.learnables["Weights"], rank + 2)
    # FH x FW x C/g x K/g x g: in column-major order the filters of a group follow each other.
    weights = weights.reshape((*attributes["kernel_shape"], weights.shape[rank], -1), order="F")
    groups = 1
    if layer.kind == "GroupedConvolution2DLayer":
        groups = weights.shape[3] // integer(layer, "NumFiltersPerGroup")
    elif len(numbers(layer, "NumFilters")) > 1:
        groups = len(numbers(layer, "NumFilters"))
    inputs = [
        values[0].name,
        learnable(graph, layer, "Weights", weights.transpose(rank + 1, rank, *range(rank))),
        learnable(graph, layer, "Bias", layer.learnables["Bias"].ravel(order="F")),
    ]
    attributes |= {"dilations": sizes(layer, "DilationFactor", rank, 1), "group": groups}
    return Value(graph.node("Conv", inputs, layer.name, **attributes), size)


@makes("TransposedConvolution1D", "TransposedConvolution2D", "TransposedConvolution3D")
def _transposed_convolution(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    image, rank = _image_size(values, layer), _rank(layer)
    window = Window(sizes(layer, "FilterSize", rank), sizes(layer, "Stride", rank, 1))
    if text(layer, "CroppingMode", "manual") == "same":
        cut = same_cropping(window)
        if cut.least < 0:
            raise UnsupportedLayerError("its filter is smaller than its stride, and it crops 'same'")
    else:
        cut = manual_margins(layer, rank, "CroppingSize", "Cropping")
    befores, afters = zip(*cut.pairs, strict=True)
    weights = padded_shape(layer.learnables["Weights"], rank + 2).transpose(rank + 1, rank, *range(rank))
    inputs = [
        values[0].name,
        learnable(graph, layer, "Weights", weights),
        learnable(graph, layer, "Bias", layer.learnables["Bias"].ravel(order="F")),
    ]
    attributes = {"kernel_shape": window.size, "strides": window.stride, "pads": [*befores, *afters]}
    reached = tuple(
        None if length is None else (length - 1) * step + covered - before - after
        for length, step, covered, before, after in zip(image, window.stride, window.size, befores, afters, strict=True)
    )
    return Value(graph.node("ConvTranspose", inputs, layer.name, **attributes), reached)


@makes(*(f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def _pooling(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    if flag(layer, "HasUnpoolingOutputs"):
        raise UnsupportedLayerError("it also gives the indices of the maxima (HasUnpoolingOutputs)")
    attributes, size = _moving(layer, values, "PoolSize")
    if layer.kind.startswith("Max"):
        return Value(graph.node("MaxPool", [values[0].name], layer.name, **attributes), size)
    counts = int(text(layer, "PaddingValue") != "mean")
    node = graph.node("AveragePool", [values[0].name], layer.name, count_include_pad=counts, **attributes)
    return Value(node, size)


@makes(*(f"Global{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def _global_pooling(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    size = _image_size(values, layer)
    operator = "GlobalMaxPool" if layer.kind.startswith("GlobalMax") else "GlobalAveragePool"
    if not values[0].is_sequence:
        return Value(graph.node(operator, [values[0].name], layer.name), (1,) * len(size))
    whole = graph.node(operator, [values[0].name], f"{layer.name}.whole")
    return Value(graph.node("Flatten", [whole], layer.name, axis=1))
