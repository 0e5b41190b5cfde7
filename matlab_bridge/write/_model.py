"""What the writers of whole networks share: what they take, and the network that they write."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matlab_bridge._errors import UntrainedNetworkError
from matlab_bridge._layer import Layer
from matlab_bridge.convert._class_names import with_class_names
from matlab_bridge.convert._rules import rule_for
from matlab_bridge.network import Network

if TYPE_CHECKING:
    import keras


def path_first(function: str, path: Any, network: Any) -> tuple[str | os.PathLike[str], keras.Model | Network]:
    """The path and the network of a call; the order of version 0.1, the network first, gives a warning.

    Args:
        function: the public function that was called.
        path: its first argument.
        network: its second argument.
    """
    if isinstance(path, str | os.PathLike):
        return path, network
    message = f"{function} takes the path first: {function}(path, network)."
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return network, path


def network_of(model: keras.Model | Network, class_names: Iterable[str] = ()) -> Network:
    """A model in MATLAB's words, with the names of its classes.

    Args:
        model: a built Keras model, or a network.
        class_names: in the order of the scores; by default those that the model or the network knows.

    Returns:
        The network with the weights of the model.

    Raises:
        UnsupportedLayerError: if a Keras model has a layer that MATLAB has not.
        InvalidNetworkError: if a class name is there twice, or their number is not that of the scores.
    """
    network = model
    if not isinstance(network, Network):
        from matlab_bridge.convert._from_keras import from_keras
        from matlab_bridge.convert._sidecar import sidecar

        known = sidecar(network).class_names
        network = from_keras(network)
        network = replace(network, class_names=known or network.class_names)
    return with_class_names(network, class_names)


def sources_of(model: keras.Model | Network) -> list[Path]:
    """The file that a network, or a model in memory, came from; none where it came from no file."""
    network: Network | None
    if isinstance(model, Network):
        network = model
    else:
        from matlab_bridge.convert._sidecar import origin

        network = origin(model)
    return [network.source.path] if network is not None and network.source is not None else []


def demand_weights(network: Network) -> None:
    """Refuse a network whose layers have no weights yet.

    Raises:
        UntrainedNetworkError: naming those layers.
    """
    untrained = [layer.name for layer in network.layers if any(a.size == 0 for a in layer.learnables.values())]
    if untrained:
        raise UntrainedNetworkError(
            f"{', '.join(map(repr, untrained))} have no weights yet, so there are none to write. "
            "Train the network first; in Keras, to_keras() gives a model that starts with Keras' initial ones."
        )


def without_output_layers(network: Network) -> Network:
    """The network without its output layers, which hold a loss, and which a `dlnetwork` does not have.

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
