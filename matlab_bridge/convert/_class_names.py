"""The names of classes that users give, in any of the forms that libraries keep them in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from matlab_bridge._errors import InvalidNetworkError
from matlab_bridge.network import Network

# What keeps the number of scores: each output of the layer before them is one.
_SCORES = frozenset(("ClassificationOutputLayer", "SigmoidLayer", "SoftmaxLayer"))


def with_class_names(network: Network, given: Iterable[object]) -> Network:
    """A network with the names of its classes; with those that it knows, if none are given.

    Args:
        network: the network.
        given: the names, in the order of the scores: a list, an array (`LabelEncoder.classes_`), or an index, a series
            or a categorical's categories of pandas.

    Raises:
        InvalidNetworkError: a name is there twice, or has a line break or another control character; or there are more
            or fewer names than scores.
    """
    if isinstance(given, str):
        raise InvalidNetworkError(f"class_names is the text {given!r}. Pass a list of names, one a class.")
    names = tuple(map(str, given))
    if not names:
        return network
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidNetworkError(f"The class names {', '.join(map(repr, twice))} are there more than once.")
    broken = [name for name in names if not name or any(ord(character) < 32 for character in name)]
    if broken:
        raise InvalidNetworkError(
            f"The class names {', '.join(map(repr, broken))} are empty, or have line breaks or other "
            "control characters."
        )
    scores = _score_count(network)
    # A single score tells two classes apart.
    if scores is not None and len(names) != scores and (scores, len(names)) != (1, 2):
        raise InvalidNetworkError(f"{len(names)} class names were given, and the network has {scores} scores.")
    return replace(network, class_names=names)


def _score_count(network: Network) -> int | None:
    """How many scores a network gives, where its last layers say so."""
    if len(network.output_names) > 1:
        return None
    for layer in reversed(network.execution_order):
        if np.size(layer.learnables.get("Bias", ())):
            return int(np.size(layer.learnables["Bias"])) if layer.kind == "FullyConnectedLayer" else None
        if layer.kind not in _SCORES:
            return None
    return None
