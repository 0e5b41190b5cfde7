"""The kinds of networks that can be read: to add one is to add a `Reader`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from matlab_bridge.matfile._values import MatlabObject
from matlab_bridge.network import Network, Source

from ._matconvnet import is_dagnn, is_simplenn, read_dagnn, read_simplenn
from ._objects import is_layer_array, is_network_object, read_layer_array, read_network_object
from ._portable import is_portable, read_portable
from ._shallow import is_shallow, read_shallow
from ._trained_model import is_reduced_export, is_trained_model, read_reduced_export, read_trained_model
from ._weights import is_weights, read_weights


@dataclass(frozen=True)
class Reader:
    """One kind of network inside a MAT-file.

    Attributes:
        kind: what a listing calls it; an object is called by its MATLAB class instead.
        matches: whether a MATLAB value is such a network.
        read: makes a `Network` of the value that matched.
        whole_file: whether the variables of a file together may be such a network, as though they were the
            fields of a struct.
    """

    kind: str
    matches: Callable[[Any], bool]
    read: Callable[[Any, Source], Network]
    whole_file: bool = False

    def class_name(self, value: Any) -> str:
        """What a listing calls this value."""
        return value.class_name if isinstance(value, MatlabObject) else self.kind


READERS: list[Reader] = [
    Reader("network object", is_network_object, read_network_object),
    Reader("layer array", is_layer_array, read_layer_array),
    Reader("portable network", is_portable, read_portable),
    Reader("network", is_shallow, read_shallow),
    Reader("DagNN", is_dagnn, read_dagnn, whole_file=True),
    Reader("simplenn", is_simplenn, read_simplenn, whole_file=True),
    Reader("trained model on components", is_reduced_export, read_reduced_export),
    Reader("trained model", is_trained_model, read_trained_model),
    Reader("weights", is_weights, read_weights, whole_file=True),
]


def reader_of(value: Any) -> Reader | None:
    """The first reader that knows the value, or None."""
    return next((reader for reader in READERS if reader.matches(value)), None)


def reader_of_file(variables: Mapping[str, Any]) -> Reader | None:
    """The first reader for which the variables of a file are a network together, or None."""
    return next((reader for reader in READERS if reader.whole_file and reader.matches(variables)), None)
