"""MATLAB's tables and timetables as pandas frames."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._raw import ARRAY_BYTES, ITEM_BYTES, OBJECT_BYTES, TEXT_BYTES, Array, dict_bytes
from matlab_bridge.matfile._values import CategoricalArray, Enumeration, MatlabObject, categorical

# What a column takes in a frame beside its values, as measured; and a time that is computed by itself.
_COLUMN_BYTES, _TIME_BYTES = 2200, 160
_MOST_PARTS = 100  # of a frame, beyond which pandas warns where a column is added


def table(properties: Mapping[str, Any], budget: Budget) -> pd.DataFrame:
    """The frame of a table; row names become the index, units and descriptions its `attrs`."""
    extra = properties.get("props")
    extra = extra if isinstance(extra, dict) else {}
    names = _chosen(properties["varnames"], extra, "VariableNames")
    rows = _count(properties["nrows"])
    row_names = _texts(properties.get("rownames"))
    budget.spend(2 * ITEM_BYTES * len(row_names), "the names of rows")
    index = pd.Index(row_names, dtype=object) if rows and len(row_names) == rows else pd.RangeIndex(rows)
    return _Frame(names, index, budget).of(properties["data"], _about(extra, "Variable", extra))


def timetable(stored: Mapping[str, Any], budget: Budget) -> pd.DataFrame:
    """The frame of a timetable; the times of the rows become the index, units and descriptions its `attrs`."""
    names = _chosen(stored["varNames"], stored, "varNames", "VarNames")
    rows = _count(stored["numRows"])
    dimensions = _texts(stored.get("dimNames"))
    times = _row_times(stored["rowTimes"], rows, budget)
    index = pd.Index(times, name=dimensions[0] if dimensions else "Time")
    whole = stored.get("arrayProps")
    about = _about(stored, "var", whole if isinstance(whole, dict) else {})
    return _Frame(names, index, budget).of(stored["data"], about)


def _count(stored: Any) -> int:
    rows = int(np.ravel(stored)[0])
    if rows < 0:
        raise TruncatedFileError(f"a table states {rows} rows")
    return rows


def _about(variables: Mapping[str, Any], prefix: str, whole: Mapping[str, Any]) -> dict[str, Any]:
    """What a table says of its variables, one text each, and of itself; only what it says."""
    named = {"units": f"{prefix}Units", "descriptions": f"{prefix}Descriptions"}
    about: dict[str, Any] = {}
    for key, field in named.items():
        # What was never set is an empty array, in the cell or instead of it.
        about[key] = [text if isinstance(text, str) else "" for text in np.ravel(variables.get(field, ()))]
    description = whole.get("Description")
    about["description"] = description if isinstance(description, str) else ""
    return {key: told for key, told in about.items() if told and any(told)}


def _chosen(names: Any, extra: Mapping[str, Any], prefix: str, flag: str | None = None) -> list[str]:
    # Names that are no identifiers, or longer than 63 characters, are stored beside shortened ones.
    flag = flag or prefix
    for suffix in ("2048", "Original", "Orig"):
        used, full = extra.get(f"use{flag}{suffix}"), extra.get(f"{prefix}{suffix}")
        if used is not None and full is not None and np.size(used) and np.ravel(used)[0]:
            return _texts(full)
    return _texts(names)


def _texts(cell: Any) -> list[str]:
    if isinstance(cell, str):
        return [cell] if cell else []
    return [str(name) for name in np.ravel(cell)] if cell is not None else []


class _Frame:
    """Makes the frame of a table or timetable.

    Args:
        names: of its variables.
        index: of its rows.
        budget: of the file.
    """

    def __init__(self, names: list[str], index: pd.Index[Any], budget: Budget) -> None:
        self._names = names
        self._index = index
        self._budget = budget

    def of(self, data: Any, about: Mapping[str, Any]) -> pd.DataFrame:
        """The frame.

        Args:
            data: a cell of the values of each variable.
            about: what the table says of itself, and in lists of its variables.
        """
        cells = data.ravel(order="F").tolist() if isinstance(data, np.ndarray) else [data]
        columns: dict[str, Any] = {}
        variables: list[int] = []  # of each column, the variable that it is a part of
        free = _FreeNames(self._names)
        for number, (name, values) in enumerate(zip(self._names, cells, strict=True)):
            for suffix, column in self._columns(values):
                self._budget.spend(_COLUMN_BYTES, "the columns of a table")
                # A series, lest pandas make strings of an object column of text: the two differ in MATLAB.
                kept = pd.Series(column, index=self._index, dtype=getattr(column, "dtype", object), copy=False)
                columns[free.name(name + suffix, columns, is_part=bool(suffix))] = kept
                variables.append(number)
        frame = pd.DataFrame(columns, index=self._index, copy=self._is_copied(columns))
        for key, told in about.items():
            if isinstance(told, list):
                of_columns = {c: told[n] for c, n in zip(columns, variables, strict=True) if n < len(told)}
                frame.attrs[key] = {column: text for column, text in of_columns.items() if text}
            else:
                frame.attrs[key] = told
        return frame

    def _is_copied(self, columns: Mapping[str, Any]) -> bool:
        """Whether columns are put together, without which pandas warns of so many, and memory allows it."""
        nbytes = sum(column.nbytes for column in columns.values())
        if len(columns) <= _MOST_PARTS or nbytes > self._budget.left:
            return False
        self._budget.spend(nbytes, "the columns of a table")
        return True

    def _columns(self, values: Any) -> Iterator[tuple[str, Any]]:
        """The columns of a variable of a table, each with what is added to its name (as `splitvars` does)."""
        if isinstance(values, scipy.sparse.csc_array):
            self._budget.spend(math.prod(values.shape) * values.dtype.itemsize, "the zeros of a sparse variable")
            values = values.toarray()
        if isinstance(values, pd.DataFrame):
            for name in values.columns:
                yield f"_{name}", values[name].to_numpy()
        elif isinstance(values, pd.Categorical):
            yield "", values
        elif isinstance(values, CategoricalArray) and values.codes.ndim == 2:
            yield from self._categoricals(values)
        elif isinstance(values, Enumeration):
            yield from self._members(values)
        elif not isinstance(values, np.ndarray) or values.ndim < 2:
            yield "", self._one_a_row(values)
        elif values.ndim > 2:
            yield "", self._rows(values)
        elif values.shape[1] == 1:
            yield "", self._column(values[:, 0])
        else:
            for i in range(values.shape[1]):
                yield f"_{i + 1}", self._column(values[:, i])

    def _categoricals(self, values: CategoricalArray) -> Iterator[tuple[str, Any]]:
        for i in range(values.codes.shape[1]):
            self._budget.spend(ITEM_BYTES * values.codes.shape[0], "the codes of a categorical")
            yield f"_{i + 1}", categorical(values.codes[:, i], values.categories, ordered=values.ordered)

    def _members(self, values: Enumeration) -> Iterator[tuple[str, Any]]:
        for i in range(values.names.shape[1]):
            self._budget.spend((ARRAY_BYTES + OBJECT_BYTES) * values.names.shape[0], "the members of a column")
            members = [Enumeration(values.class_name, name.reshape(1, 1)) for name in values.names[:, i]]
            yield f"_{i + 1}" if values.names.shape[1] > 1 else "", _objects(members)

    def _column(self, values: Array) -> Any:
        if values.dtype.kind == "T":
            self._budget.spend((TEXT_BYTES + 3 * ITEM_BYTES) * len(values) + 4 * _longest(values), "texts of a column")
            texts = [text if isinstance(text, str) else None for text in values.tolist()]
            return pd.array(texts, dtype="string")
        return values

    def _rows(self, values: Array) -> Array:
        """A column of the rows of an array."""
        self._budget.spend((ARRAY_BYTES + 2 * ITEM_BYTES) * len(values), "the rows of a column")
        return _objects(list(values))

    def _one_a_row(self, values: Any) -> Any:
        rows = len(self._index)
        if isinstance(values, np.ndarray) and len(values) == rows:
            return self._rows(values)  # the rows of a char matrix
        if isinstance(values, MatlabObject) and rows > 1:
            found = []
            for i in range(rows):
                self._budget.spend(OBJECT_BYTES, "the rows of a column")
                found.append(MatlabObject(values.class_name, self._row(values.properties, i)))
            return _objects(found)
        self._budget.spend(2 * ITEM_BYTES * rows, "the rows of a column")
        return _objects([values] * rows)

    def _row(self, properties: Mapping[str, Any], number: int) -> dict[str, Any]:
        """The properties of one row of an object that keeps all of them, such as a `calendarDuration`.

        What is the same for all rows is kept once.
        """
        self._budget.spend(dict_bytes(len(properties)) + ARRAY_BYTES * len(properties), "the rows of a column")
        rows, found = len(self._index), dict[str, Any]()
        for name, value in properties.items():
            if isinstance(value, dict):
                found[name] = self._row(value, number)
            else:
                is_of_all = isinstance(value, np.ndarray) and value.shape[:1] == (rows,)
                found[name] = value[number : number + 1] if is_of_all else value
        return found


class _FreeNames:
    """Names that no column has: a number is added to one that is taken.

    Args:
        whole: names of variables, which parts of others do not take.
    """

    def __init__(self, whole: Collection[str]) -> None:
        self._whole = frozenset(whole)
        self._next: dict[str, Iterator[int]] = {}

    def name(self, wanted: str, taken: Collection[str], *, is_part: bool) -> str:
        """The wanted name, or the first free one."""
        free = wanted
        while free in taken or (is_part and free in self._whole):
            # Numbers that were taken once are not tried again.
            free = f"{wanted}_{next(self._next.setdefault(wanted, itertools.count(1)))}"
        return free


def _longest(texts: Array) -> int:
    """The characters of all texts; none of what is missing."""
    return sum(len(text) for text in texts if isinstance(text, str))


def _objects(values: list[Any]) -> Array:
    column = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        column[i] = value
    return column


def _row_times(stored: Any, rows: int, budget: Budget) -> Array:
    """Row times: given one by one, or as a start and either a step or a rate."""
    if not isinstance(stored, dict):
        return np.asarray(stored).ravel()
    start = np.asarray(stored["origin"]).ravel()[0]
    step, is_rate = stored["stepSize"], bool(np.ravel(stored["specifiedAsRate"])[0])
    is_calendar = isinstance(step, MatlabObject) and not is_rate
    # Whole numbers, times, and what is between them.
    budget.spend((_TIME_BYTES if is_calendar else 5 * ITEM_BYTES) * rows, "the times of rows")
    if is_rate:
        rate = float(np.ravel(stored["sampleRate"])[0])
        steps: Any = np.round(np.arange(rows) * (1e9 / rate)).astype("timedelta64[ns]")
        return np.asarray(start + steps)
    if is_calendar:
        return _calendar_times(start, step, rows)
    return np.asarray(start + np.asarray(step).ravel()[0] * np.arange(rows))


def _calendar_times(start: Any, step: MatlabObject, rows: int) -> Array:
    """Times that are calendar durations apart: months, then days, then a time."""
    parts = step.properties["components"]
    months, days, millis = (
        float(np.ravel(parts[name])[0]) if np.size(parts[name]) else 0.0 for name in ("months", "days", "millis")
    )
    offset = pd.DateOffset(months=int(months), days=int(days))
    first = pd.Timestamp(start)
    times = [first + offset * i + pd.Timedelta(milliseconds=millis * i) for i in range(rows)]
    return np.array(times, dtype="datetime64[ns]")
