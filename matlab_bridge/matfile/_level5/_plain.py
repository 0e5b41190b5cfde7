"""The plain matrices among many of the Level 5 format: real numbers of two axes, rows of text, and what was never set.

A cell or a struct array may have hundreds of thousands of them, each of some sixty bytes. Their heads are alike, so
that NumPy compares all of them in one pass; those of one layout become one array, of which each is a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._characters import decode_bytes
from matlab_bridge.matfile._raw import ARRAY_BYTES, DTYPES, TEXT_BYTES, Array

from ._format import CHAR, NUMBERS, NUMERIC, TAG_BYTES, TEXTS
from ._walk import Walker
from ._widen import widen

UNSET = np.empty((0, 0))
"""A cell or field that was never set takes eight bytes in the file, and deflated next to none: all share one array."""

# A head is 14 words: the tag of the matrix; flags, size and name, each behind a tag; the tag of the data. In a short
# element the last word is the data.
_HEAD = np.arange(14)[:, np.newaxis]
_HEAD_BYTES, _SHORT_HEAD_BYTES = 56, 52
_LONGEST_AXIS = 2**27  # so that a layout fits into one number of 64 bits
# Matrices of one layout are copied out of the stream together, if each is at most so large and they are so many.
_MOST_COPIED, _FEWEST = 128, 8

_TEXT = 1
_DTYPES = {2: np.dtype(bool), **{number: DTYPES[name] for number, name in enumerate(NUMERIC.values(), start=3)}}
_CLASSES = np.zeros(1024, np.int64)  # by flags: the lowest byte is MATLAB's number of the class, 512 marks a logical
_CLASSES[[CHAR, 512 + 9, *NUMERIC]] = [_TEXT, *_DTYPES]
_WIDTHS = np.zeros(32, np.int64)  # by kind of element
for _kind, _code in {**NUMBERS, **TEXTS}.items():
    _WIDTHS[_kind] = np.dtype(_code).itemsize
_IS_NUMBER = np.isin(np.arange(32), list(NUMBERS))


class _Heads(NamedTuple):
    """What stands before the data of many matrices: one number of each matrix in every array."""

    classes: Array
    kinds: Array
    widths: Array
    rows: Array
    columns: Array
    at: Array
    nbytes: Array
    is_unset: Array
    is_plain: Array

    def numeric(self) -> Array:
        """Which matrices are real numbers."""
        fits: Array = self.is_plain & (self.classes > _TEXT) & _IS_NUMBER[self.kinds]
        fits &= (self.rows < _LONGEST_AXIS) & (self.columns < _LONGEST_AXIS)
        fits &= self.rows * self.columns * self.widths == self.nbytes
        return fits

    def text(self, width: int) -> Array:
        """Which matrices are rows of characters of so many bytes each."""
        fits: Array = self.is_plain & (self.classes == _TEXT) & (self.widths == width) & (self.nbytes % width == 0)
        fits &= (self.rows == 1) | (self.nbytes == 0)
        return fits

    def layouts(self) -> Array:
        """One number for each: of matrices whose values differ in their numbers alone, the same."""
        return (((self.classes << 5) | self.kinds) << 54) | (self.rows << 27) | self.columns


class PlainReader:
    """Reads the plain ones among matrices.

    Args:
        walker: of the stream that they are in.
        budget: of the file.
    """

    def __init__(self, walker: Walker, budget: Budget) -> None:
        self._content = walker.content
        self._budget = budget
        self._bytes = np.frombuffer(walker.content, np.uint8)
        self._words = np.frombuffer(walker.content[: len(walker.content) & -4], walker.order + "u4")
        self._stored = {kind: np.dtype(walker.order + code) for kind, code in NUMBERS.items()}
        utf16 = "utf-16-le" if walker.order == "<" else "utf-16-be"
        self._encodings = {1: ("utf-8", "strict"), 2: (utf16, "surrogatepass")}

    def read(self, starts: Array) -> tuple[Array, Array]:
        """The values of plain matrices, and which matrices are none.

        Args:
            starts: where the tag of each begins, a multiple of eight; each must be known to lie in the stream.

        Returns:
            The values in raw form, in an object array that has None for each matrix that is not plain; the indices of
            these.
        """
        heads = self._heads(starts)
        values = np.empty(len(starts), object)
        is_read = heads.is_unset.copy()
        unset = np.flatnonzero(heads.is_unset)
        values[unset] = _objects(repeat(UNSET), len(unset))
        for width in (1, 2):
            texts = heads.text(width)
            chosen = np.flatnonzero(texts)
            values[chosen] = _objects(self._texts(heads, chosen, width), len(chosen))
            is_read |= texts
        numeric = heads.numeric()
        for chosen in _alike(heads.layouts(), np.flatnonzero(numeric)):
            values[chosen] = _objects(self._arrays(heads, chosen), len(chosen))
        return values, np.flatnonzero(~(is_read | numeric))

    def _heads(self, starts: Array) -> _Heads:
        words = self._words.take(starts // 4 + _HEAD, mode="clip").astype(np.int64)
        total, flags, rows, columns, name_kind, name_bytes = words[[1, 4, 8, 9, 10, 11]]
        short = words[12] >> 16
        kinds = np.where(short, words[12] & 0xFFFF, words[12]).clip(0, len(_WIDTHS) - 1)
        nbytes = np.where(short, short, words[13])
        classes, widths = _CLASSES[flags.clip(0, len(_CLASSES) - 1)], _WIDTHS[kinds]
        has_head = (words[[2, 3, 6, 7]] == [[6], [8], [5], [8]]).all(0) & (name_kind < 2**16) & (name_bytes == 0)
        fits = (short <= 4) & (total >= np.where(short, 0, nbytes) + (_HEAD_BYTES - TAG_BYTES))
        at = starts + np.where(short, _SHORT_HEAD_BYTES, _HEAD_BYTES)
        is_plain = has_head & fits & (classes > 0) & (widths > 0)
        return _Heads(classes, kinds, widths, rows, columns, at, nbytes, total == 0, is_plain)

    def _texts(self, heads: _Heads, chosen: Array, width: int) -> Iterable[str]:
        nbytes = heads.nbytes[chosen]
        # A character takes up to four bytes, however many the file has for it.
        self._budget.spend(TEXT_BYTES * len(chosen) + 4 // width * int(nbytes.sum()), "texts")
        content, (encoding, errors) = self._content, self._encodings[width]
        places = list(zip(heads.at[chosen].tolist(), (heads.at[chosen] + nbytes).tolist(), strict=True))
        try:
            return [str(content[start:end], encoding, errors) for start, end in places]
        except UnicodeDecodeError:
            return [decode_bytes(bytes(content[start:end])) for start, end in places]

    def _arrays(self, heads: _Heads, chosen: Array) -> Iterable[Array]:
        """The arrays of matrices of one layout."""
        count, first = len(chosen), chosen[0]
        dtype, stored = _DTYPES[int(heads.classes[first])], self._stored[int(heads.kinds[first])]
        shape = int(heads.rows[first]), int(heads.columns[first])
        nbytes, at = int(heads.nbytes[first]), heads.at[chosen]
        is_copied = count >= _FEWEST and nbytes <= _MOST_COPIED
        size = shape[0] * shape[1] * dtype.itemsize if is_copied else 0
        self._budget.spend(count * (ARRAY_BYTES + size), "arrays of numbers")
        if not is_copied and stored == dtype:
            # One call instead of frombuffer and reshape.
            return (np.ndarray(shape, stored, self._content, start, None, "F") for start in at.tolist())
        if not is_copied:
            flat = (np.ndarray(shape[0] * shape[1], stored, self._content, start) for start in at.tolist())
            return (widen(numbers, dtype, self._budget).reshape(shape, order="F") for numbers in flat)
        copied = self._bytes[at[:, np.newaxis] + np.arange(nbytes)].view(stored).astype(dtype, copy=False)
        copied.flags.writeable = not self._content.readonly
        return copied.reshape(count, shape[1], shape[0]).transpose(0, 2, 1)


def _alike(layouts: Array, chosen: Array) -> Iterator[Array]:
    """The chosen indices in groups of one layout."""
    if not chosen.size:
        return
    layouts = layouts[chosen]
    if (layouts == layouts[0]).all():
        yield chosen
        return
    order = np.argsort(layouts, kind="stable")
    ends = np.flatnonzero(np.diff(layouts[order])) + 1
    yield from np.split(chosen[order], ends)


def _objects(values: Iterable[Any], count: int) -> Array:
    # Not numpy.array, which looks into what it is given.
    return np.fromiter(values, object, count)
