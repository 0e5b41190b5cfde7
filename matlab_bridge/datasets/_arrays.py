"""The numbers of a MATLAB value as one array: of an array, a `dlarray`, a table or a sparse matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from matlab_bridge.matfile._elements import numeric

from ._values import Array

_MOST_DENSE = 2**30
"""Bytes that a sparse matrix may take as an array, however few it is stored in."""


def numbers_of(value: Any) -> Array | None:
    """The numbers of an array, complex ones too, of a `dlarray`, a table or a sparse matrix; else None."""
    if isinstance(value, pd.DataFrame):
        return _table_numbers(value)
    if isinstance(value, scipy.sparse.csc_array):
        dense = math.prod(value.shape) * value.dtype.itemsize
        # A few bytes may state a matrix of any size; observations are at least this dense.
        return np.asarray(value.toarray()) if dense <= max(_MOST_DENSE, 64 * value.data.nbytes) else None
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        return value
    return numeric(value)


def is_complex(value: Any) -> bool:
    """Whether an array, or one in a cell, is complex."""
    parts = value.ravel() if isinstance(value, np.ndarray) and value.dtype == object else [value]
    return any(getattr(getattr(part, "dtype", None), "kind", "") == "c" for part in parts)


def _table_numbers(table: pd.DataFrame) -> Array:
    """The numeric variables of a table side by side."""
    columns = [_column_numbers(table[name]) for name in table.columns]
    numbers = [column for column in columns if column is not None]
    return np.hstack(numbers) if numbers else np.empty((0, 0))


def _column_numbers(column: pd.Series[Any]) -> Array | None:
    """A variable of a table as `(rows, columns)`: it may have several columns of its own."""
    if column.dtype != object:
        return column.to_numpy()[:, np.newaxis] if column.dtype.kind in "fiub" else None
    rows = [numeric(element) for element in column]
    sizes = {row.size if row is not None else None for row in rows}
    return (
        np.stack([np.ravel(row) for row in rows if row is not None]) if len(sizes) == 1 and None not in sizes else None
    )
