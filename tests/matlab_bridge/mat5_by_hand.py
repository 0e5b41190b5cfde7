"""MAT 5 bytes made by hand, after MathWorks' "MAT-File Format": what SciPy's writer does not write.

Both byte orders, whole numbers in the smallest integer type that holds them, as MATLAB stores them, and a
subsystem.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from matlab_bridge.matfile import MatlabObject

DATA_TYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
CLASSES = {"f8": 6, "f4": 7, "i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "i8": 14, "u8": 15}
CELL, STRUCT, OBJECT, CHAR = 1, 2, 3, 4
INT8, UINT16, INT32, UINT32, MATRIX, COMPRESSED = 1, 4, 5, 6, 14, 15


class Mat5:
    """A writer for one byte order, `"<"` or `">"`."""

    def __init__(self, order: str = "<") -> None:
        self.order = order

    def element(self, kind: int, data: bytes) -> bytes:
        if kind != MATRIX and 0 < len(data) <= 4:
            return struct.pack(self.order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
        return struct.pack(self.order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    def numbers(self, array: np.ndarray, *, compact: bool) -> bytes:
        storage = array.dtype
        if compact and ((np.abs(array) < 2**31) & (array == np.rint(array))).all():
            fitting = (np.dtype(code) for code in ("u1", "i2", "u2", "i4"))
            storage = next((code for code in fitting if (array == array.astype("i8").astype(code)).all()), storage)
        data = array.astype(storage.newbyteorder(self.order)).tobytes(order="F")
        return self.element(DATA_TYPES[storage.str[1:]], data)

    def matrix(self, value: Any, name: str = "", *, compact: bool = True) -> bytes:
        """A value as a miMATRIX: arrays of numbers and of object (cells), dicts (structs), text, old objects."""
        if isinstance(value, str):
            units = np.frombuffer(value.encode("utf-16-le"), "<u2").astype(self.order + "u2")
            return self._matrix(CHAR, (1, len(units)), name, self.element(UINT16, units.tobytes()))
        if isinstance(value, MatlabObject):
            fields = self._fields(value.properties, compact=compact)
            return self._matrix(OBJECT, (1, 1), name, self.element(INT8, value.class_name.encode()) + fields)
        if isinstance(value, Mapping):
            return self._matrix(STRUCT, (1, 1), name, self._fields(value, compact=compact))
        array = np.asarray(value)
        if array.dtype == object:
            cells = (self.matrix(item, compact=compact) for item in array.ravel(order="F"))
            return self._matrix(CELL, array.shape, name, b"".join(cells))
        if array.dtype == bool:
            array = array.astype("u1")
        numbers = self.numbers(array, compact=compact)
        return self._matrix(CLASSES[array.dtype.str[1:]], array.shape, name, numbers)

    def subsystem(self, *matrices: bytes, name: str = "") -> bytes:
        """An array of bytes that are a stream of their own."""
        mark = b"\x01\x00IM" if self.order == "<" else b"\x00\x01MI"
        stream = mark + bytes(4) + b"".join(matrices)
        return self.matrix(np.frombuffer(stream, np.uint8).reshape(1, -1), name)

    def file(self, *matrices: bytes, compress: bool = False, subsystem: bytes = b"") -> bytes:
        """A file of these variables; the subsystem comes last."""
        body = b"".join(self._compressed(matrix) if compress else matrix for matrix in matrices)
        offset = 128 + len(body) if subsystem else 0
        header = b"MATLAB 5.0 MAT-file, made by hand".ljust(116)
        header += struct.pack(self.order + "QHH", offset, 0x0100, 0x4D49)
        return header + body + (self._compressed(subsystem) if subsystem else b"")

    def _fields(self, value: Mapping[str, Any], *, compact: bool) -> bytes:
        names = b"".join(name.encode().ljust(32, b"\0") for name in value)
        parts = [self.element(INT32, struct.pack(self.order + "i", 32)), self.element(INT8, names)]
        return b"".join([*parts, *(self.matrix(field, compact=compact) for field in value.values())])

    def _matrix(self, array_class: int, shape: tuple[int, ...], name: str, data: bytes) -> bytes:
        flags = self.element(UINT32, struct.pack(self.order + "II", array_class, 0))
        dimensions = self.element(INT32, struct.pack(f"{self.order}{len(shape)}i", *shape))
        return self.element(MATRIX, flags + dimensions + self.element(INT8, name.encode()) + data)

    def _compressed(self, matrix: bytes) -> bytes:
        deflated = zlib.compress(matrix)
        return struct.pack(self.order + "II", COMPRESSED, len(deflated)) + deflated
