"""Cells with an observation and its label in each row, as MATLAB's `readall` gives them from combined datastores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matlab_bridge.matfile._values import CategoricalArray


def is_pairs(value: Any) -> bool:
    """Whether a value is an N x 2 cell of observations and their labels, with N at least 2.

    An observation is an array of several numbers; a label is a name, a number or one element of a categorical.
    """
    return (
        isinstance(value, np.ndarray)
        and value.dtype == object
        and value.ndim == 2
        and value.shape[0] > 1
        and value.shape[1] == 2
        and all(_is_observation(first) and _is_label(second) for first, second in value)
    )


def column(cell: NDArray[Any], number: int) -> Any:
    """A column of a cell, joined as `vertcat(cell{:,number})` joins it where its elements are single labels.

    Args:
        cell: an M x N cell.
        number: the column, from 1.

    Returns:
        A categorical or numbers, M x 1, where all elements are such; else a cell, M x 1.

    Raises:
        IndexError: the cell has no such column.
    """
    if not 1 <= number <= cell.shape[1]:
        raise IndexError(number)
    part = cell[:, number - 1 : number]
    elements = part.ravel().tolist()
    if all(_is_category(element) for element in elements):
        return _categorical(elements)
    if all(_is_number(element) for element in elements):
        return np.array([np.ravel(element)[0] for element in elements]).reshape(-1, 1)
    return part


def _categorical(elements: list[Any]) -> CategoricalArray:
    """One categorical, with all categories in the order in which they come, as MATLAB joins them."""
    names = [tuple(map(str, element.categories)) for element in elements]
    categories = tuple(dict.fromkeys(name for each in names for name in each))
    codes = [_code(element) for element in elements]
    joined = [0 if code == 0 else 1 + categories.index(own[code - 1]) for code, own in zip(codes, names, strict=True)]
    return CategoricalArray(np.array(joined).reshape(-1, 1), categories)


def _code(element: Any) -> int:
    """The number of a category from 1, 0 where it is undefined."""
    if isinstance(element, pd.Categorical):
        return int(element.codes[0]) + 1
    return int(np.ravel(element.codes)[0])


def _is_observation(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiubc" and value.size > 1


def _is_label(value: Any) -> bool:
    return isinstance(value, str) or _is_category(value) or _is_number(value)


def _is_category(value: Any) -> bool:
    return isinstance(value, pd.Categorical | CategoricalArray) and np.size(value.codes) == 1


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray | np.generic | float | int)
        and np.size(value) == 1
        and np.asarray(value).dtype.kind in "fiub"
    )
