"""From raw forms to the Python values that `_values` describes; `_save/_encode` is the way back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._characters import text_of
from matlab_bridge.matfile._raw import (
    ARRAY_BYTES,
    ITEM_BYTES,
    MARKER_MAGIC,
    OBJECT_BYTES,
    TEXT_BYTES,
    Array,
    Finished,
    Function,
    Marker,
    OldObject,
    dict_bytes,
    is_enumeration,
    is_marker,
    marker_ids,
    marker_shape,
)
from matlab_bridge.matfile._values import Enumeration, FunctionHandle, MatlabObject, ObjectArray, StructArray

from ._decode_classes import CONVERSIONS
from ._subsystem import Subsystem


class Decoder:
    """Turns raw forms into values. Objects that are met twice become one value.

    Args:
        subsystem: gives the contents of the file's objects; called when the first object is met.
        budget: of the file; values spend it on every visit.
    """

    def __init__(self, subsystem: Callable[[], Subsystem], budget: Budget) -> None:
        self._subsystem = subsystem
        self._budget = budget
        self._objects: dict[int, Any] = {}

    def value(self, raw: Any) -> Any:
        """The value of a raw form."""
        return self._value(raw, within_object=False)

    def _value(self, raw: Any, *, within_object: bool) -> Any:
        if type(raw) is np.ndarray:
            return self._array(raw, within_object=within_object)
        match raw:
            case Finished():
                return raw.value
            case Marker():
                return self._opaque(raw)
            case OldObject():
                return self._old_object(raw, within_object=within_object)
            case Function():
                return self._function(raw)
        return raw  # sparse

    def _array(self, raw: Array, *, within_object: bool) -> Any:
        kind = raw.dtype.kind
        if kind in "fiub" and not (within_object and is_marker(raw)):
            # Readers may give views on the bytes of the file; users may want to write into theirs.
            return self._own(raw)
        if kind == "U":
            return text_of(raw, self._budget)
        if raw.dtype.names is not None or kind == "V":
            if within_object and is_enumeration(raw):
                return self._enumeration(raw)
            return self._struct(raw, within_object=within_object)
        if kind == "O":
            if within_object and _is_function(raw):
                return self._function(Function(raw[1, 0]))
            self._budget.spend(ARRAY_BYTES + 2 * ITEM_BYTES * raw.size, "the elements of cells")
            cell = np.empty(raw.size, dtype=object)
            for i, element in enumerate(raw.ravel(order="F").tolist()):
                cell[i] = self._value(element, within_object=within_object)
            return cell.reshape(raw.shape, order="F")
        if within_object and is_marker(raw):
            # Within the contents of objects, a marker is a plain array of numbers.
            return self._objects_of(raw)
        return self._own(raw)

    def _own(self, raw: Array) -> Array:
        if raw.flags.writeable:
            return raw
        self._budget.spend(ARRAY_BYTES + raw.nbytes, "the numbers of objects")
        return raw.copy(order="K")

    def _struct(self, raw: Array, *, within_object: bool) -> dict[str, Any] | StructArray:
        names = raw.dtype.names or ()
        each = ITEM_BYTES + dict_bytes(len(names))
        self._budget.spend(ARRAY_BYTES + each * raw.size, "the elements of a struct")
        # One index an element: a shape without elements may state a long axis, and an index of all axes makes it.
        flat, elements = raw.reshape(-1), np.empty(raw.size, dtype=object)
        for i in range(raw.size):
            elements[i] = {name: self._value(flat[i][name], within_object=within_object) for name in names}
        if raw.shape == (1, 1):
            only: dict[str, Any] = elements[0]
            return only
        return StructArray(elements.reshape(raw.shape), names)

    def _old_object(self, raw: OldObject, *, within_object: bool) -> MatlabObject | ObjectArray:
        # A struct and an array of objects of its own, and the class's name, however few elements there are.
        self._budget.spend(2 * (ARRAY_BYTES + OBJECT_BYTES) + TEXT_BYTES, "objects")
        fields = self._struct(raw.fields, within_object=within_object)
        if not isinstance(fields, dict):
            each = OBJECT_BYTES + dict_bytes(len(fields.fields))
            self._budget.spend(each * fields.size, "the elements of an array of objects")
        if isinstance(fields, dict):
            return MatlabObject(raw.class_name, fields, old_style=True)
        objects = np.empty(fields.size, dtype=object)
        for i, each in enumerate(fields.reshape(-1)):
            objects[i] = MatlabObject(raw.class_name, dict(each), old_style=True)
        return ObjectArray(objects.reshape(fields.shape), raw.class_name)

    def _function(self, raw: Function) -> FunctionHandle:
        fields = raw.fields
        # A function handle is described by a struct, and in it by a struct of the same name.
        while fields.dtype.names and "function_handle" in fields.dtype.names and fields.size:
            fields = fields.ravel()[0]["function_handle"]
        if not fields.size or not fields.dtype.names or "function" not in fields.dtype.names:
            return FunctionHandle("")
        # An anonymous function may be marked with the number of the place in the file that defines it.
        text = re.sub(r"^sf%\d+", "", str(self.value(fields.ravel()[0]["function"])))
        return FunctionHandle(text if text.startswith("@") or not text else "@" + text, self._captured(fields))

    def _captured(self, fields: Array) -> dict[str, Any]:
        """The variables of an anonymous function: an object that holds itself and a struct of them."""
        if "workspace" not in (fields.dtype.names or ()):
            return {}
        workspace = self._value(fields.ravel()[0]["workspace"], within_object=True)
        held = workspace.fields.get("any") if isinstance(workspace, MatlabObject) else None
        parts = held.ravel() if isinstance(held, np.ndarray) and held.dtype == object else ()
        return next((part for part in parts if isinstance(part, dict)), {})

    def _opaque(self, marker: Marker) -> Any:
        if marker.type_system != "MCOS":
            return MatlabObject(marker.class_name, {"data": self.value(marker.metadata)})
        if is_enumeration(marker.metadata):
            return self._enumeration(marker.metadata)
        if not is_marker(marker.metadata):
            return MatlabObject(marker.class_name, {"data": self.value(marker.metadata)})
        return self._objects_of(marker.metadata)

    def _objects_of(self, metadata: Array) -> Any:
        ids, class_id = marker_ids(metadata)
        shape = marker_shape(metadata)
        class_name = self._subsystem().class_name(class_id)
        self._budget.spend(ARRAY_BYTES + 2 * ITEM_BYTES * ids.size, "the elements of an array of objects")
        objects = np.empty(ids.size, dtype=object)
        deleted = MatlabObject(class_name, {})  # the id of a handle object that was deleted is 0
        for i in range(ids.size):
            objects[i] = self._object(int(ids[i])) if ids[i] else deleted
        if shape == (1, 1):
            return objects[0]
        return ObjectArray(objects.reshape(shape, order="F"), class_name)

    def _object(self, object_id: int) -> Any:
        if object_id in self._objects:
            return self._objects[object_id]
        subsystem = self._subsystem()
        class_name = subsystem.object_class(object_id)
        self._budget.spend(2 * OBJECT_BYTES, "the objects of a file")
        properties: dict[str, Any] = {}
        found = MatlabObject(class_name, properties)
        # Kept before its properties are read: they may refer back to it.
        self._objects[object_id] = found
        try:
            for name, raw in subsystem.properties(object_id).items():
                properties[name] = self._value(raw, within_object=True)
            if class_name in CONVERSIONS:
                self._objects[object_id] = CONVERSIONS[class_name](found, self._budget)
        except Exception:
            del self._objects[object_id]  # it is not whole
            raise
        return self._objects[object_id]

    def _enumeration(self, raw: Array) -> Enumeration:
        members, subsystem = raw[0, 0], self._subsystem()
        numbers, places = members["ValueNames"].ravel(), members["ValueIndices"]
        self._budget.spend(OBJECT_BYTES * numbers.size, "the members of an enumeration")
        texts = [subsystem.name(int(number)) for number in numbers]
        # NumPy gives each as many characters as the longest has.
        each = ITEM_BYTES + np.dtype("<U1").itemsize * max(map(len, texts), default=0)
        self._budget.spend(2 * ARRAY_BYTES + each * (numbers.size + places.size), "the members of an enumeration")
        class_name = subsystem.class_name(int(members["ClassName"].ravel()[0]))
        return Enumeration(class_name, np.array(texts, dtype=np.str_)[places.astype(np.intp)])


def _is_function(cell: Array) -> bool:
    """Whether a cell among the properties of an object is a function handle: `{marker; description}`."""
    if cell.shape != (2, 1) or not all(isinstance(part, np.ndarray) for part in cell.flat):
        return False
    mark, description = cell.flat
    is_marked = mark.dtype == np.uint32 and mark.size == 1 and mark.flat[0] == MARKER_MAGIC
    return is_marked and "function_handle" in (description.dtype.names or ())
