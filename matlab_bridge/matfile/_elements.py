"""Small readings of MATLAB values that every reader of networks needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ._raw import Array
from ._values import CategoricalArray, MatlabObject, is_pandas


def texts(value: Any) -> tuple[str, ...]:
    """The elements of a char row, a cell or an array of strings, or a categorical, in MATLAB's order.

    Args:
        value: any of those; an empty array of any type counts as no text.

    Returns:
        One `str` an element.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, CategoricalArray):
        codes = np.ravel(value.codes, order="F")
        return tuple(value.categories[code - 1] for code in codes if code > 0)
    if is_pandas(value, "Categorical"):
        return tuple(str(value.categories[code]) for code in value.codes if code >= 0)
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fiubc":
        elements: Iterable[Any] = value.ravel(order="F")
        return tuple(text for element in elements for text in texts(element))
    if is_pandas(value, "Series"):
        return texts(value.to_numpy())
    return ()


def numeric(value: Any) -> Array | None:
    """The numbers of a numeric array, a `dlarray` or a `gpuArray`; None for anything else."""
    if isinstance(value, MatlabObject) and value.class_name in {"dlarray", "gpuArray"}:
        found = (numeric(part) for part in value.fields.values())
        return next((array for array in found if array is not None), None)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return value
    return None


def columns(table: Any, *names: str) -> tuple[tuple[str, ...], ...]:
    """Columns of text from a table, a struct of cells, or a struct array.

    Args:
        table: a `pandas.DataFrame`, a `dict`, or a `StructArray`.
        *names: the columns.

    Returns:
        For each name, one text a row.

    Raises:
        KeyError: if the table has no such column.
    """
    if isinstance(table, Mapping) or is_pandas(table, "DataFrame"):
        return tuple(texts(table[name]) for name in names)
    rows = list(np.ravel(table, order="F"))
    return tuple(tuple(text for row in rows for text in texts(row[name])) for name in names)
