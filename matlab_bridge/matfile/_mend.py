"""mat-io's reading of the contents of objects, with every element of an object array given its own class.

mat-io 1.0.2 gives all elements of a heterogeneous array the class of the array (`nnet.cnn.layer.Layer`), so that
layers cannot be told apart. `Subsystem` uses mat-io's tables, but looks the class of each object up by the
object's own id. It also leaves nested markers alone, for the conversion to follow: so objects that refer to each
other are met once, and an object that cannot be read is an error instead of a warning.

A test tells when a newer mat-io gives elements their classes itself.
"""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd

from ._raw import Array, Marker

_OPTION = "future.infer_string"
with warnings.catch_warnings(action="ignore"), pd.option_context(_OPTION, pd.get_option(_OPTION)):
    # At its import mat-io sets this option of pandas for the whole program, and a newer pandas warns of that.
    from matio.subsystem import MatSubsystem
    from matio.utils.matclass import MatReadWarning


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
        self._tables.load_mcos_data(cells)

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
            return dict(self._tables.get_properties(object_id) or {})

    def name(self, index: int) -> str:
        """A name of the file's table of names, counted from 1."""
        return str(self._tables.mcos_names[index - 1])


class _Tables(MatSubsystem):  # type: ignore[misc]  # mat-io has no types
    def check_prop_for_opaque(self, prop: Any) -> Any:
        """Leave markers as they are; mat-io would replace them in place."""
        return prop

    def check_unknowns(self, cell2: Any) -> None:
        """Accept contents that mat-io has no name for; nothing that is read here depends on them."""


def _unknown_fields_ignored() -> warnings.catch_warnings[None]:
    # mat-io warns of fields whose meaning nobody knows yet and which it does not use.
    return warnings.catch_warnings(action="ignore", category=MatReadWarning)
