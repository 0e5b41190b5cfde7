"""The contents of a file's objects: tables of numbers, and a cell of the values of properties.

The cell's first element is bytes: ten integers (a version, the number of names, where eight regions begin), then names,
then the regions. In these, counted in integers of four bytes:

| region | one record for each         | record                                                                |
|--------|-----------------------------|-----------------------------------------------------------------------|
| 1      | class                       | name of its package, name, two unknown                                |
| 2      | object that `saveobj` made  | count, then (name, kind, value) as often                              |
| 3      | object                      | class, two unknown, record in 2 (0: none), record in 4, record in 5   |
| 4      | any other object            | as in 2                                                               |
| 5      | object                      | count, then ids of the objects of properties that were added to it    |

Records of a count are filled up to an even number of integers. Names, classes and objects are counted from 1. The cell
then has an unknown element, the values of properties, and at its end what the version adds, and the defaults by class.

Elements of an object array are looked up by their own ids: the array has a class of its own, which all of them share.
"""

from __future__ import annotations

import itertools
import struct
from typing import Any

import numpy as np

from matlab_bridge._errors import MatFileError, TruncatedFileError

from ._budget import Budget
from ._characters import characters, decode_bytes, units_of
from ._raw import MARKER_MAGIC, Array, Marker

_HEADER = struct.Struct("10i")
# How many elements each version has behind the values of properties.
_AFTER_VALUES = {2: 1, 3: 2, 4: 3}
_FIRST_VALUE = 2
_MEMBER_NAME, _STORED_VALUE = 0, 1
_ADDED = "__dynamic_property__"


class Subsystem:
    """The contents of all objects of a file.

    Args:
        stored: the struct that the file keeps them in.
        budget: of the file; its tables spend it.

    Raises:
        MatFileError: they are stored in a way that is not known.
    """

    def __init__(self, stored: Array, budget: Budget) -> None:
        self._budget = budget
        wrapper = stored[0, 0]["MCOS"]
        cells = wrapper.metadata if isinstance(wrapper, Marker) else wrapper
        data = np.ascontiguousarray(cells[0, 0], np.uint8).tobytes()
        # The version is a small number.
        order = "<" if int.from_bytes(data[:4], "little") < 2**16 else ">"
        version, _, *starts = struct.unpack_from(order + _HEADER.format, data)
        if version not in _AFTER_VALUES:
            raise MatFileError(
                f"its objects are stored in version {version} of their tables; known are {min(_AFTER_VALUES)} to "
                f"{max(_AFTER_VALUES)}. Save it in MATLAB with an older version of the format, or report it"
            )
        if not _HEADER.size <= starts[0] <= starts[1] <= starts[2] <= starts[3] <= starts[4] <= starts[5] <= len(data):
            raise TruncatedFileError(f"the tables of its objects begin at {starts} in {len(data)} bytes")
        tables = [
            np.frombuffer(data, order + "i4", (end - start) // 4, start).tolist()
            for start, end in itertools.pairwise(starts[:6])
        ]
        self._names = [decode_bytes(name) for name in data[_HEADER.size : starts[0]].split(b"\x00") if name]
        self._classes, self._objects = _rows(tables[0], 4), _rows(tables[2], 6)
        self._saved, self._plain, self._added = _records(tables[1], 3), _records(tables[3], 3), _records(tables[4], 1)
        self._values = cells[_FIRST_VALUE : cells.shape[0] - _AFTER_VALUES[version], 0]
        self._defaults = cells[-1, 0]

    def object_class(self, object_id: int) -> str:
        """The class of one object: its own, not that of the array it stands in."""
        return self.class_name(_entry(self._objects, object_id, "object")[0])

    def class_name(self, class_id: int) -> str:
        """The name of a class, with its package."""
        package, name, _, _ = _entry(self._classes, class_id, "class")
        return f"{self.name(package)}.{self.name(name)}" if package else self.name(name)

    def properties(self, object_id: int) -> dict[str, Any]:
        """The properties of one object, in raw form."""
        class_id, _, _, saved, plain, added = _entry(self._objects, object_id, "object")
        found = self._default_properties(class_id)
        record = _entry(self._saved, saved, "object") if saved else _entry(self._plain, plain, "object")
        for name, kind, value in zip(record[::3], record[1::3], record[2::3], strict=True):
            found[self.name(name)] = self._property(kind, value)
        for i, added_id in enumerate(_entry(self._added, added, "object") if self._added else (), start=1):
            found[f"{_ADDED}{i}"] = self._marker(added_id)
        return found

    def name(self, index: int) -> str:
        """A name of the file's table of names, counted from 1."""
        return str(_entry(self._names, index - 1, "name"))

    def _property(self, kind: int, value: int) -> Any:
        if kind == _STORED_VALUE:
            return _entry(self._values, value, "value")
        if kind == _MEMBER_NAME:  # of an enumeration
            return characters(units_of(self.name(value)).reshape(1, -1))
        # Flags and small integers are kept among the numbers of the tables.
        return np.array([[bool(value)]]) if value in (0, 1) else np.array([[value]], dtype=np.int32)

    def _default_properties(self, class_id: int) -> dict[str, Any]:
        defaults = _entry(self._defaults[:, 0], class_id, "class")
        return {name: defaults[0, 0][name] for name in defaults.dtype.names or ()}

    def _marker(self, object_id: int) -> Array:
        class_id = _entry(self._objects, object_id, "object")[0]
        return np.array([[MARKER_MAGIC], [2], [1], [1], [object_id], [class_id]], dtype=np.uint32)


def _entry(table: Any, index: int, what: str) -> Any:
    # A negative index would count from the end.
    if not 0 <= index < len(table):
        raise TruncatedFileError(f"its objects have no {what} of number {index}")
    return table[index]


def _rows(numbers: list[int], width: int) -> list[list[int]]:
    return [numbers[i : i + width] for i in range(0, len(numbers) - width + 1, width)]


def _records(numbers: list[int], width: int) -> list[list[int]]:
    """Records of a count and as many groups of numbers; those after damage are left out."""
    found, at = [], 0
    while at < len(numbers) and 0 <= numbers[at] * width <= len(numbers) - at:
        end = at + 1 + numbers[at] * width
        found.append(numbers[at + 1 : end])
        at = end + end % 2
    return found
