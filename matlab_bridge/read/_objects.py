"""Networks saved as objects: SeriesNetwork, DAGNetwork, dlnetwork, LayerGraph, and arrays of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from matlab_bridge._errors import InvalidNetworkError
from matlab_bridge._layer import Layer, class_names
from matlab_bridge.matfile._elements import columns, texts
from matlab_bridge.matfile._values import MatlabObject, ObjectArray
from matlab_bridge.network import Connection, Network, Source, end_point, output_name, series

from ._layers import read_layers

NETWORK_CLASSES = frozenset({"SeriesNetwork", "DAGNetwork", "dlnetwork", "nnet.cnn.LayerGraph"})

# Where an output layer keeps its classes: a categorical, in the first versions a cell.


def is_network_object(value: Any) -> bool:
    """Whether a value is an object of one of MATLAB's network classes."""
    return isinstance(value, MatlabObject) and value.class_name in NETWORK_CLASSES


def is_layer_array(value: Any) -> bool:
    """Whether a value is an array of layers, which MATLAB trains as a series."""
    return (
        isinstance(value, ObjectArray)
        and value.class_name.startswith(("nnet.cnn.layer.", "nnet.layer."))
        and value.size > 1
    )


def read_network_object(value: Any, source: Source) -> Network:
    """Read a SeriesNetwork, a DAGNetwork, a dlnetwork or a LayerGraph.

    Args:
        value: the object. A dlnetwork keeps its layers inside a LayerGraph, the others keep them themselves;
            one without a table of connections is a series.
        source: where it stands.

    Returns:
        The network.

    Raises:
        InvalidNetworkError: if it holds no layers, or its connections name layers that it does not have.
    """
    graph = value.fields.get("LayerGraph", value)
    fields = graph.fields if isinstance(graph, MatlabObject) else {}
    stored = np.ravel(fields.get("Layers", ()), order="F")
    objects = [element for element in stored if isinstance(element, MatlabObject)]
    if not objects:
        properties = sorted(fields.keys() - {"any"})
        raise InvalidNetworkError(
            f"The {value.class_name} {source.variable!r} of {source.path.name} holds no layers: it has the "
            f"properties {properties}. Load it in MATLAB, add its layers, and save it again."
        )
    layers = read_layers(objects)
    table = fields.get("Connections")
    outputs = texts(value.fields.get("OutputNames"))
    network = Network(
        layers=layers,
        connections=series(layer.name for layer in layers) if table is None else read_connections(table, layers),
        class_names=class_names(layers),
        source=source,
        class_name=value.class_name,
        output_names=tuple(output_name(name, {layer.name for layer in layers}) for name in outputs),
    )
    nested = {layer.name: layer.settings.get("Network") for layer in layers}
    return _expand(
        network,
        {name: read_network_object(held, source) for name, held in nested.items() if is_network_object(held)},
    )


def read_layer_array(value: Any, source: Source) -> Network:
    """Read an array of layers, trained or not, as the series that MATLAB makes of it.

    Args:
        value: the `ObjectArray`.
        source: where it stands.

    Returns:
        The network; its class name is `"layer array"`.
    """
    layers = read_layers(np.ravel(value, order="F"))
    return Network(
        layers=layers,
        connections=series(layer.name for layer in layers),
        class_names=class_names(layers),
        source=source,
        class_name="layer array",
    )


def read_connections(table: Any, layers: tuple[Layer, ...]) -> tuple[Connection, ...]:
    """Read a table of connections.

    Args:
        table: a table, a struct of cells or a struct array, with the columns Source and Destination.
        layers: the layers that they connect.

    Returns:
        One connection a row.

    Raises:
        InvalidNetworkError: if a column is missing, or the two differ in length.
    """
    names = {layer.name for layer in layers}
    try:
        ends = list(zip(*columns(table, "Source", "Destination"), strict=True))
    except (LookupError, TypeError, ValueError) as error:
        raise InvalidNetworkError(
            f"The connections are no table with a Source and a Destination in each row: {error}. "
            "Load the network in MATLAB and save it again."
        ) from error
    parsed = ((end_point(start, names), end_point(end, names)) for start, end in ends)
    return tuple(Connection(start, end, out, into) for (start, out), (end, into) in parsed)


def _expand(network: Network, nested: Mapping[str, Network]) -> Network:
    """A network with the layers of others in the place of some of its own.

    Args:
        network: the outer network.
        nested: the networks inside its layers, by the names of those.

    Returns:
        The network; a layer `fc` of a network inside `block` is called `block:fc`. A layer whose network has an
        input layer of its own stays, because that would be an input of the outer network too.
    """
    for name, inner in nested.items():
        if not any(layer.kind.endswith("InputLayer") for layer in inner.layers):
            network = _in_place_of(network, name, inner)
    return network


def _in_place_of(network: Network, name: str, inner: Network) -> Network:
    inner = _named(inner, f"{name}:")
    fed = {connection.destination for connection in inner.connections}
    feeding = {connection.source for connection in inner.connections}
    firsts = [layer.name for layer in inner.layers if layer.name not in fed]
    lasts = inner.output_names or tuple(layer.name for layer in inner.layers if layer.name not in feeding)

    def moved(connection: Connection) -> Connection:
        if connection.destination == name:
            first = firsts[_place(connection.destination_port)]
            connection = replace(connection, destination=first, destination_port="")
        if connection.source == name:
            last, port = end_point(lasts[_place(connection.source_port)], [layer.name for layer in inner.layers])
            connection = replace(connection, source=last, source_port=port)
        return connection

    position = [layer.name for layer in network.layers].index(name)
    outputs = (end_point(output, [layer.name for layer in network.layers]) for output in network.output_names)
    return replace(
        network,
        layers=(*network.layers[:position], *inner.layers, *network.layers[position + 1 :]),
        connections=(*map(moved, network.connections), *inner.connections),
        output_names=tuple(
            lasts[_place(port)] if layer == name else output
            for output, (layer, port) in zip(network.output_names, outputs, strict=True)
        ),
    )


def _named(network: Network, prefix: str) -> Network:
    """The same network with a prefix before the names of its layers."""
    return replace(
        network,
        layers=tuple(replace(layer, name=prefix + layer.name) for layer in network.layers),
        connections=tuple(
            replace(each, source=prefix + each.source, destination=prefix + each.destination)
            for each in network.connections
        ),
        output_names=tuple(prefix + name for name in network.output_names),
    )


def _place(port: str) -> int:
    """The place of a port among the inputs or outputs: `in2` is the second."""
    digits = port.lstrip("abcdefghijklmnopqrstuvwxyz")
    return int(digits) - 1 if digits.isdecimal() else 0
