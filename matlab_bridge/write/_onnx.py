"""Networks as ONNX files: for MATLAB's importer, and for every other runtime."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matlab_bridge._atomic import replace_whole
from matlab_bridge._errors import InvalidNetworkError, MissingPackageError, UnsupportedLayerError
from matlab_bridge._layer import Layer
from matlab_bridge._layer_classes import NAMESAKES
from matlab_bridge._public import public_layer
from matlab_bridge.network import Network

from ._model import demand_weights, network_of, path_first, sources_of
from ._without_outputs import without_output_layers

if TYPE_CHECKING:
    import keras

# What MATLAB's importers, old ones too, and all runtimes read.
_OPERATOR_SET = 13
_FORMAT_VERSION = 8

_INPUTS = ("ImageInputLayer", "Image3DInputLayer", "FeatureInputLayer", "SequenceInputLayer")


def export_onnx(path: str | os.PathLike[str], network: keras.Model | Network) -> None:
    """Write a network as an ONNX file, with its layers' names and its weights in single precision, zeros and all.

    MATLAB's `importNetworkFromONNX` reads it, and so does onnxruntime. Each layer is an operator of its name, and its
    weights are `"conv1.Weights"` and `"conv1.Bias"`. Images are (N, C, H, W), channels first as everywhere in ONNX,
    volumes (N, C, H, W, D), sequences (N, C, T), and features (N, D); the numbers N and T are open. The normalization
    of the input is part of the graph, and dropout is left out. The class names stand in the metadata, as
    `"class_names"`, one a line.

    The graph is made of the network itself, and not by tracing the Keras model: so it is the same on all backends,
    channels are first, and no converter is needed besides the package `onnx`.

    Args:
        path: the file to write, such as `"net.onnx"`. Version 0.1 took the network first; that order still works,
            with a warning.
        network: a built Keras model, pruned or compacted or not, or a network from `load_network`.

    Raises:
        MissingPackageError: if the package `onnx` is not installed.
        UnsupportedLayerError: for layers without an ONNX operator here, naming each; nothing is written then.
            Attention is among them; `export_matlab_code` takes it.
        UntrainedNetworkError: if layers have no weights yet.
        InvalidNetworkError: if the network has no input layer, or the file has another ending.

    Examples:
        >>> import tempfile, keras, matlab_bridge as mb
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")])
        >>> mb.export_onnx(f"{tempfile.mkdtemp()}/net.onnx", model)
    """
    path, network = path_first("export_onnx", path, network)
    _demand_onnx()
    import onnx

    if Path(path).suffix != ".onnx":
        raise InvalidNetworkError(f"export_onnx writes a file that ends in .onnx, but got {os.fspath(path)}.")
    net = network_of(network)
    net = without_output_layers(replace(net, layers=tuple(map(public_layer, net.layers))))
    demand_weights(net)
    model = _model(net)
    onnx.checker.check_model(model, full_check=True)
    with replace_whole(path, sources=sources_of(network)) as temporary:
        onnx.save_model(model, str(temporary))


def _demand_onnx() -> None:
    try:
        import onnx  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise MissingPackageError(
            "export_onnx needs the package onnx, which is not installed: pip install 'keras-prunelab[onnx]'."
        ) from error


def _model(network: Network) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    from ._onnx_nodes import Graph

    _demand_convertible(network)
    graph, values, inputs = Graph(), {}, []
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


def _input(layer: Layer) -> tuple[list[Any], Any]:
    from ._onnx_nodes import Value

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


def _made(network: Network, layer: Layer, graph: Any, sources: list[Any]) -> Any:
    from ._onnx_nodes import normalize
    from ._onnx_operators import MAKERS

    try:
        if layer.kind in _INPUTS:
            return normalize(graph, layer, sources[0])
        return MAKERS[layer.kind](graph, layer, sources)
    except UnsupportedLayerError as error:
        raise _unsupported(network, {layer.name: str(error)}) from error


def _output_names(network: Network) -> Iterator[str]:
    sources = {connection.source for connection in network.connections}
    yield from network.output_names or (layer.name for layer in network.layers if layer.name not in sources)


def _demand_convertible(network: Network) -> None:
    """All layers without an operator are named in one error."""
    from ._onnx_operators import MAKERS

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
