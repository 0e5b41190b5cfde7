"""MATLAB's tables and timetables as pandas frames."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from matlab_bridge._errors import TruncatedFileError

from ._budget import BYTES_PER_BYTE, FREE_BYTES
from ._raw import Array, check_room
from ._values import CategoricalArray, Enumeration, MatlabObject, categorical


def table(properties: Mapping[str, Any]) -> pd.DataFrame:
    """The frame of a table; row names become the index, units and descriptions its `attrs`."""
    extra = properties.get("props")
    extra = extra if isinstance(extra, dict) else {}
    names = _chosen(properties["varnames"], extra, "VariableNames")
    rows = int(np.ravel(properties["nrows"])[0])
    row_names = _texts(properties.get("rownames"))
    index = pd.Index(row_names, dtype=object) if rows and len(row_names) == rows else pd.RangeIndex(rows)
    return _frame(properties["data"], names, index, _about(extra, "Variable", extra))


def timetable(stored: Mapping[str, Any]) -> pd.DataFrame:
    """The frame of a timetable; the times of the rows become the index, units and descriptions its `attrs`."""
    names = _chosen(stored["varNames"], stored, "varNames", "VarNames")
    rows = int(np.ravel(stored["numRows"])[0])
    dimensions = _texts(stored.get("dimNames"))
    if not any(np.shape(values)[:1] == (rows,) for values in np.ravel(stored["data"])):
        check_room(rows, "rows of a timetable")
    times = _row_times(stored["rowTimes"], rows)
    index = pd.Index(times, name=dimensions[0] if dimensions else "Time")
    whole = stored.get("arrayProps")
    return _frame(stored["data"], names, index, _about(stored, "var", whole if isinstance(whole, dict) else {}))


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


def _dense(values: scipy.sparse.csc_array[Any]) -> Array:
    # What a file of that size may take in memory, as everywhere: a few bytes may state any number of zeros.
    nbytes = math.prod(values.shape) * values.dtype.itemsize
    if nbytes > FREE_BYTES + BYTES_PER_BYTE * values.data.nbytes:
        raise TruncatedFileError(f"a sparse variable of a table would take {nbytes} bytes of memory")
    return np.asarray(values.toarray())


def _frame(data: Any, names: list[str], index: pd.Index[Any], about: dict[str, Any]) -> pd.DataFrame:
    cells = data.ravel(order="F").tolist() if isinstance(data, np.ndarray) else [data]
    columns: dict[str, Any] = {}
    variables: list[int] = []  # of each column, the variable that it is a part of
    for number, (name, values) in enumerate(zip(names, cells, strict=True)):
        full = _dense(values) if isinstance(values, scipy.sparse.csc_array) else values
        for suffix, column in _columns(full, len(index)):
            # A series, lest pandas make strings of an object column of text: the two differ in MATLAB.
            kept = pd.Series(column, index=index, dtype=getattr(column, "dtype", object))
            columns[_free(name + suffix, columns, names if suffix else [])] = kept
            variables.append(number)
    frame = pd.DataFrame(columns, index=index)
    for key, told in about.items():
        if isinstance(told, list):
            of_columns = {c: told[n] for c, n in zip(columns, variables, strict=True) if n < len(told)}
            frame.attrs[key] = {column: text for column, text in of_columns.items() if text}
        else:
            frame.attrs[key] = told
    return frame


def _free(name: str, *taken: Any) -> str:
    free, number = name, 0
    while any(free in names for names in taken):
        number += 1
        free = f"{name}_{number}"
    return free


def _columns(values: Any, rows: int) -> Iterator[tuple[str, Any]]:
    """The columns of a variable of a table, each with what is added to its name (as `splitvars` does)."""
    if isinstance(values, pd.DataFrame):
        for name in values.columns:
            yield f"_{name}", values[name].to_numpy()
    elif isinstance(values, pd.Categorical):
        yield "", values
    elif isinstance(values, CategoricalArray) and values.codes.ndim == 2:
        for i in range(values.codes.shape[1]):
            yield f"_{i + 1}", categorical(values.codes[:, i], values.categories, ordered=values.ordered)
    elif isinstance(values, Enumeration):
        for i in range(values.names.shape[1]):
            members = [Enumeration(values.class_name, name.reshape(1, 1)) for name in values.names[:, i]]
            yield f"_{i + 1}" if values.names.shape[1] > 1 else "", _objects(members)
    elif not isinstance(values, np.ndarray) or values.ndim < 2:
        yield "", _one_a_row(values, rows)
    elif values.ndim > 2:
        yield "", _objects(list(values))
    elif values.shape[1] == 1:
        yield "", _column(values[:, 0])
    else:
        for i in range(values.shape[1]):
            yield f"_{i + 1}", _column(values[:, i])


def _column(values: Array) -> Any:
    if values.dtype.kind == "T":
        texts = [text if isinstance(text, str) else None for text in values.tolist()]
        return pd.array(texts, dtype="string")
    return values


def _one_a_row(values: Any, rows: int) -> Any:
    if isinstance(values, np.ndarray) and len(values) == rows:
        return _objects(list(values))  # the rows of a char matrix
    check_room(rows, "rows of a table")
    if isinstance(values, MatlabObject) and rows > 1:
        return _objects([MatlabObject(values.class_name, _row(values.properties, i, rows)) for i in range(rows)])
    return _objects([values] * rows)


def _row(properties: Mapping[str, Any], number: int, rows: int) -> dict[str, Any]:
    """The properties of one row of an object that keeps all of them, such as a `calendarDuration`.

    What is the same for all rows is kept once.
    """
    found: dict[str, Any] = {}
    for name, value in properties.items():
        if isinstance(value, dict):
            found[name] = _row(value, number, rows)
        else:
            is_of_all = isinstance(value, np.ndarray) and value.shape[:1] == (rows,)
            found[name] = value[number : number + 1] if is_of_all else value
    return found


def _objects(values: list[Any]) -> Array:
    column = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        column[i] = value
    return column


def _row_times(stored: Any, rows: int) -> Array:
    """Row times: given one by one, or as a start and either a step or a rate."""
    if not isinstance(stored, dict):
        return np.asarray(stored).ravel()
    start = np.asarray(stored["origin"]).ravel()[0]
    if np.ravel(stored["specifiedAsRate"])[0]:
        rate = float(np.ravel(stored["sampleRate"])[0])
        steps: Any = np.round(np.arange(rows) * (1e9 / rate)).astype("timedelta64[ns]")
        return np.asarray(start + steps)
    step = stored["stepSize"]
    if isinstance(step, MatlabObject):
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
