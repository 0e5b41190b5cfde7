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
from array import array
from typing import Any

import numpy as np

from matlab_bridge._errors import MatFileError, TruncatedFileError
from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._characters import characters, decode_bytes, units_of
from matlab_bridge.matfile._raw import ARRAY_BYTES, ITEM_BYTES, MARKER_MAGIC, TEXT_BYTES, Array, Marker, dict_bytes

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
        if cells[0, 0].dtype != np.uint8:
            raise TruncatedFileError("the tables of its objects are no bytes")
        data = cells[0, 0].ravel(order="F")
        # The version is a small number.
        order = "<" if int.from_bytes(data[:4].tobytes(), "little") < 2**16 else ">"
        version, _, *starts = struct.unpack_from(order + _HEADER.format, data)
        if version not in _AFTER_VALUES:
            raise MatFileError(
                f"its objects are stored in version {version} of their tables; known are {min(_AFTER_VALUES)} to "
                f"{max(_AFTER_VALUES)}. Save it in MATLAB with an older version of the format, or report it"
            )
        if not _HEADER.size <= starts[0] <= starts[1] <= starts[2] <= starts[3] <= starts[4] <= starts[5] <= len(data):
            raise TruncatedFileError(f"the tables of its objects begin at {starts} in {len(data)} bytes")
        budget.spend(starts[5], "the tables of objects")
        tables = [
            np.frombuffer(data, order + "i4", (end - start) // 4, start).astype(np.int32)
            for start, end in itertools.pairwise(starts[:6])
        ]
        self._names = _Names(data[_HEADER.size : starts[0]], budget)
        self._classes, self._objects = _rows(tables[0], 4), _rows(tables[2], 6)
        self._saved, self._plain = _Records(tables[1], 3, budget), _Records(tables[3], 3, budget)
        self._added = _Records(tables[4], 1, budget)
        self._values = cells[_FIRST_VALUE : cells.shape[0] - _AFTER_VALUES[version], 0]
        self._defaults = cells[-1, 0]

    def object_class(self, object_id: int) -> str:
        """The class of one object: its own, not that of the array it stands in."""
        return self.class_name(_row(self._objects, object_id, "object")[0])

    def class_name(self, class_id: int) -> str:
        """The name of a class, with its package."""
        package, name, _, _ = _row(self._classes, class_id, "class")
        return f"{self.name(package)}.{self.name(name)}" if package else self.name(name)

    def properties(self, object_id: int) -> dict[str, Any]:
        """The properties of one object, in raw form."""
        class_id, _, _, saved, plain, added = _row(self._objects, object_id, "object")
        defaults = _entry(self._defaults[:, 0], class_id, "class")
        record = _entry(self._saved, saved, "object") if saved else _entry(self._plain, plain, "object")
        of_objects = _entry(self._added, added, "object") if len(self._added) else record[:0]
        # Two dicts, these and those of values; numbers as Python has them; and what stands for other objects.
        count = len(defaults.dtype.names or ()) + record.size // 3 + of_objects.size
        self._budget.spend(2 * dict_bytes(count), "the properties of objects")
        self._budget.spend((ARRAY_BYTES + TEXT_BYTES) * of_objects.size, "the properties of objects")
        found = {name: defaults[0, 0][name] for name in defaults.dtype.names or ()}
        for name, kind, value in record.reshape(-1, 3):
            found[self.name(int(name))] = self._property(int(kind), int(value))
        for i, added_id in enumerate(of_objects, start=1):
            found[f"{_ADDED}{i}"] = self._marker(int(added_id))
        return found

    def name(self, index: int) -> str:
        """A name of the file's table of names, counted from 1."""
        return str(_entry(self._names, index - 1, "name"))

    def _property(self, kind: int, value: int) -> Any:
        if kind == _STORED_VALUE:
            return _entry(self._values, value, "value")
        if kind == _MEMBER_NAME:  # of an enumeration
            name = self.name(value)
            self._budget.spend(ARRAY_BYTES + 8 * len(name), "the properties of objects")
            return characters(units_of(name).reshape(1, -1))
        self._budget.spend(ARRAY_BYTES, "the properties of objects")
        # Flags and small integers are kept among the numbers of the tables.
        return np.array([[bool(value)]]) if value in (0, 1) else np.array([[value]], dtype=np.int32)

    def _marker(self, object_id: int) -> Array:
        class_id = _row(self._objects, object_id, "object")[0]
        return np.array([[MARKER_MAGIC], [2], [1], [1], [object_id], [class_id]], dtype=np.uint32)


class _Names:
    """The table of names, each decoded when it is asked for.

    Args:
        data: their bytes, a NUL behind each.
        budget: of the file.
    """

    def __init__(self, data: Array, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self._decoded: dict[int, str] = {}
        budget.spend(len(data) + 4 * ITEM_BYTES * (len(data) - int(np.count_nonzero(data))), "names")
        ends = np.append(np.flatnonzero(data == 0), len(data))
        starts = np.append(0, ends[:-1] + 1)
        is_name = starts < ends
        self._starts, self._ends = starts[is_name], ends[is_name]

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> str:
        if index not in self._decoded:
            data = self._data[self._starts[index] : self._ends[index]].tobytes()
            self._budget.spend(2 * TEXT_BYTES + 8 * len(data), "names")
            self._decoded[index] = decode_bytes(data)
        return self._decoded[index]


class _Records:
    """Records of a count and as many groups of numbers; those after damage are left out.

    Args:
        numbers: of all records.
        width: of a group.
        budget: of the file.
    """

    def __init__(self, numbers: Array, width: int, budget: Budget) -> None:
        self._numbers = numbers
        self._width = width
        self._starts = array("q")  # of records, which have two numbers at least
        budget.spend(2 * ITEM_BYTES * (len(numbers) // 2), "the tables of objects")
        view, at = numbers.data, 0
        while at < len(view) and 0 <= view[at] * width <= len(view) - at:
            self._starts.append(at)
            end = at + 1 + view[at] * width
            at = end + end % 2

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> Array:
        start = self._starts[index] + 1
        return self._numbers[start : start + self._numbers[start - 1] * self._width]


def _entry(table: Any, index: int, what: str) -> Any:
    # A negative index would count from the end.
    if not 0 <= index < len(table):
        raise TruncatedFileError(f"its objects have no {what} of number {index}")
    return table[index]


def _row(table: Array, index: int, what: str) -> list[int]:
    found: list[int] = _entry(table, index, what).tolist()
    return found


def _rows(numbers: Array, width: int) -> Array:
    return numbers[: len(numbers) // width * width].reshape(-1, width)
