"""Files whose objects share, nest and repeat as no program writes them, v7 and v7.3: their tables made by hand.

The layout of the tables stands at the top of `matlab_bridge.matfile._decode._subsystem`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .mat5_by_hand import MATRIX, UINT32, Mat5
from .objects_by_hand import EMPTY, cell

MAGIC = 0xDD000000
HEADER73 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: x HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM"
_OPAQUE = 17
_WRITER = Mat5()


def marker(objects: Sequence[int], class_id: int = 1, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """What stands in a value for an array of objects, by their ids."""
    shape = shape or (len(objects), 1)
    return np.array([MAGIC, len(shape), *shape, *objects, class_id], np.uint32).reshape(-1, 1)


class Objects:
    """The objects of a file.

    Args:
        classes: names of classes; their ids count from 1.
        values: of properties; their numbers count from 0.
        records: for each record of properties the names and the numbers of values; a value that is a tuple gives its
            kind first (0: a name of an enumeration, 2: the number itself).
        objects: (id of the class, id of the record) of each object; their ids count from 1.
        defaults: for each class, beginning with an unused one, the values of properties that an object may lack.
        names: further names.
    """

    def __init__(
        self,
        classes: Sequence[str],
        values: Sequence[Any],
        records: Sequence[Sequence[tuple[str, int | tuple[int, int]]]],
        objects: Sequence[tuple[int, int]] | np.ndarray,
        defaults: Sequence[Mapping[str, Any]] = (),
        names: Sequence[str] = (),
    ) -> None:
        self.values = values
        self.defaults = [*defaults, *({} for _ in range(len(classes) + 1 - len(defaults)))]
        known = list(dict.fromkeys([*classes, *(name for record in records for name, _ in record), *names]))
        numbers = {name: number for number, name in enumerate(known, start=1)}
        table = b"".join(name.encode() + b"\0" for name in known)
        table += bytes(-len(table) % 8)
        of_classes = np.zeros((len(classes) + 1, 4), "<i4")
        of_classes[1:, 1] = [numbers[name] for name in classes]
        of_records = [0, 0]
        for record in records:
            of_records.append(len(record))
            for name, value in record:
                kind, number = value if isinstance(value, tuple) else (1, value)
                of_records += [numbers[name], kind, number]
            of_records += [0] * (len(of_records) % 2)
        of_objects = np.zeros((len(objects) + 1, 6), "<i4")
        of_objects[1:, [0, 4]] = objects
        of_objects[1:, 5] = 0
        regions = [
            of_classes.tobytes(),
            bytes(8),
            of_objects.tobytes(),
            np.array(of_records, "<i4").tobytes(),
            b"",
            b"",
        ]
        starts, at = [], 40 + len(table)
        for region in regions:
            starts.append(at)
            at += len(region)
        self.tables = struct.pack("<10i", 4, len(known), *starts, at, at) + table + b"".join(regions)

    def write(self, path: Path, variables: Mapping[str, np.ndarray], version: str, class_name: str = "") -> int:
        """Write a file of markers by name; returns how many bytes there are once inflated."""
        contents = [np.frombuffer(self.tables, np.uint8).reshape(-1, 1), EMPTY, *self.values, EMPTY, EMPTY]
        contents.append(cell(*self.defaults))
        write = _write7 if version == "v7" else _write73
        return write(path, variables, contents, class_name)


def _write7(path: Path, variables: Mapping[str, np.ndarray], contents: list[Any], class_name: str) -> int:
    wrapper = _opaque("", "FileWrapper__", _cell(contents))
    fields = _WRITER.element(5, struct.pack("<i", 32)) + _WRITER.element(1, b"MCOS".ljust(32, b"\0")) + wrapper
    stream = _WRITER._matrix(2, (1, 1), "", fields)
    subsystem = _WRITER.subsystem(stream)
    found = [_opaque(name, class_name, _WRITER.matrix(value, compact=False)) for name, value in variables.items()]
    path.write_bytes(_WRITER.file(*found, compress=True, subsystem=subsystem))
    return path.stat().st_size + len(subsystem) + sum(map(len, found))


def _opaque(name: str, class_name: str, data: bytes) -> bytes:
    texts = b"".join(_WRITER.element(1, text.encode()) for text in (name, "MCOS", class_name))
    return _WRITER.element(MATRIX, _WRITER.element(UINT32, struct.pack("<2I", _OPAQUE, 0)) + texts + data)


def _cell(contents: list[Any]) -> bytes:
    # Markers and tables keep their type: `compact` would store them as other integers.
    each = (item if isinstance(item, bytes) else _WRITER.matrix(item) for item in contents)
    return _WRITER._matrix(1, (len(contents), 1), "", b"".join(each))


def _write73(path: Path, variables: Mapping[str, np.ndarray], contents: list[Any], class_name: str) -> int:
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            item = file.create_dataset(name, data=value.T)
            item.attrs["MATLAB_class"] = np.bytes_(class_name)
            item.attrs["MATLAB_object_decode"] = np.int32(3)
        group = file.create_group("#refs#")
        wrapper = file.create_group("#subsystem#").create_dataset("MCOS", (1, len(contents)), h5py.ref_dtype)
        for number, value in enumerate(contents):
            wrapper[0, number] = value73(group, f"v{number}", value).ref
        wrapper.attrs["MATLAB_class"] = np.bytes_("FileWrapper__")
        wrapper.attrs["MATLAB_object_decode"] = np.int32(3)
        sizes: list[int] = []
        file.visititems(lambda _, item: sizes.append(getattr(item, "nbytes", 0)))
    path.write_bytes(HEADER73 + path.read_bytes()[128:])
    return path.stat().st_size + sum(sizes)


def value73(group: h5py.Group, name: str, value: Any) -> Any:
    """Write a value of a property: numbers, text, a struct, or a cell."""
    if isinstance(value, Mapping):
        item: Any = group.create_group(name)
        for key, field in value.items():
            value73(item, key, field)
        item.attrs["MATLAB_class"] = np.bytes_("struct")
        if not value:
            del group[name]
            item = group.create_dataset(name, data=np.array([1, 1], np.uint64))
            item.attrs["MATLAB_class"], item.attrs["MATLAB_empty"] = np.bytes_("struct"), np.uint8(1)
        return item
    if isinstance(value, str):
        units = np.frombuffer(value.encode("utf-16-le"), "<u2")
        item, class_name = _deflated(group, name, units.reshape(-1, 1)), "char"
    elif value.dtype == object:
        group.create_group(f"{name}_")
        item, class_name = group.create_dataset(name, value.T.shape, h5py.ref_dtype), "cell"
        written: dict[int, Any] = {}
        references = np.empty(value.size, h5py.ref_dtype)
        for number, part in enumerate(value.ravel(order="F")):
            if id(part) not in written:
                written[id(part)] = value73(group[f"{name}_"], f"v{number}", part).ref
            references[number] = written[id(part)]
        item[...] = references.reshape(value.T.shape)
    else:
        item = _deflated(group, name, value.T)
        class_name = {"f8": "double", "f4": "single"}.get(value.dtype.str[1:], value.dtype.name)
        class_name = "logical" if value.dtype == bool else class_name
    if not value if isinstance(value, str) else not value.size:
        del group[name]
        size = np.array((0, 0) if isinstance(value, str) else value.shape, np.uint64)
        item = group.create_dataset(name, data=size)
        item.attrs["MATLAB_empty"] = np.uint8(1)
    item.attrs["MATLAB_class"] = np.bytes_(class_name)
    return item


def _deflated(group: h5py.Group, name: str, value: np.ndarray) -> Any:
    if value.size < 2**10:
        return group.create_dataset(name, data=value.astype("u1") if value.dtype == bool else value)
    value = value.astype("u1") if value.dtype == bool else value
    return group.create_dataset(name, data=value, compression=9, shuffle=True, chunks=True)


def deflated_level5(matrix: bytes) -> bytes:
    """A compressed variable of a v7 file."""
    data = zlib.compress(matrix, 9)
    return struct.pack("<2I", 15, len(data)) + data
