"""Networks into portable form: a plain struct, of which `networkFromStruct.m` makes a dlnetwork."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from matlab_bridge import matfile
from matlab_bridge._atomic import refuse_to_overwrite
from matlab_bridge._errors import InvalidNetworkError
from matlab_bridge._layer import Array, Layer
from matlab_bridge._public import public_layer
from matlab_bridge.matfile._elements import texts
from matlab_bridge.matfile._values import CategoricalArray, FunctionHandle
from matlab_bridge.network import Connection, Network
from matlab_bridge.read._portable import FORMAT, VERSION

from ._model import network_of, sources_of

if TYPE_CHECKING:
    import keras


def portable_struct(network: Network) -> dict[str, Any]:
    """A network in portable form.

    Args:
        network: from `load_network`, `from_keras`, or made by hand.

    Returns:
        The struct, as `matlab_bridge.matfile.save` takes it. What is no number, text or cell of text among a
        layer's settings is left out, and a warning names it.

    Examples:
        >>> from matlab_bridge import Layer, Network
        >>> portable_struct(Network((Layer("relu", "nnet.cnn.layer.ReLULayer"),), ()))["Format"]
        'keras-prunelab network'
    """
    ends = [_ends(connection) for connection in network.connections]
    return {
        "Format": FORMAT,
        "FormatVersion": np.array([[VERSION]], dtype=float),
        "Class": network.class_name,
        "Layers": _cell([_layer_struct(public_layer(layer)) for layer in network.layers]),
        "Connections": {
            "Source": _cell([start for start, _ in ends]),
            "Destination": _cell([end for _, end in ends]),
        },
        "OutputNames": _cell(network.output_names),
        "ClassNames": _cell(network.class_names),
    }


def save_portable(
    path: str | os.PathLike[str],
    network: keras.Model | Network,
    *,
    name: str = "net",
    class_names: Iterable[str] = (),
    variables: Mapping[str, Any] | None = None,
    version: Literal["v7", "v7.3"] = "v7",
) -> None:
    """Write a network, of Keras or of MATLAB, into a new MAT-file in portable form.

    `load_network` reads it again; in MATLAB, `networkFromStruct` of the folder `matlab_bridge.toolbox_path()`
    builds a dlnetwork of it.

    Args:
        path: the file; one that exists is replaced.
        network: a built Keras model, or a network from `load_network`.
        name: the name of the variable.
        class_names: in the order of the network's scores; by default those that the network knows.
        variables: further variables of the same file, by name: arrays, text, tables, categoricals, ...
        version: `"v7"`, or `"v7.3"` for variables of 2 GB and more.

    Raises:
        UnsupportedLayerError: if the Keras model has a layer that MATLAB has not.
        InvalidNetworkError: if `variables` has the name of the network's variable.
        OverwriteError: if `path` is the file that the network came from.

    Examples:
        >>> import tempfile, keras, matlab_bridge as mb
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")])
        >>> path = f"{tempfile.mkdtemp()}/net.mat"
        >>> mb.save_portable(path, model, class_names=["no", "yes"])
        >>> mb.load_network(path).class_names
        ('no', 'yes')
    """
    variables = dict(variables or {})
    if name in variables:
        raise InvalidNetworkError(
            f"The network and another variable are both named {name!r}; give the network another name=."
        )
    refuse_to_overwrite(sources_of(network), path)
    matfile.save(path, {name: portable_struct(network_of(network, class_names)), **variables}, version=version)


def _ends(connection: Connection) -> tuple[str, str]:
    start, _, end = str(connection).partition(" -> ")
    return start, end


def _layer_struct(layer: Layer) -> dict[str, Any]:
    return {
        "Name": layer.name,
        "Class": layer.class_name,
        "Settings": _settings(layer),
        "Learnables": dict(layer.learnables),
        "State": dict(layer.state),
    }


def _settings(layer: Layer) -> dict[str, Any]:
    plain = {name: _plain(value) for name, value in layer.settings.items()}
    if strange := [name for name, value in plain.items() if value is None]:
        warnings.warn(
            f"The settings {', '.join(map(repr, strange))} of the layer {layer.name!r} ({layer.kind}) are no "
            f"numbers and no text, and are left out of the portable form.",
            stacklevel=4,
        )
    return {name: value for name, value in plain.items() if value is not None}


def _plain(value: Any) -> Any:
    """Numbers and char as they are, a string as char, categories and strings as a cell; else None."""
    if isinstance(value, FunctionHandle):
        return value.text
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind == "T" and value.size == 1:
        return str(value.item())
    if isinstance(value, np.ndarray | pd.Categorical) and value.size == 0:
        return _cell(())
    if isinstance(value, np.ndarray | pd.Categorical | CategoricalArray):
        return _cell(names) if (names := texts(value)) else None
    return None


def _cell(elements: Sequence[Any]) -> Array:
    """A MATLAB cell column."""
    cells = np.empty((len(elements), 1), dtype=object)
    cells[:, 0] = elements
    return cells
