"""The portable form: a network as a plain struct, which any MATLAB, Octave and this package make and read.

docs/portable-form.md is its definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from matlab_bridge._errors import InvalidNetworkError
from matlab_bridge._layer import Array, Layer
from matlab_bridge._public import saved_settings
from matlab_bridge.matfile._elements import numeric, texts
from matlab_bridge.matfile._values import MatlabObject
from matlab_bridge.network import Network, Source, output_name

from ._objects import read_connections

FORMAT = "keras-prunelab network"
VERSION = 1
"""What the fields `Format` and `FormatVersion` say."""


def is_portable(value: Any) -> bool:
    """Whether a MATLAB value is a network in portable form, of this version or another."""
    return isinstance(value, Mapping) and texts(value.get("Format")) == (FORMAT,)


def read_portable(value: Any, source: Source | None = None) -> Network:
    """Read a network in portable form.

    Args:
        value: the struct, as `matlab_bridge.matfile` gives it; `is_portable(value)` holds.
        source: where it stands, or None.

    Returns:
        The network, in whose layers the settings have the names that MATLAB saves.

    Raises:
        InvalidNetworkError: if a field is missing or not of the type that the form asks for; it is named.
    """
    reader = _Reader(source)
    fields = reader.struct(value, "")
    version = reader.number(reader.field(fields, "FormatVersion"), "FormatVersion")
    if not 1 <= version <= VERSION:
        raise reader.error(
            "FormatVersion", f"is {version:g}, and this release reads up to {VERSION}; update keras-prunelab"
        )
    cells = reader.cell(reader.field(fields, "Layers"), "Layers")
    layers = tuple(reader.layer(cell, f"Layers{{{place}}}") for place, cell in enumerate(cells, start=1))
    ends = reader.struct(reader.field(fields, "Connections"), "Connections")
    table = {end: reader.texts(reader.field(ends, end, "Connections"), end) for end in ("Source", "Destination")}
    if len(table["Source"]) != len(table["Destination"]):
        raise reader.error(
            "Connections",
            f"has {len(table['Source'])} elements in Source and {len(table['Destination'])} in Destination; "
            f"each connection has one of both",
        )
    names = {layer.name for layer in layers}
    outputs = reader.texts(reader.field(fields, "OutputNames"), "OutputNames")
    return Network(
        layers=layers,
        connections=read_connections({end: np.array(text, dtype=object) for end, text in table.items()}, layers),
        class_names=reader.texts(reader.field(fields, "ClassNames"), "ClassNames"),
        source=source,
        class_name=reader.text(reader.field(fields, "Class"), "Class"),
        output_names=tuple(output_name(output, names) for output in outputs),
    )


class _Reader:
    """Typed access to the fields of the struct, with errors that name the field."""

    def __init__(self, source: Source | None) -> None:
        self._where = f" {source.variable!r} of {source.path.name}" if source else ""

    def error(self, field: str, fault: str) -> InvalidNetworkError:
        subject = f"the field {field}" if field else "it"
        return InvalidNetworkError(
            f"The portable network{self._where} cannot be read: {subject} {fault}. "
            f"networkToStruct.m and save_portable write the form that docs/portable-form.md describes."
        )

    def field(self, fields: Mapping[str, Any], name: str, parent: str = "") -> Any:
        if name not in fields:
            raise self.error(parent, f"has no field {name}, only {', '.join(fields) or 'none at all'}")
        return fields[name]

    def struct(self, value: Any, field: str) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        # A struct without fields may come back as an empty array.
        if isinstance(value, np.ndarray) and value.size == 0:
            return {}
        raise self._unexpected(field, "a struct", value)

    def cell(self, value: Any, field: str) -> list[Any]:
        if isinstance(value, np.ndarray) and value.dtype == object and value.size > 0:
            return list(value.ravel(order="F"))
        raise self._unexpected(field, "a cell with one struct a layer", value)

    def text(self, value: Any, field: str) -> str:
        if isinstance(value, str) and value:
            return value
        raise self._unexpected(field, "text", value)

    def texts(self, value: Any, field: str) -> tuple[str, ...]:
        found = texts(value)
        if len(found) == (1 if isinstance(value, str) else np.size(value)):
            return found
        raise self._unexpected(field, "a cell of text", value)

    def number(self, value: Any, field: str) -> float:
        array = numeric(value)
        if array is not None and array.size == 1:
            return float(array.ravel()[0])
        raise self._unexpected(field, "a number", value)

    def arrays(self, value: Any, field: str) -> dict[str, Array]:
        arrays = {name: numeric(array) for name, array in self.struct(value, field).items()}
        for name, array in arrays.items():
            if array is None:
                raise self._unexpected(f"{field}.{name}", "a numeric array", value[name])
        return {name: array for name, array in arrays.items() if array is not None}

    def layer(self, value: Any, place: str) -> Layer:
        fields = self.struct(value, place)
        return Layer(
            name=self.text(self.field(fields, "Name", place), f"{place}.Name"),
            class_name=self.text(self.field(fields, "Class", place), f"{place}.Class"),
            settings=saved_settings(self.struct(self.field(fields, "Settings", place), f"{place}.Settings")),
            learnables=self.arrays(self.field(fields, "Learnables", place), f"{place}.Learnables"),
            state=self.arrays(self.field(fields, "State", place), f"{place}.State"),
        )

    def _unexpected(self, field: str, expected: str, value: Any) -> InvalidNetworkError:
        got = value.class_name if isinstance(value, MatlabObject) else type(value).__name__
        size = f" of size {'x'.join(map(str, np.shape(value)))}" if isinstance(value, np.ndarray) else ""
        return self.error(field, f"is {got}{size}, and {expected} was expected")
