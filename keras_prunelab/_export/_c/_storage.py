"""How a matrix is stored: all of it, as bits and values, as columns and values (CSR), or as 8-bit steps and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_STEP = 255
_MOST_IN_A_ROW = 65535
"""Rows are counted in 16 bits at most, and so are columns."""
_WORK = {"float32": {"mask": 10.0, "columns": 4.0, "steps": 6.0}, "int8": {"mask": 10.0, "columns": 3.5, "steps": 4.5}}
"""What a value that is kept costs, where a value of a whole matrix costs 1: see benchmarks/device.py."""


@dataclass(frozen=True)
class Stored:
    """A matrix in the form that the kernel `add_product_<form>` reads.

    Attributes:
        form: `"dense"`, `"mask"`, `"columns"` or `"steps"`.
        rows: outputs.
        columns: inputs.
        values: the numbers, row by row; of `"dense"`, column by column.
        places: bits, columns or steps; None for `"dense"`.
        counts: how many values each row has; None where that goes without saying.
        kept: how many are not zero.
    """

    form: str
    rows: int
    columns: int
    values: NDArray[Any]
    places: NDArray[Any] | None
    counts: NDArray[Any] | None
    kept: int

    @property
    def nbytes(self) -> int:
        """Bytes of constants."""
        return self.values.nbytes + sum(part.nbytes for part in (self.places, self.counts) if part is not None)


def store(matrix: NDArray[Any], optimize: str) -> Stored:
    """Store a matrix in the smallest form, or in the fastest.

    Args:
        matrix: outputs x inputs, float32 or int8.
        optimize: `"size"` or `"speed"`.
    """
    forms = [dense(matrix), by_mask(matrix)]
    if matrix.shape[1] <= _MOST_IN_A_ROW:
        forms += [by_columns(matrix), by_steps(matrix)]
    if optimize == "size":
        return min(forms, key=lambda each: each.nbytes)
    work = _WORK[str(matrix.dtype)]
    return min(forms, key=lambda each: work[each.form] * each.values.size if each.form in work else matrix.size)


def dense(matrix: NDArray[Any]) -> Stored:
    """All values, column by column."""
    rows, columns = matrix.shape
    return Stored("dense", rows, columns, np.ascontiguousarray(matrix.T).reshape(-1), None, None, _kept(matrix))


def by_mask(matrix: NDArray[Any]) -> Stored:
    """One bit for each place, each row in bytes of its own, and the values that are not zero."""
    rows, columns = matrix.shape
    bits = np.packbits(matrix != 0, axis=1, bitorder="little").reshape(-1)
    return Stored("mask", rows, columns, matrix[matrix != 0], bits, None, _kept(matrix))


def by_columns(matrix: NDArray[Any]) -> Stored:
    """The values that are not zero and their columns, row by row."""
    rows, columns = matrix.shape
    down, across = np.nonzero(matrix)
    counts = _smallest(np.bincount(down, minlength=rows))
    places = across.astype(np.uint8 if columns <= 256 else np.uint16)
    return Stored("columns", rows, columns, matrix[down, across], places, counts, len(down))


def by_steps(matrix: NDArray[Any]) -> Stored:
    """The values that are not zero and the steps between their columns, row by row; long steps by way of a zero."""
    rows, columns = matrix.shape
    down, across = np.nonzero(matrix)
    is_first = np.append(True, down[1:] != down[:-1])[: len(down)]
    steps = across - np.where(is_first, 0, np.append(0, across[:-1])[: len(down)])
    ways = np.maximum(steps - 1, 0) // LONGEST_STEP  # how many zeros lie on the way
    last = np.cumsum(ways + 1) - 1
    values = np.zeros(len(down) + ways.sum(), matrix.dtype)
    places = np.full(values.size, LONGEST_STEP, np.uint8)
    values[last], places[last] = matrix[down, across], steps - LONGEST_STEP * ways
    counts = np.bincount(down, weights=ways + 1, minlength=rows).astype(np.int64)
    return Stored("steps", rows, columns, values, places, _smallest(counts), len(down))


def _smallest(counts: NDArray[Any]) -> NDArray[Any]:
    return counts.astype(np.uint8 if counts.max(initial=0) <= 255 else np.uint16)


def _kept(matrix: NDArray[Any]) -> int:
    return int(np.count_nonzero(matrix))
