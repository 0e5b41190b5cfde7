"""MATLAB's text: how bytes become characters, and char arrays of 16-bit units of UTF-16, one an element."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from matlab_bridge._errors import TruncatedFileError

from ._budget import Budget
from ._raw import ARRAY_BYTES, TEXT_BYTES, Array
from ._values import CharArray

_FIRST_OUTSIDE_ASCII = 0x80
_SURROGATES = 0xD800, 0xDFFF
_LAST_UNIT, _LAST_CODE_POINT = 0xFFFF, 0x10FFFF
# What a byte takes as text and as units; a unit that is joined to others; and one of four bytes.
_DECODED_BYTES, _JOINED_BYTES, _WIDE_BYTES = 7, 6, 16


def decode_bytes(data: bytes) -> str:
    """Bytes as text, for names and values alike: UTF-8 where they are that, else Latin-1, a character a byte.

    Writers put the bytes of their own locale where the format has UTF-8 or ASCII. Latin-1 gives a character to every
    byte, so that different bytes stay different text.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def decode_name(data: bytes) -> str:
    """The name of a variable, field or class: what comes before the first NUL, decoded."""
    return decode_bytes(data.split(b"\x00")[0])


def distinct(names: Iterable[str]) -> list[str]:
    """Names of which none is another: one that was there before gets a number, lest one value hide another.

    Different bytes may decode alike.
    """
    found: dict[str, None] = {}
    numbers: dict[str, int] = {}  # that names were given last: what was taken once is not tried again
    for name in names:
        free = name
        while free in found:
            numbers[name] = numbers.get(name, 1) + 1
            free = f"{name}_{numbers[name]}"
        found[free] = None
    return list(found)


def characters(units: Array) -> Array:
    """An array of one-character strings (`<U1`) of the same shape; this is how readers mark a char array."""
    return np.asarray(units, dtype=np.uint32, order="C").view("<U1" if np.little_endian else ">U1")


def decode_characters(stored: Array, shape: tuple[int, ...], budget: Budget) -> Array:
    """A char array from the numbers that a file stores for it.

    Args:
        stored: bytes (UTF-8 or else Latin-1, signed or not), 16-bit units of UTF-16, or 32-bit code points; in one
            axis, in MATLAB's order.
        shape: as the file states it. Some writers count bytes, others units: a row may have another length.
        budget: of the file.

    Raises:
        TruncatedFileError: for code points that are none, or another number of characters than several rows have.
    """
    units = _units(stored, shape, budget)
    budget.spend(ARRAY_BYTES + np.dtype("<U1").itemsize * units.size, "the characters of a char array")
    return characters(units)


def text(stored: Array, shape: tuple[int, ...], budget: Budget) -> str | Array:
    """The text of a char array from the numbers that a file stores for it.

    Args:
        stored: as `decoded_characters` takes it.
        shape: as the file states it.
        budget: of the file.

    Returns:
        `str` for a row, else a `CharArray`.

    Raises:
        TruncatedFileError: as `decoded_characters` does.
    """
    width = stored.dtype.itemsize
    if len(shape) == 2 and shape[0] == 1 and width <= 2:
        budget.spend(TEXT_BYTES + 4 * stored.size, "a text")
        if width == 1:
            return decode_bytes(stored.tobytes())
        return stored.tobytes().decode("utf-16-be" if stored.dtype.str[0] == ">" else "utf-16-le", "surrogatepass")
    return _text(_units(stored, shape, budget), budget)


def _units(stored: Array, shape: tuple[int, ...], budget: Budget) -> Array:
    """The numbers of the characters of a char array, in MATLAB's shape."""
    count = math.prod(shape)
    if stored.dtype.itemsize == 1:
        units = stored.view(np.uint8)
        if units.max(initial=0) >= _FIRST_OUTSIDE_ASCII:
            budget.spend(_DECODED_BYTES * units.size, "the characters of a char array")
            units = units_of(decode_bytes(stored.tobytes()))
        if units.size != count == stored.size and shape[0] != 1:
            units = stored.view(np.uint8)  # column by column, the bytes of several rows only look like UTF-8
    elif stored.dtype.itemsize == 2:
        units = stored.astype(np.uint16, copy=False)
    else:
        units = stored
        if stored.size and not 0 <= stored.min() <= stored.max() <= _LAST_CODE_POINT:
            raise TruncatedFileError("a char array has numbers that are no code points of Unicode")
    if units.size == count:
        return units.reshape(shape, order="F")
    if shape[0] == 1:
        return units.reshape(1, -1)
    raise TruncatedFileError(f"a char array of size {shape} has {units.size} characters")


class Units(np.ndarray[Any, Any]):
    """A char row as its 16-bit units, in the shape 1 x n: what writers take where NumPy's strings would lose a NUL."""

    def __new__(cls, text: str) -> Units:
        return units_of(text)[np.newaxis].view(cls)


def units_of(text: str) -> Array:
    """The UTF-16 units of `text`."""
    return np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2").astype(np.uint16)


def text_of(array: Array, budget: Budget) -> str | Array:
    """The text of a char array: `str` for a row or nothing, else a `CharArray`, one text for each row.

    Half of a surrogate pair, which MATLAB allows, stays what it is.

    Args:
        array: one-character strings, as `characters` gives them, in MATLAB's shape.
        budget: of the file.
    """
    # Through integers: NumPy drops a NUL at the end of a string, and "<U1" of NUL would read as nothing.
    return _text(np.asarray(array, order="K").view(np.uint32), budget)


def _text(units: Array, budget: Budget) -> str | Array:
    if units.ndim == 2 and units.shape[0] <= 1:
        each = _WIDE_BYTES if units.max(initial=0) > _LAST_UNIT else _JOINED_BYTES
        budget.spend(TEXT_BYTES + each * units.size, "a text")
        return _join(units)
    rows = np.moveaxis(units, 1, -1)
    count, width = math.prod(rows.shape[:-1]), rows.shape[-1]
    each = np.dtype("<U1").itemsize + units.itemsize + 3 * (units.itemsize > 1)  # the result, a copy, and flags
    budget.spend(ARRAY_BYTES + count * each * max(1, width), "rows of text")
    if not width:
        return CharArray(np.zeros(rows.shape[:-1], "<U1"))
    codes = np.ascontiguousarray(rows)
    if not _has_pairs(codes):
        return CharArray(codes.astype(np.uint32).view(f"{'<' if np.little_endian else '>'}U{width}")[..., 0])
    budget.spend(count * TEXT_BYTES, "rows of text")
    texts = [_join(row) for row in codes.reshape(count, width)]
    return CharArray(np.array(texts, dtype=np.str_).reshape(rows.shape[:-1]))


def _has_pairs(codes: Array) -> bool:
    """Whether some characters may take two units."""
    return codes.dtype.itemsize > 1 and bool(((codes >= _SURROGATES[0]) & (codes <= _SURROGATES[1])).any())


def _join(codes: Array) -> str:
    if codes.max(initial=0) > _LAST_UNIT:
        points = codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        units = points.encode("utf-16-le", "surrogatepass")
    else:
        units = codes.astype("<u2").tobytes()
    return units.decode("utf-16-le", "surrogatepass")
