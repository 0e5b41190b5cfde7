"""HDF5's small datasets, read from the bytes of the file: what the library takes 0.3 ms for, each.

A cell of thousands of arrays is a dataset of references to as many datasets. Those that MATLAB writes have an object
header of version 1 and their data in one piece; this module understands these, checks what it reads, and gives
None for every other, which the library then reads.

Reference: The HDF Group, *HDF5 File Format Specification Version 3.0*, sections III.C and IV.A.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ._raw import Array

_WINDOW = 2**16
_UNDEFINED = 2**64 - 1
_DATASPACE, _DATATYPE, _LAYOUT, _FILTERS, _ATTRIBUTE, _CONTINUATION, _MANY_ATTRIBUTES = 1, 3, 8, 11, 12, 16, 21
_LINKS = frozenset((2, 6, 10, 17))  # of these a message says that the object is a group
_MOST_HEADER = 2**14
_PREFIX = struct.Struct("<BxHII4x")
_MESSAGE = struct.Struct("<HHB3x")
_PAIR = struct.Struct("<QQ")
_SIZES = struct.Struct("<HHH")

REFERENCE = np.dtype("<u8")


@dataclass(slots=True)
class Dataset:
    """A dataset whose data is in one piece.

    Attributes:
        shape: in the order of HDF5, MATLAB's reversed.
        dtype: of its numbers; `REFERENCE` of references to objects, which `is_references` tells from numbers.
        offset: where in the file the data is.
        nbytes: how much of it there is.
        attributes: of numbers and text; text as bytes.
    """

    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None
    is_references: bool = False
    offset: int = -1
    nbytes: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)


class RawFile:
    """The bytes of an HDF5 file, read through a window that moves.

    Args:
        descriptor: of the open file.
        base: where in the file HDF5 begins, behind MATLAB's header.
    """

    def __init__(self, descriptor: int, base: int) -> None:
        self._descriptor = descriptor
        self._base = base
        self._window = b""
        self._start = 0
        self.nbytes = os.fstat(descriptor).st_size

    def bytes_at(self, offset: int, nbytes: int) -> memoryview:
        """Some bytes of the file; fewer where it ends."""
        within = offset - self._start
        if within < 0 or within + nbytes > len(self._window):
            self._start = offset
            self._window = os.pread(self._descriptor, max(nbytes, _WINDOW), offset)
            within = 0
        return memoryview(self._window)[within : within + nbytes]

    def dataset(self, address: int) -> Dataset | None:
        """The dataset whose header is at an address, or None if it is of another form."""
        offset = self._base + address
        if not 0 < offset < self.nbytes - _PREFIX.size:
            return None
        try:
            version, _, _, size = _PREFIX.unpack(self.bytes_at(offset, _PREFIX.size))
            if version != 1 or size > _MOST_HEADER:
                return None
            found = Dataset()
            return found if self._messages(found, offset + _PREFIX.size, size) and self._is_whole(found) else None
        except (struct.error, ValueError, UnicodeDecodeError):
            return None

    def data(self, found: Dataset) -> Array:
        """The data of a dataset, as an array of its own."""
        if found.nbytes > _WINDOW // 2:
            array = np.empty(found.shape, found.dtype)
            if os.preadv(self._descriptor, [array.data.cast("B")], found.offset) != found.nbytes:
                raise EOFError("the file ends within the data of an array")
            return array
        array = np.frombuffer(self.bytes_at(found.offset, found.nbytes), found.dtype or REFERENCE)
        return array.reshape(found.shape).copy()

    def _messages(self, found: Dataset, offset: int, size: int) -> bool:
        blocks = [(offset, size)]
        for offset, size in blocks:
            data = bytes(self.bytes_at(offset, size))
            at = 0
            while at + 8 <= len(data):
                kind, length, flags = _MESSAGE.unpack_from(data, at)
                at += 8
                if kind == _CONTINUATION:
                    start, size = _PAIR.unpack_from(data, at)
                    if size > _MOST_HEADER or len(blocks) > 8:
                        return False
                    blocks.append((self._base + start, size))
                elif kind and not _understood(found, kind, flags, data[at : at + length], self._base):
                    return False
                at += length
        return True

    def _is_whole(self, found: Dataset) -> bool:
        if found.dtype is None or found.offset < 0:
            return False
        nbytes = math.prod(found.shape) * found.dtype.itemsize
        return nbytes == found.nbytes and found.offset + nbytes <= self.nbytes


def _understood(found: Dataset, kind: int, flags: int, body: bytes, base: int) -> bool:
    if kind in (_FILTERS, _MANY_ATTRIBUTES) or kind in _LINKS or flags & 2:
        return False
    if kind == _DATASPACE:
        shape = _shape(body)
        if shape is None:
            return False
        found.shape = shape
    elif kind == _DATATYPE:
        found.dtype = _dtype(body)
        found.is_references = found.dtype is not None and body[0] & 15 == _REFERENCES
        return found.dtype is not None
    elif kind == _LAYOUT:
        address, found.nbytes = _PAIR.unpack_from(body, 2)
        if body[:2] != b"\x03\x01" or address == _UNDEFINED:
            return False
        found.offset = base + address
    elif kind == _ATTRIBUTE:
        name, value = _attribute(body)
        if value is None:
            return False
        found.attributes[name] = value
    return True


@lru_cache(maxsize=256)
def _attribute(body: bytes) -> tuple[str, Any]:
    # Cached, for the attributes of the elements of a cell are the same bytes.
    version = body[0]
    if version not in (1, 3) or body[1]:
        return "", None
    at, align = (8, 8) if version == 1 else (9, 1)
    parts = []
    for size in _SIZES.unpack_from(body, 2):
        parts.append(body[at : at + size])
        at += -(-size // align) * align
    name, datatype, dataspace = parts
    shape = _shape(dataspace)
    value: Any = None
    if shape == () and datatype[0] & 15 == _TEXT:
        (size,) = struct.unpack_from("<I", datatype, 4)
        value = body[at : at + size].rstrip(b"\x00 ") if len(body) >= at + size else None
    elif shape == () and datatype[0] & 15 != _REFERENCES:
        dtype = _dtype(datatype)
        value = None if dtype is None else np.frombuffer(body, dtype, 1, at)[0]
    return name.split(b"\x00")[0].decode("ascii"), value


_INTEGER, _FLOAT, _TEXT, _REFERENCES = 0, 1, 3, 7
_FLOATS = {
    # Position of the sign, then offset, precision, exponent, mantissa and bias of IEEE 754.
    4: (31, struct.pack("<HHBBBBI", 0, 32, 23, 8, 0, 23, 127)),
    8: (63, struct.pack("<HHBBBBI", 0, 64, 52, 11, 0, 52, 1023)),
}


@lru_cache(maxsize=256)
def _dtype(body: bytes) -> np.dtype[Any] | None:
    kind, bits, sign, (size,) = body[0] & 15, body[1], body[2], struct.unpack_from("<I", body, 4)
    order = ">" if bits & 1 else "<"
    if kind == _INTEGER and size in (1, 2, 4, 8) and body[8:12] == struct.pack("<HH", 0, 8 * size):
        return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}")
    if kind == _FLOAT and size in _FLOATS and (sign, body[8:20]) == _FLOATS[size] and bits & 0x70 == 0x20:
        return np.dtype(f"{order}f{size}")
    return REFERENCE if kind == _REFERENCES and size == 8 and not bits & 15 else None


def _shape(body: bytes) -> tuple[int, ...] | None:
    version, rank = body[0], body[1]
    if version not in (1, 2) or rank > 32 or (version == 2 and body[3] > 1):
        return None
    return struct.unpack_from(f"<{rank}Q", body, 8 if version == 1 else 4)
