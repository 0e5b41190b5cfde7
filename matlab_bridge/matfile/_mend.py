"""mat-io's reading of the contents of objects, with every element of an object array given its own class.

mat-io 1.0.2 gives all elements of a heterogeneous array the class of the array (`nnet.cnn.layer.Layer`), so
that layers cannot be told apart. `Subsystem` uses mat-io's tables, but looks the class of each object up by
the object's own id. It also leaves nested markers alone, for the conversion to follow: so objects that refer
to each other are met once, and an object that cannot be read is an error instead of a warning.

A test tells when a newer mat-io gives elements their classes itself.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from matlab_bridge._errors import MatFileError

from ._matio import (
    DYNAMIC_PROPERTY_PREFIX,
    MatlabOpaqueProperty,
    MatReadError,
    MatReadWarning,
    MatSubsystem,
    PropertyType,
)
from ._raw import MARKER_MAGIC, Array, Marker


class Subsystem:
    """The contents of all objects of a file.

    Args:
        stored: the struct that the file keeps them in.
    """

    def __init__(self, stored: Array) -> None:
        wrapper = stored[0, 0]["MCOS"]
        cells = wrapper.metadata if isinstance(wrapper, Marker) else wrapper
        # The tables are bytes that hold integers; the first one is a small version number.
        byte_order = "<" if int.from_bytes(cells[0, 0][:4].tobytes(), "little") < 2**16 else ">"
        self._tables = _Tables(byte_order, raw_data=True)
        try:
            self._tables.load_mcos_data(cells)
        except MatReadError as error:
            raise MatFileError(
                f"its objects are stored in a way that the installed mat-io does not know ({error}); "
                "a newer one may: pip install --upgrade mat-io"
            ) from error

    def object_class(self, object_id: int) -> str:
        """The class of one object: its own, not that of the array it stands in."""
        with _unknown_fields_ignored():
            return self.class_name(self._tables.get_object_metadata(object_id)[0])

    def class_name(self, class_id: int) -> str:
        """The name of a class, with its package."""
        with _unknown_fields_ignored():
            return str(self._tables.get_classname(class_id))

    def properties(self, object_id: int) -> dict[str, Any]:
        """The properties of one object, in raw form; a deleted handle object has none."""
        with _unknown_fields_ignored():
            found = self._tables.get_properties(object_id) or {}
        return {name: _plain(value) for name, value in found.items()}

    def name(self, index: int) -> str:
        """A name of the file's table of names, counted from 1."""
        return str(self._tables.mcos_names[index - 1])


def _plain(value: Any) -> Any:
    if not isinstance(value, MatlabOpaqueProperty):
        return value
    # Small values are kept among the numbers of the tables: names of enumeration members, flags, integers.
    if value.ptype == PropertyType.MATLAB_ENUMERATION:
        return np.array([list(str(value))])
    number = int(value)
    return np.array([[bool(number)]]) if number in (0, 1) else np.array([[number]], dtype=np.int32)


class _Tables(MatSubsystem):  # type: ignore[misc]  # mat-io has no types
    def check_prop_for_opaque(self, prop: Any) -> Any:
        """Leave markers as they are; mat-io would replace them in place."""
        return prop

    def get_dynamic_properties(self, dep_id: int) -> dict[str, Any]:
        """Markers of the properties that were added to one object; mat-io would read them here."""
        if self.dynprop_metadata.size == 0:
            return {}
        offset = self.get_record_offset("dynprop", self.dynprop_metadata, dep_id, 1, 0)
        ids = self.dynprop_metadata[offset + 1 : offset + 1 + self.dynprop_metadata[offset]]
        return {f"{DYNAMIC_PROPERTY_PREFIX}{i}": self._marker(int(n)) for i, n in enumerate(ids, start=1)}

    def _marker(self, object_id: int) -> Array:
        class_id = self.get_object_metadata(object_id)[0]
        return np.array([[MARKER_MAGIC], [2], [1], [1], [object_id], [class_id]], dtype=np.uint32)

    def check_unknowns(self, cell2: Any) -> None:
        """Accept contents that mat-io has no name for; nothing that is read here depends on them."""


def _unknown_fields_ignored() -> warnings.catch_warnings[None]:
    # mat-io warns of fields whose meaning nobody knows yet and which it does not use.
    return warnings.catch_warnings(action="ignore", category=MatReadWarning)
