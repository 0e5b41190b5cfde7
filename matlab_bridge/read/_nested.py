"""Layers that hold a network: the layers of that network take their place, as MATLAB's `expandLayers` does it.

A `ProjectedLayer` holds the small layers that a large one was compressed to, and a `NetworkLayer` whatever was grouped.
Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.projectedlayer.html and
    https://www.mathworks.com/help/deeplearning/ref/dlnetwork.expandlayers.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from matlab_bridge.network import Connection, Network, end_point


def expand(network: Network, nested: Mapping[str, Network]) -> Network:
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
