"""Networks as ONNX files: for MATLAB's importer, and for every other runtime."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from matlab_bridge._atomic import replace_whole
from matlab_bridge._errors import InvalidNetworkError, MissingPackageError
from matlab_bridge._public import public_layer
from matlab_bridge.network import Network
from matlab_bridge.write._model import demand_weights, network_of, path_first, sources_of, without_output_layers

if TYPE_CHECKING:
    import keras


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

    from ._translate import onnx_model

    if Path(path).suffix != ".onnx":
        raise InvalidNetworkError(f"export_onnx writes a file that ends in .onnx, but got {os.fspath(path)}.")
    net = network_of(network)
    net = without_output_layers(replace(net, layers=tuple(map(public_layer, net.layers))))
    demand_weights(net)
    model = onnx_model(net)
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
