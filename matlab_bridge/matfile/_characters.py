"""MATLAB's char arrays: 16-bit units of UTF-16, one an element."""

from __future__ import annotations

import math

import numpy as np

from ._raw import Array, check_room
from ._values import CharArray


def characters(units: Array) -> Array:
    """An array of one-character strings (`<U1`) of the same shape; this is how readers mark a char array."""
    return np.asarray(units, dtype=np.uint32, order="C").view("<U1" if np.little_endian else ">U1")


def units_of(text: str) -> Array:
    """The UTF-16 units of `text`."""
    return np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2").astype(np.uint16)


def text_of(array: Array) -> str | Array:
    """The text of a char array: `str` for a row or nothing, else a `CharArray`, one text for each row.

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
    units = np.ascontiguousarray(array).view(np.uint32).astype("<u2")
    return units.tobytes().decode("utf-16-le", "replace")
