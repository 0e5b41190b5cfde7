"""The kinds of networks that can be read: to add one is to add a `Reader`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matlab_bridge.matfile._values import MatlabObject
from matlab_bridge.networks._network import Network, Source

from ._objects import is_layer_array, is_network_object, read_layer_array, read_network_object
from ._portable import is_portable, read_portable


@dataclass(frozen=True)
class Reader:
    """One kind of network inside a MAT-file.

    Attributes:
        kind: what a listing calls it; an object is called by its MATLAB class instead.
        matches: whether a MATLAB value is such a network.
        read: makes a `Network` of the value that matched.
    """

    kind: str
    matches: Callable[[Any], bool]
    read: Callable[[Any, Source], Network]

    def class_name(self, value: Any) -> str:
        """What a listing calls this value."""
        return value.class_name if isinstance(value, MatlabObject) else self.kind


READERS: list[Reader] = [
    Reader("network object", is_network_object, read_network_object),
    Reader("layer array", is_layer_array, read_layer_array),
    Reader("portable network", is_portable, read_portable),
]


def reader_of(value: Any) -> Reader | None:
    """The first reader that knows the value, or None."""
    return next((reader for reader in READERS if reader.matches(value)), None)
