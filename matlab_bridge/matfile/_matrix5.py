"""One matrix of the Level 5 format, from its bytes to its raw form.

Every size is checked against the bytes that are there before anything is allocated.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from matlab_bridge._errors import TruncatedFileError

from ._characters import characters, decoded_characters, decoded_name
from ._format5 import (
    CELL,
    CHAR,
    FUNCTION,
    MATRIX,
    NUMBERS,
    NUMERIC,
    OBJECT,
    OPAQUE,
    SPARSE,
    STRUCT,
    TAG_BYTES,
    UTF8,
    UTF16,
    UTF32,
)
from ._header import ByteOrder
from ._info import VariableInfo
from ._raw import DTYPES, Array, Function, Marker, OldObject, complex_array, matlab_shape, sparse_matrix

# The texts of char arrays are numbers, too: the units of their characters.
_NUMBERS = {**NUMBERS, UTF8: "u1", UTF16: "u2", UTF32: "u4"}
_CHARACTERS = frozenset(kind for kind, code in _NUMBERS.items() if code in {"i1", "u1", "i2", "u2", "i4", "u4"})
# Tags and values of flags, size, name and data.
_PLAIN_BYTES = 56
_INTEGERS = {5: "i", 6: "I"}
# A cell or a field that was never set takes eight bytes in the file, and deflated next to none: all share one array.
_UNSET = np.empty((0, 0))
_CLASS_NAMES = {
    **NUMERIC,
    CELL: "cell",
    STRUCT: "struct",
    CHAR: "char",
    SPARSE: "double",
    FUNCTION: "function_handle",
}


@dataclass(frozen=True, slots=True)
class MatrixHeader:
    """What comes before the data of a matrix. An opaque object has no shape here."""

    kind: int
    name: str
    class_name: str
    type_system: str = ""
    shape: tuple[int, ...] = ()
    is_complex: bool = False
    is_global: bool = False

    @property
    def is_opaque(self) -> bool:
        """Whether the data is but the marker of an object."""
        return self.kind == OPAQUE

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def info(self, shape: tuple[int, ...]) -> VariableInfo:
        """The same for the outside."""
        is_sparse = self.kind == SPARSE
        return VariableInfo(self.name, self.class_name, shape, self.is_complex, is_sparse, self.is_global)


class MatrixReader:
    """Reads matrices and their parts from bytes, one after the other.

    Args:
        data: the bytes, beginning where a matrix or its contents begin.
        byte_order: of the numbers in them.
    """

    def __init__(self, data: memoryview, byte_order: ByteOrder) -> None:
        self._data = data
        self._position = 0
        self._order = byte_order
        self._tag = struct.Struct(byte_order + "2I")
        self._plain = struct.Struct(byte_order + "2I8sI4x8s2i4x3I")
        self._plain_tags = struct.pack(byte_order + "2I", 6, 8), struct.pack(byte_order + "2I", 5, 8)
        self._dtypes = {kind: np.dtype(byte_order + code) for kind, code in _NUMBERS.items()}
        self._classes = {kind: DTYPES[name] for kind, name in NUMERIC.items()}

    def matrix(self) -> Any:
        """The matrix that begins here with its tag, in its raw form."""
        kind, nbytes = self._tag.unpack(self._take(TAG_BYTES))
        if kind != MATRIX:
            raise TruncatedFileError(f"a matrix was expected, and an element of kind {kind} found")
        if nbytes == 0:
            return _UNSET
        end = self._position + nbytes
        if end > len(self._data):
            raise self._too_short(nbytes)
        return self.contents(end)

    def contents(self, end: int) -> Any:
        """The raw form of a matrix whose tag is behind, and which ends at the byte `end`."""
        header = self.header()
        if header.kind == OPAQUE:
            value: Any = Marker(header.class_name, header.type_system, self.matrix())
        elif header.kind == FUNCTION:
            value = Function(self.matrix() if self._position < end else np.empty(header.shape, dtype=[]))
        elif header.kind == OBJECT:
            value = OldObject(header.class_name, self._struct(header))
        elif header.kind == STRUCT:
            value = self._struct(header)
        elif header.kind == CELL:
            value = self._cell(header)
        elif header.kind == CHAR:
            value = self._char(header)
        elif header.kind == SPARSE:
            value = self._sparse(header)
        else:
            value = self._numeric(header)
        self._position = end
        return value

    def header(self) -> MatrixHeader:
        """Class, name and size of the matrix whose tag is behind."""
        flags, _ = self._integers(2)
        kind = flags & 0xFF
        is_logical, is_global, is_complex = (bool(flags >> bit & 1) for bit in (9, 10, 11))
        if kind == OPAQUE:
            name, type_system, class_name = self._text(), self._text(), self._text()
            return MatrixHeader(kind, name, class_name, type_system, is_global=is_global)
        shape = matlab_shape(self._integers(), is_text=kind == CHAR)
        if min(shape) < 0:
            raise TruncatedFileError(f"the size of a matrix is stated as {shape}")
        name = self._text()
        class_name = self._text() if kind == OBJECT else _CLASS_NAMES.get(kind, "")
        if not class_name:
            raise TruncatedFileError(f"the class of the matrix {name!r} is stated as number {kind}")
        return MatrixHeader(kind, name, "logical" if is_logical else class_name, "", shape, is_complex, is_global)

    def plain_data(self) -> tuple[MatrixHeader, np.dtype[Any], int] | None:
        """Of a real numeric matrix whose tag is behind: what it is, how its data is stored, and where that begins."""
        header = self.header()
        if header.kind not in NUMERIC or header.is_complex:
            return None
        kind, nbytes = self._tag.unpack(self._take(TAG_BYTES))
        stored = self._dtypes.get(kind)
        if stored is None or nbytes != header.size * stored.itemsize:
            return None  # what is wrong with it is told when it is read
        return header, stored, self._position

    def _plain_matrices(self, target: Array, at: int) -> int:
        """Fill a part of a cell from the element `at` on, as long as these are plain, and tell where that ends.

        Thousands in a cell are plain: real, nameless, of two axes. Everything is done in one loop over names that are
        looked up once, which halves the time.
        """
        data, position, room = self._data, self._position, len(self._data) - _PLAIN_BYTES
        unpack, tags, classes, dtypes, array = (
            self._plain.unpack_from,
            self._plain_tags,
            self._classes,
            self._dtypes,
            np.ndarray,
        )
        count = len(target)
        while at < count and position <= room:
            matrix, total, flags_tag, flags, size_tag, rows, columns, name_bytes, kind, nbytes = unpack(data, position)
            dtype, stored = classes.get(flags), dtypes.get(kind)
            end = position + TAG_BYTES + total
            if (
                dtype is None
                or stored is None
                or matrix != MATRIX
                or name_bytes
                or (flags_tag, size_tag) != tags
                or rows < 0
                or columns < 0
                or nbytes != rows * columns * stored.itemsize
                or _PLAIN_BYTES + nbytes > TAG_BYTES + total
                or end > room + _PLAIN_BYTES
            ):
                break
            # One call instead of frombuffer and reshape.
            values = array((rows, columns), stored, data, position + _PLAIN_BYTES, order="F")
            target[at] = values if stored == dtype else values.astype(dtype, copy=False)
            position = end
            at += 1
        self._position = position
        return at

    # The parts of a matrix.

    def _numeric(self, header: MatrixHeader) -> Array:
        dtype = DTYPES[header.class_name]
        values = self._numbers(header.size).astype(dtype, copy=False)
        if header.is_complex:
            values = complex_array(values, self._numbers(header.size))
        return values.reshape(header.shape, order="F")

    def _char(self, header: MatrixHeader) -> Array:
        kind, data = self._element()
        if not data.nbytes:
            # Some writers leave the characters of a char array of blanks out.
            return characters(np.empty((0, 0), np.uint16))
        if kind not in _CHARACTERS:
            raise TruncatedFileError(f"characters were expected, and an element of kind {kind} found")
        return decoded_characters(np.frombuffer(data, self._dtypes[kind]), header.shape)

    def _cell(self, header: MatrixHeader) -> Array:
        self._check_room(header.size * TAG_BYTES)
        cell = np.empty(header.size, dtype=object)
        at = 0
        while (at := self._plain_matrices(cell, at)) < header.size:
            cell[at] = self.matrix()
            at += 1
        return cell.reshape(header.shape, order="F")

    def _struct(self, header: MatrixHeader) -> Array:
        (width,) = self._integers(1)
        data = self._element()[1]
        if width < 1 or data.nbytes % width:
            raise TruncatedFileError(f"field names of {width} bytes each do not fill {data.nbytes} bytes")
        table = bytes(data)
        names = [decoded_name(table[i : i + width]) for i in range(0, len(table), width)]
        self._check_room(header.size * len(names) * TAG_BYTES)
        # Without fields the dtype has no bytes, and an array of it no memory, however large its size.
        array = np.empty(header.size, dtype=[(name, object) for name in names])
        for i in range(header.size if names else 0):
            array[i] = tuple(self.matrix() for _ in names)
        return array.reshape(header.shape, order="F")

    def _sparse(self, header: MatrixHeader) -> scipy.sparse.csc_array[Any]:
        rows = self._numbers()
        starts = self._numbers()[: header.shape[1] + 1]
        if len(header.shape) != 2 or starts.size != header.shape[1] + 1:
            raise TruncatedFileError(f"a sparse matrix of size {header.shape} has {starts.size} column starts")
        count = int(starts[-1])
        dtype = DTYPES[header.class_name]
        values = self._sparse_values(count).astype(dtype)
        if header.is_complex:
            values = complex_array(values, self._sparse_values(count))
        return sparse_matrix(values, rows[:count], starts, (header.shape[0], header.shape[1]))

    def _sparse_values(self, count: int) -> Array:
        kind, data = self._element()
        # The values of a sparse logical matrix are bytes, whatever the tag says.
        dtype = np.dtype(np.uint8) if data.nbytes == count else self._dtype(kind)
        return np.frombuffer(data, dtype, count)

    # Elements: a tag of kind and length, then the bytes.

    def _element(self) -> tuple[int, memoryview]:
        tag = self._take(TAG_BYTES)
        kind, nbytes = self._tag.unpack(tag)
        if kind >> 16:  # a short element: length and kind share the first four bytes, the data are the others
            kind, nbytes = kind & 0xFFFF, kind >> 16
            if nbytes > 4:
                raise TruncatedFileError(f"a short element is stated to have {nbytes} bytes instead of 4 at most")
            return kind, tag[4 : 4 + nbytes]
        data = self._take(nbytes)
        # Elements begin at multiples of eight; the last one may lack its padding.
        self._position = min(self._position + -nbytes % 8, len(self._data))
        return kind, data

    def _numbers(self, size: int | None = None) -> Array:
        kind, data = self._element()
        dtype = self._dtype(kind)
        if size is not None and data.nbytes != size * dtype.itemsize:
            raise TruncatedFileError(
                f"a matrix of {size} elements has {data.nbytes} bytes instead of {size * dtype.itemsize}"
            )
        return np.frombuffer(data, dtype)

    def _integers(self, size: int | None = None) -> tuple[int, ...]:
        kind, data = self._element()
        count = len(data) // 4
        if kind not in _INTEGERS or size not in (None, count):
            raise TruncatedFileError(f"{size or 'some'} integers were expected, and {count} of kind {kind} found")
        return struct.unpack(f"{self._order}{count}{_INTEGERS[kind]}", data[: 4 * count])

    def _text(self) -> str:
        return decoded_name(bytes(self._element()[1]))

    def _dtype(self, kind: int) -> np.dtype[Any]:
        if kind not in self._dtypes:
            raise TruncatedFileError(f"numbers were expected, and an element of kind {kind} found")
        return self._dtypes[kind]

    def _take(self, nbytes: int) -> memoryview:
        self._check_room(nbytes)
        start = self._position
        self._position += nbytes
        return self._data[start : self._position]

    def _check_room(self, nbytes: int) -> None:
        if nbytes > len(self._data) - self._position:
            raise self._too_short(nbytes)

    def _too_short(self, nbytes: int) -> TruncatedFileError:
        there = len(self._data) - self._position
        return TruncatedFileError(f"{nbytes} bytes are needed where {there} are left")
