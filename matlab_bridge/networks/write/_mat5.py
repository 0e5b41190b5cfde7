"""Where the numbers stand in a MAT 5 stream, and how other numbers are put in their place.

A stream is a row of elements, each a tag (data type and number of bytes) and its data; a `miMATRIX` holds
further elements. The walk reads structure only: it knows arrays, cells, structs, objects of both kinds and
function handles, and says of every real numeric array where its tag and its data are. `matfile` reads values,
and forgets where they stood.

Reference: MathWorks, *MAT-File Format* (matfile_format.pdf), "Level 5 MAT-File Format". The format of opaque
objects and of the subsystem, which carries their properties, is not in it; it was read from files.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._characters import decoded
from matlab_bridge.matfile._format5 import (
    CELL,
    FUNCTION,
    MATRIX,
    NUMBERS,
    NUMERIC,
    OBJECT,
    OPAQUE,
    STRUCT,
)
from matlab_bridge.matfile._header import ByteOrder
from matlab_bridge.matfile._raw import DTYPES, matlab_shape

Vector = npt.NDArray[Any]

_DATA_TYPES = {kind: np.dtype(code) for kind, code in NUMBERS.items()}
_KINDS = {dtype: kind for kind, dtype in _DATA_TYPES.items()}
_CONTAINERS = frozenset({CELL, STRUCT, OBJECT, FUNCTION, OPAQUE})
_NUMERIC = {array_class: DTYPES[name] for array_class, name in NUMERIC.items()}
_COMPLEX = 0x0800  # of the array flags, whose lowest byte is the class
_SUBSYSTEM_HEADER = 8  # bytes: version, byte order, padding
_DEEPEST = 200  # MATLAB's own networks nest some forty deep; bytes that pretend to hundreds are broken


class Tag(NamedTuple):
    """An element: its data type and number of bytes, where its tag and its data start, and where it stops.

    It stops behind the zeros that fill it up to a multiple of eight bytes.
    """

    kind: int
    nbytes: int
    start: int
    data: int
    stop: int

    @property
    def is_small(self) -> bool:
        """Whether tag and data share eight bytes."""
        return self.data == self.start + 4


@dataclass(frozen=True, slots=True)
class NumericArray:
    """A real numeric array of a stream: what it is, and which bytes hold it.

    Attributes:
        name: the variable's name; empty for an array inside another value.
        dtype: the type of its MATLAB class.
        shape: its dimensions in MATLAB.
        storage: the type of the stored numbers. MATLAB stores whole numbers of every class in the smallest
            integer type that holds them.
        tag: the element that holds the numbers.
        counters: the offsets of the 32-bit integers that count this element's bytes: the sizes of all
            elements around it and, in the subsystem, the length of the array that carries the subsystem.
        order: the byte order of the stream.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    storage: np.dtype[Any]
    tag: Tag
    counters: tuple[int, ...]
    order: ByteOrder

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    def values(self, content: bytes) -> Vector:
        """Its numbers in MATLAB's column-major order."""
        stored = np.frombuffer(content, self.storage.newbyteorder(self.order), self.size, self.tag.data)
        return stored.astype(self.dtype)

    def element(self, values: Vector) -> bytes:
        """The bytes from tag to padding with other numbers, stored in the same type if that is exact."""
        storage = self.storage if _holds(self.storage, values) else self.dtype
        data = values.astype(storage.newbyteorder(self.order)).tobytes()
        kind = _KINDS[storage]
        if self.tag.is_small and len(data) <= 4:
            return struct.pack(self.order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
        return struct.pack(self.order + "II", kind, len(data)) + data.ljust(_padded(len(data)), b"\0")


def numeric_arrays(content: bytes, order: ByteOrder, *, subsystem: bool = False) -> Iterator[NumericArray]:
    """Walk a stream, and give every real numeric array in it, however deep, in the order of the bytes.

    Args:
        content: the elements, inflated, without the header of a file.
        order: the byte order, `"<"` or `">"`.
        subsystem: whether the content is the element that carries a file's subsystem: an array of bytes that
            are a stream of their own.

    Raises:
        TruncatedFileError: the content ends inside an element, or its sizes contradict each other.
    """
    walk = _Walk(content, order)
    for tag in walk.elements(0, len(content)):
        if tag.kind == MATRIX:
            yield from walk.subsystem(tag) if subsystem else walk.matrix(tag, ())


def replaced(content: bytes, changes: Mapping[NumericArray, Vector]) -> bytes:
    """The content with other numbers in some of its arrays, and with the sizes that follow from them.

    Args:
        content: the stream in which `numeric_arrays` found the arrays.
        changes: for each array its numbers in column-major order, of its own dtype and size.
    """
    arrays = sorted(changes, key=lambda array: array.tag.start)
    elements = [array.element(changes[array]) for array in arrays]
    buffer = bytearray(content)
    for array, element in zip(arrays, elements, strict=True):
        growth = len(element) - (array.tag.stop - array.tag.start)
        for counter in array.counters if growth else ():
            (count,) = struct.unpack_from(array.order + "I", buffer, counter)
            struct.pack_into(array.order + "I", buffer, counter, count + growth)
    pieces: list[bytes | memoryview] = []
    done = 0
    for array, element in zip(arrays, elements, strict=True):
        pieces += [memoryview(buffer)[done : array.tag.start], element]
        done = array.tag.stop
    return b"".join([*pieces, memoryview(buffer)[done:]])


class _Walk:
    """One pass over the bytes of a stream; offsets count from the start of `content`."""

    def __init__(self, content: bytes, order: ByteOrder) -> None:
        self._content = content
        self._order = order
        self._word = struct.Struct(order + "I")

    def elements(self, start: int, stop: int) -> Iterator[Tag]:
        while start < stop:
            tag = self._tag(start, stop)
            yield tag
            start = tag.stop

    def subsystem(self, carrier: Tag) -> Iterator[NumericArray]:
        parts = tuple(self.elements(carrier.data, carrier.stop))
        if len(parts) != 4 or _NUMERIC.get(self._flags(parts[0]) & 0xFF) != np.uint8:
            raise _broken(carrier.start, "the contents of the objects should be an array of bytes")
        _, dimensions, _, stream = parts
        shape = self._shape(dimensions)
        if stream.nbytes < _SUBSYSTEM_HEADER or stream.nbytes not in shape:
            raise _broken(stream.start, f"{stream.nbytes} bytes cannot be an array of shape {shape}")
        length = dimensions.data + 4 * shape.index(stream.nbytes)
        counters = (carrier.start + 4, length, stream.start + 4)
        for tag in self.elements(stream.data + _SUBSYSTEM_HEADER, stream.data + stream.nbytes):
            if tag.kind == MATRIX:
                yield from self.matrix(tag, counters)

    def matrix(self, matrix: Tag, counters: tuple[int, ...]) -> Iterator[NumericArray]:
        if matrix.nbytes == 0:  # an empty value of a cell or a field, in its shortest form
            return
        if len(counters) > _DEEPEST:
            raise _broken(matrix.start, f"values are nested more than {_DEEPEST} deep")
        counters = (*counters, matrix.start + 4)
        parts = self.elements(matrix.data, matrix.data + matrix.nbytes)
        flags = self._flags(self._next(parts, matrix))
        array_class = flags & 0xFF
        if array_class in _CONTAINERS:
            # Beside the values stand only dimensions and names, which are no matrices.
            for part in parts:
                if part.kind == MATRIX:
                    yield from self.matrix(part, counters)
        elif array_class in _NUMERIC:
            shape = self._shape(self._next(parts, matrix))
            name = self._next(parts, matrix)
            numbers = self._next(parts, matrix)
            storage = self._storage(numbers, math.prod(shape))
            if not flags & _COMPLEX:
                dtype = _NUMERIC[array_class]
                yield NumericArray(self._text(name), dtype, shape, storage, numbers, counters, self._order)

    def _tag(self, start: int, stop: int) -> Tag:
        if start + 8 > stop:
            raise _broken(start, f"an element starts, but only {stop - start} bytes are left")
        kind = self._integer(start)
        small = kind >> 16  # the number of bytes of a small element; zero in the tag of any other
        if small:
            tag = Tag(kind & 0xFFFF, small, start, start + 4, start + 8)
        else:
            nbytes = self._integer(start + 4)
            tag = Tag(kind, nbytes, start, start + 8, start + 8 + _padded(nbytes))
        if tag.stop > stop or small > 4:
            raise _broken(start, f"an element has {tag.nbytes} bytes, and {stop - tag.data} are left")
        return tag

    def _next(self, parts: Iterator[Tag], matrix: Tag) -> Tag:
        part = next(parts, None)
        if part is None:
            raise _broken(matrix.start, "an array ends before its numbers")
        return part

    def _integer(self, offset: int) -> int:
        value: int = self._word.unpack_from(self._content, offset)[0]
        return value

    def _flags(self, tag: Tag) -> int:
        if tag.nbytes != 8:
            raise _broken(tag.start, f"the flags of an array have {tag.nbytes} bytes in place of 8")
        return self._integer(tag.data)

    def _shape(self, tag: Tag) -> tuple[int, ...]:
        return matlab_shape(struct.unpack_from(f"{self._order}{tag.nbytes // 4}I", self._content, tag.data))

    def _text(self, tag: Tag) -> str:
        return decoded(self._content[tag.data : tag.data + tag.nbytes])

    def _storage(self, tag: Tag, size: int) -> np.dtype[Any]:
        if tag.kind not in _DATA_TYPES:
            raise _broken(tag.start, f"numbers are stored as data type {tag.kind}, which is not known")
        storage = _DATA_TYPES[tag.kind]
        if size * storage.itemsize != tag.nbytes:
            raise _broken(tag.start, f"{size} numbers of type {storage} are said to be {tag.nbytes} bytes")
        return storage


def _padded(nbytes: int) -> int:
    return -(-nbytes // 8) * 8


def _holds(storage: np.dtype[Any], values: Vector) -> bool:
    """Whether numbers can be stored in this type, and come back as they were."""
    if np.can_cast(values.dtype, storage):
        return True
    if storage.kind == "f":
        with np.errstate(over="ignore"):
            return np.array_equal(values.astype(storage).astype(values.dtype), values, equal_nan=True)
    limits = np.iinfo(storage)
    whole = np.isfinite(values).all() and (values == np.rint(values)).all()
    return bool(whole and values.min(initial=0) >= limits.min and values.max(initial=0) < limits.max + 1)


def _broken(offset: int, what: str) -> TruncatedFileError:
    return TruncatedFileError(
        f"The MAT-file is cut off or damaged: at byte {offset} of the contents of a variable, {what}. "
        "Copy or download the file again, or save it again in MATLAB."
    )
