"""Networks without their output layers, which hold a loss and which a `dlnetwork` does not have."""

from __future__ import annotations

from dataclasses import replace

from matlab_bridge._layer import Layer
from matlab_bridge.convert._rules import rule_for
from matlab_bridge.network import Network


def without_output_layers(network: Network) -> Network:
    """The network up to its output layers; what fed them is its output.

    Args:
        network: any.

    Returns:
        The same network where it has no such layer.
    """
    sources = {connection.source for connection in network.connections}
    dropped = {layer.name for layer in network.layers if layer.name not in sources and _is_output(layer)}
    if not dropped:
        return network
    fed = {c.destination: c.source for c in network.connections if c.destination in dropped}
    return replace(
        network,
        layers=tuple(layer for layer in network.layers if layer.name not in dropped),
        connections=tuple(c for c in network.connections if c.destination not in dropped),
        output_names=tuple(fed.get(name, name) for name in network.output_names),
    )


def _is_output(layer: Layer) -> bool:
    # The families of layers import Keras, which takes seconds; so only when a network is written.
    from matlab_bridge.convert.layers.output import Output, is_output_of_ones_own

    rule = rule_for(layer)
    return is_output_of_ones_own(layer) if rule is None else isinstance(rule, Output)
