"""The walk over bytes of the Level 5 format: which elements are there, where each begins and ends, and what they are.

A stream is a row of elements, each a tag (kind and number of bytes) and its data; a matrix holds further elements. The
walk allocates nothing but what it tells. Values (`_matrix5`) and the positions of numbers (`_places5`) come from it.

An element lies within the one around it: sizes that say otherwise are damage. So no byte is walked twice at one depth,
whatever the sizes are.

Reference: MathWorks, *MAT-File Format* (matfile_format.pdf), "Level 5 MAT-File Format". The format of opaque objects
is not in it; it was read from files.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._characters import decode_bytes
from matlab_bridge.matfile._header import ByteOrder
from matlab_bridge.matfile._info import VariableInfo
from matlab_bridge.matfile._raw import matlab_shape

from ._format import CELL, CHAR, FUNCTION, MATRIX, NUMERIC, OBJECT, OPAQUE, SPARSE, STRUCT, TAG_BYTES

MOST_DEPTH = 200
"""How deep values may be nested. MATLAB's own networks nest some forty deep."""

# MATLAB's names have 63 letters, names of classes some more; NumPy has 64 axes.
_LONGEST_NAME, _MOST_AXES = 2048, 64
_INTEGERS = {5: "i", 6: "I"}
_CLASS_NAMES = {
    **NUMERIC,
    CELL: "cell",
    STRUCT: "struct",
    CHAR: "char",
    SPARSE: "double",
    FUNCTION: "function_handle",
}


class Tag(NamedTuple):
    """An element: its kind and number of bytes, where its tag and its data start, and where it stops.

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
class MatrixHeader:
    """What comes before the data of a matrix, and where the data begins and stops. An opaque object has no shape here.

    The name of the class is empty where its number is not known.
    """

    kind: int
    raw_name: bytes
    class_name: str
    type_system: str
    shape: tuple[int, ...]
    is_complex: bool
    is_global: bool
    data: int
    stop: int

    @property
    def name(self) -> str:
        """Its name; empty for a value inside another."""
        return decode_bytes(self.raw_name)

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


class Walker:
    """Tells the elements of a stream.

    Args:
        content: the bytes. They may be the beginning of a stream: what is told then ends with them.
        order: the byte order of the numbers in them.
    """

    def __init__(self, content: bytes | memoryview, order: ByteOrder) -> None:
        self.content = memoryview(content)
        self.order = order
        self._words = struct.Struct(order + "2I").unpack_from

    def tag(self, start: int, stop: int) -> Tag:
        """The element that begins at `start`, within one whose data stops at `stop`."""
        if start + TAG_BYTES > min(stop, len(self.content)):
            raise broken(start, f"an element begins where {min(stop, len(self.content)) - start} bytes are left")
        kind, nbytes = self._words(self.content, start)
        if small := kind >> 16:  # a short element: length and kind share the first four bytes, the data are the others
            if small > 4:
                raise broken(start, f"a short element is stated to have {small} bytes instead of 4 at most")
            return Tag(kind & 0xFFFF, small, start, start + 4, start + TAG_BYTES)
        data = start + TAG_BYTES
        if data + nbytes > stop:
            raise broken(start, f"{nbytes} bytes are needed where {stop - data} are left")
        # Elements begin at multiples of eight; the last one may lack its padding.
        return Tag(kind, nbytes, start, data, min(data + nbytes + -nbytes % 8, stop))

    def tags(self, start: int, stop: int) -> Iterator[Tag]:
        """The elements from `start` to `stop`, one after the other."""
        while start < stop:
            tag = self.tag(start, stop)
            yield tag
            start = tag.stop

    def matrices(self, start: int, stop: int, count: int) -> array[int]:
        """Where each of `count` matrices begins of which the first begins at `start`, and the last stops by `stop`."""
        if count * TAG_BYTES > stop - start:
            raise broken(start, f"{count} elements are stated where {stop - start} bytes are left")
        words, content, found = self._words, self.content, array("q")
        for _ in range(count):
            found.append(start)
            kind, nbytes = words(content, start) if start + TAG_BYTES <= stop else (0, 0)
            end = start + TAG_BYTES + nbytes
            if kind != MATRIX or end > stop:
                self.tag(start, stop)  # tells what is wrong with its size
                raise broken(start, f"a matrix was expected, and an element of kind {kind} found")
            start = end + 7 & -8
        return found

    def header(self, start: int, stop: int) -> MatrixHeader:
        """What the matrix is whose data lies from `start` to `stop`, its tag not counted."""
        tag = self.tag(start, stop)
        flags = self.integers(tag)
        if len(flags) != 2:
            raise broken(start, f"the flags of a matrix have {tag.nbytes} bytes instead of 8")
        kind = flags[0] & 0xFF
        is_logical, is_global, is_complex = (bool(flags[0] >> bit & 1) for bit in (9, 10, 11))
        type_system = ""
        shape: tuple[int, ...] = ()
        if kind == OPAQUE:
            tag, name = self._text(tag.stop, stop)
            tag, system = self._text(tag.stop, stop)
            tag, text = self._text(tag.stop, stop)
            type_system, class_name = decode_bytes(system), decode_bytes(text)
        else:
            tag = self.tag(tag.stop, stop)
            shape = self._shape(tag, is_text=kind == CHAR)
            tag, name = self._text(tag.stop, stop)
            if kind == OBJECT:
                tag, text = self._text(tag.stop, stop)
                class_name = decode_bytes(text)
            else:
                class_name = "logical" if is_logical else _CLASS_NAMES.get(kind, "")
        return MatrixHeader(kind, name, class_name, type_system, shape, is_complex, is_global, tag.stop, stop)

    def data(self, tag: Tag) -> memoryview:
        """The bytes of an element."""
        data = self.content[tag.data : tag.data + tag.nbytes]
        if len(data) < tag.nbytes:
            raise broken(tag.start, f"{tag.nbytes} bytes are needed where {len(data)} are left")
        return data

    def integers(self, tag: Tag) -> tuple[int, ...]:
        """The numbers of an element of 32-bit integers, at most as many as a matrix has axes."""
        count = tag.nbytes // 4
        if tag.kind not in _INTEGERS or count > _MOST_AXES:
            raise broken(
                tag.start, f"at most {_MOST_AXES} integers were expected, and {count} of kind {tag.kind} found"
            )
        return struct.unpack(f"{self.order}{count}{_INTEGERS[tag.kind]}", self.data(tag)[: 4 * count])

    def _shape(self, tag: Tag, *, is_text: bool) -> tuple[int, ...]:
        shape = matlab_shape(self.integers(tag), is_text=is_text)
        if min(shape) < 0:
            raise broken(tag.start, f"the size of a matrix is stated as {shape}")
        return shape

    def _text(self, start: int, stop: int) -> tuple[Tag, bytes]:
        tag = self.tag(start, stop)
        if tag.nbytes > _LONGEST_NAME:
            raise broken(start, f"a name is stated to have {tag.nbytes} letters")
        return tag, bytes(self.data(tag)).split(b"\x00")[0]


def broken(offset: int, what: str) -> TruncatedFileError:
    """The error over a byte of a stream."""
    return TruncatedFileError(f"it is cut off or damaged: at byte {offset} of its contents, {what}")
