"""MATLAB's text: how bytes become characters, and char arrays of 16-bit units of UTF-16, one an element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from matlab_bridge._errors import TruncatedFileError

from ._raw import Array, check_room
from ._values import CharArray

_LAST_CODE_POINT = 0x10FFFF


def decoded(data: bytes) -> str:
    """Bytes as text, for names and values alike: UTF-8 where they are that, else Latin-1, a character a byte.

    Writers put the bytes of their own locale where the format has UTF-8 or ASCII. Latin-1 gives a character to every
    byte, so that different bytes stay different text.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def decoded_name(data: bytes) -> str:
    """The name of a variable, field or class: what comes before the first NUL, decoded."""
    return decoded(data.split(b"\x00")[0])


def characters(units: Array) -> Array:
    """An array of one-character strings (`<U1`) of the same shape; this is how readers mark a char array."""
    return np.asarray(units, dtype=np.uint32, order="C").view("<U1" if np.little_endian else ">U1")


def decoded_characters(stored: Array, shape: tuple[int, ...]) -> Array:
    """A char array from the numbers that a file stores for it.

    Args:
        stored: bytes (UTF-8 or else Latin-1, signed or not), 16-bit units of UTF-16, or 32-bit code points; in one
            axis, in MATLAB's order.
        shape: as the file states it. Some writers count bytes, others units: a row may have another length.

    Raises:
        TruncatedFileError: for code points that are none, or another number of characters than several rows have.
    """
    count = math.prod(shape)
    if stored.dtype.itemsize == 1:
        units = units_of(decoded(stored.tobytes()))
        if units.size != count == stored.size and shape[0] != 1:
            units = stored.view(np.uint8)  # column by column, the bytes of several rows only look like UTF-8
    elif stored.dtype.itemsize == 2:
        units = stored.astype(np.uint16, copy=False)
    else:
        units = stored
        if stored.size and not 0 <= stored.min() <= stored.max() <= _LAST_CODE_POINT:
            raise TruncatedFileError("a char array has numbers that are no code points of Unicode")
    if units.size == count:
        return characters(units).reshape(shape, order="F")
    if shape[0] == 1:
        return characters(units).reshape(1, -1)
    raise TruncatedFileError(f"a char array of size {shape} has {units.size} characters")


class Units(np.ndarray[Any, Any]):
    """A char row as its 16-bit units, in the shape 1 x n: what writers take where NumPy's strings would lose a NUL."""

    def __new__(cls, text: str) -> Units:
        return units_of(text)[np.newaxis].view(cls)


def units_of(text: str) -> Array:
    """The UTF-16 units of `text`."""
    return np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2").astype(np.uint16)


def text_of(array: Array) -> str | Array:
    """The text of a char array: `str` for a row or nothing, else a `CharArray`, one text for each row.

    Half of a surrogate pair, which MATLAB allows, stays what it is.

    Args:
        array: one-character strings, as `characters` gives them, in MATLAB's shape.
    """
    if array.ndim == 2 and array.shape[0] <= 1:
        return _joined(array)
    rows = np.moveaxis(array, 1, -1)
    if not array.size:
        check_room(math.prod(rows.shape[:-1]), "rows of text without characters")
    texts = [_joined(rows[index]) for index in np.ndindex(rows.shape[:-1])]
    return CharArray(np.array(texts, dtype=np.str_).reshape(rows.shape[:-1]))


def _joined(array: Array) -> str:
    # Through integers: NumPy drops a NUL at the end of a string, and "<U1" of NUL would read as nothing.
    codes = np.ascontiguousarray(array).view(np.uint32)
    if codes.size and codes.max() > 0xFFFF:
        units = "".join(map(chr, codes.ravel().tolist())).encode("utf-16-le", "surrogatepass")
    else:
        units = codes.astype("<u2").tobytes()
    return units.decode("utf-16-le", "surrogatepass")
