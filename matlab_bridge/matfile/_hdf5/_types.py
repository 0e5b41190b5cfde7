"""HDF5's descriptions of types and of shapes (sections IV.A.2.b and IV.A.2.d), as far as MATLAB has use for them."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import numpy as np

from ._item import REFERENCE

INTEGER, FLOAT, TEXT, BITS, COMPOUND, REFERENCES, ENUMERATION, VARIABLE = 0, 1, 3, 4, 6, 7, 8, 9
HEAP_PLACE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])
"""Of an element of variable length: where its text is."""

_HEADER_BYTES = 8
# What follows the header of a number.
_NUMBER_BYTES = {INTEGER: 4, FLOAT: 12}
_FLOATS = {
    # Position of the sign, then offset, precision, exponent, mantissa and bias of IEEE 754.
    2: (15, struct.pack("<HHBBBBI", 0, 16, 10, 5, 0, 10, 15)),
    4: (31, struct.pack("<HHBBBBI", 0, 32, 23, 8, 0, 23, 127)),
    8: (63, struct.pack("<HHBBBBI", 0, 64, 52, 11, 0, 52, 1023)),
}
_MOST_RANK = 32
_MOST_TEXT = 2**16


def type_class(body: bytes) -> int:
    """The number of the class of a type."""
    return body[0] & 15


@lru_cache(maxsize=256)
def dtype_of(body: bytes) -> np.dtype[Any] | None:
    """The type of NumPy's that a description stands for, or None.

    References are addresses, and of texts of variable length there are their places.
    """
    if len(body) < _HEADER_BYTES:
        return None
    kind, bits, sign, (size,) = body[0] & 15, body[1], body[2], struct.unpack_from("<I", body, 4)
    order = ">" if bits & 1 else "<"
    if kind in (INTEGER, BITS) and size in (1, 2, 4, 8) and body[8:12] == struct.pack("<HH", 0, 8 * size):
        return np.dtype(f"{order}{'i' if kind == INTEGER and bits & 8 else 'u'}{size}")
    if kind == FLOAT and size in _FLOATS and (sign, body[8:20]) == _FLOATS[size] and bits & 0x70 == 0x20:
        return np.dtype(f"{order}f{size}")
    if kind == TEXT and 0 < size <= _MOST_TEXT:
        return np.dtype(f"S{size}")
    if kind == ENUMERATION:
        base = dtype_of(body[_HEADER_BYTES:])
        return base if base is not None and base.itemsize == size else None
    if kind == COMPOUND:
        return _pair(body, size)
    if kind == VARIABLE and size == HEAP_PLACE.itemsize and type_class(body[_HEADER_BYTES:] or b"\xff") == TEXT:
        return HEAP_PLACE
    return REFERENCE if kind == REFERENCES and size == REFERENCE.itemsize and not bits & 15 else None


def _pair(body: bytes, size: int) -> np.dtype[Any] | None:
    """The type of complex numbers: a real and an imaginary part."""
    version, count = body[0] >> 4, int.from_bytes(body[1:3], "little")
    if count != 2 or not 1 <= version <= 3:
        return None
    names, types, offsets, at = [], [], [], _HEADER_BYTES
    for _ in range(count):
        end = body.index(b"\x00", at)
        names.append(body[at:end].decode("ascii"))
        at = end + 1 if version == 3 else at + (end - at) // 8 * 8 + 8
        width = (size.bit_length() + 7) // 8 if version == 3 else 4
        offsets.append(int.from_bytes(body[at : at + width], "little"))
        at += width + (28 if version == 1 else 0)  # numbers on the axes of a member, which is no array here
        kind = type_class(body[at : at + 1])
        if kind not in _NUMBER_BYTES:
            return None
        nbytes = _HEADER_BYTES + _NUMBER_BYTES[kind]
        types.append(dtype_of(body[at : at + nbytes]))
        at += nbytes
    # Not `None in types`: NumPy takes None for the type of double.
    if names != ["real", "imag"] or any(part is None for part in types) or types[0] != types[1]:
        return None
    return np.dtype({"names": names, "formats": types, "offsets": offsets, "itemsize": size})


def shape_of(body: bytes) -> tuple[int, ...] | None:
    """The shape that a description states, () for a single value; None for another kind."""
    version, rank = body[0], body[1]
    if version not in (1, 2) or rank > _MOST_RANK or (version == 2 and body[3] > 1):
        return None
    return struct.unpack_from(f"<{rank}Q", body, 8 if version == 1 else 4)


def limits_of(body: bytes) -> tuple[int, ...]:
    """What each axis of a described shape may grow to."""
    version, rank, flags = body[:3]
    at = (8 if version == 1 else 4) + 8 * rank * (flags & 1)
    return struct.unpack_from(f"<{rank}Q", body, at)
