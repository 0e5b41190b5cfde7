"""A network as an ONNX graph: its inputs, its layers in the order of execution, and its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from matlab_bridge._errors import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge._layer import Layer
from matlab_bridge._layer_classes import NAMESAKES
from matlab_bridge._normalization import Normalization
from matlab_bridge.convert.layers.inputs import gain_and_offset
from matlab_bridge.network import Network

from . import operators  # noqa: F401  # it registers what makes layers
from ._graph import MAKERS, Graph, Value

# What MATLAB's importers, old ones too, and all runtimes read.
_OPERATOR_SET = 13
_FORMAT_VERSION = 8

_INPUTS = ("ImageInputLayer", "Image3DInputLayer", "FeatureInputLayer", "SequenceInputLayer")


def onnx_model(network: Network) -> Any:
    """Make the ONNX model of a network.

    Args:
        network: one without output layers, its layers as MATLAB shows them.

    Raises:
        UnsupportedLayerError: for layers without an ONNX operator here, naming each.
        InvalidNetworkError: if the network has no input layer.
    """
    _demand_convertible(network)
    graph, values, inputs = Graph(), dict[str, Value](), []
    for layer in network.execution_order:
        if layer.kind in _INPUTS:
            shape, value = _input(layer)
            inputs.append(helper.make_tensor_value_info(layer.name, TensorProto.FLOAT, ["N", *shape]))
            values[layer.name] = _made(network, layer, graph, [value])
        else:
            sources = [values[connection.source] for connection in network.inputs_of(layer.name)]
            values[layer.name] = _made(network, layer, graph, sources)
    outputs = []
    for name in _output_names(network):
        end = values[name]
        last = graph.vector(end, name) if end.is_pixel else end.name
        rank = 2 if end.size is None or end.is_pixel else 2 + len(end.size)
        if any(last == each.name for each in inputs):
            last = graph.node("Identity", [last], f"{name}.output")
        outputs.append(helper.make_tensor_value_info(last, TensorProto.FLOAT, ["N", *[None] * (rank - 1)]))
    constants = [numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "network", inputs, outputs, constants),
        producer_name="keras-prunelab",
        producer_version=version("keras-prunelab"),
        opset_imports=[helper.make_opsetid("", _OPERATOR_SET)],
        ir_version=_FORMAT_VERSION,
    )
    helper.set_model_props(model, {"class_names": "\n".join(network.class_names)})
    return model


def _input(layer: Layer) -> tuple[list[Any], Value]:
    sizes: list[Any] = [int(size) for size in np.ravel(layer.settings["InputSize"])]
    if layer.kind == "FeatureInputLayer":
        return sizes, Value(layer.name)
    if layer.kind == "SequenceInputLayer":
        if len(sizes) > 1:
            raise UnsupportedLayerError("its sequences are of images")
        return [*sizes, "T"], Value(layer.name, (None,))
    rank = 3 if layer.kind == "Image3DInputLayer" else 2
    *image, channels = (*sizes, 1)[: rank + 1]
    return [channels, *image], Value(layer.name, tuple(image))


def _normalize(graph: Graph, layer: Layer, value: Value) -> Value:
    """An input after its normalization."""
    normalization = Normalization.of(layer)
    if normalization.type == "none":
        return value
    if not normalization.is_trained:
        raise UnsupportedLayerError("its Normalization has no statistics yet; train the network first")
    name = value.name
    for operator, constant, neutral in zip(("Mul", "Add"), gain_and_offset(normalization), (1, 0), strict=True):
        if np.all(constant == neutral):
            continue
        channels_first = np.moveaxis(np.asarray(constant), -1, 0) if np.ndim(constant) >= 3 else constant
        if value.is_sequence:
            channels_first = np.reshape(constant, (-1, 1))
        by = graph.constant(f"{layer.name}.{operator}Constant", channels_first)
        name = graph.node(operator, [name, by], f"{layer.name}.{operator}")
    return Value(name, value.size)


def _made(network: Network, layer: Layer, graph: Graph, sources: list[Value]) -> Value:
    try:
        if layer.kind in _INPUTS:
            return _normalize(graph, layer, sources[0])
        return MAKERS[layer.kind](graph, layer, sources)
    except UnsupportedLayerError as error:
        raise _unsupported(network, {layer.name: str(error)}) from error


def _output_names(network: Network) -> Iterator[str]:
    sources = {connection.source for connection in network.connections}
    yield from network.output_names or (layer.name for layer in network.layers if layer.name not in sources)


def _demand_convertible(network: Network) -> None:
    """All layers without an operator are named in one error."""
    strange = {
        layer.name: "there is no ONNX operator for it here"
        for layer in network.layers
        if not layer.class_name.startswith(("nnet.", "rl."))
        or layer.class_name in NAMESAKES
        or layer.kind not in (*MAKERS, *_INPUTS)
    }
    if strange:
        raise _unsupported(network, strange)
    if not all(layer.kind in _INPUTS or network.inputs_of(layer.name) for layer in network.layers):
        raise InvalidNetworkError(
            "The network has no input layer, or layers that nothing feeds, so that their input sizes are not known. "
            "Begin it with an imageInputLayer or a featureInputLayer."
        )


def _unsupported(network: Network, reasons: dict[str, str]) -> UnsupportedLayerError:
    lines = [f"  {name!r} ({network[name].class_name}): {reason}" for name, reason in reasons.items()]
    return UnsupportedLayerError(
        "\n".join([f"{len(lines)} of {len(network.layers)} layers cannot be written as ONNX:", *lines])
        + "\nNothing was written. export_matlab_code and save_portable bring more layers to MATLAB."
    )
