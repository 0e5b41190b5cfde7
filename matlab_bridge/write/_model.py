"""What all writers of a whole network take: a Keras model or a network, and perhaps the names of its classes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matlab_bridge._errors import UntrainedNetworkError
from matlab_bridge.convert._class_names import with_class_names
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
