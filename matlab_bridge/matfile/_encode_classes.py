"""MATLAB's own classes from Python values, as the properties that it stores: `_known_classes` backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from matlab_bridge._errors import UnwritableValueError

from ._characters import units_of
from ._known_classes import MISSING_STRING, STRING_VERSION
from ._matio import MatlabOpaque, make_table_props, make_timetable_props
from ._names import checked_name
from ._raw import Array
from ._values import CategoricalArray, Map

_NO_TEXT = np.empty((0, 0), dtype=np.str_)

# Where MATLAB keeps what a frame says about itself.
_TABLE_FIELDS = {"units": "VariableUnits", "descriptions": "VariableDescriptions", "description": "Description"}
_TIMETABLE_FIELDS = {"units": "varUnits", "descriptions": "varDescriptions"}


def strings(array: Array) -> Any:
    """A string array."""
    flat = [text if isinstance(text, str) else None for text in array.ravel(order="F").tolist()]
    units = [units_of(text or "") for text in flat]
    lengths = [MISSING_STRING if text is None else len(part) for text, part in zip(flat, units, strict=True)]
    packed = np.concatenate([np.empty(0, np.uint16), *units])
    packed = np.append(packed, np.zeros(-packed.size % 4, np.uint16)).astype("<u2").view("<u8")
    head = np.array([STRING_VERSION, array.ndim, *array.shape, *lengths], dtype=np.uint64)
    return MatlabOpaque({"any": np.concatenate([head, packed.astype(np.uint64)])[np.newaxis]}, "string")


def categorical(values: Any) -> Any:
    """A categorical column; a missing value is `<undefined>`."""
    codes = np.asarray(values.codes, dtype=np.int64)[:, np.newaxis] + 1
    return _categorical(codes, [str(name) for name in values.categories], bool(values.ordered))


def categorical_array(array: CategoricalArray) -> Any:
    """A categorical of any shape."""
    return _categorical(np.asarray(array.codes), list(array.categories), array.ordered)


def _categorical(codes: Array, categories: list[str], ordered: bool) -> Any:
    return MatlabOpaque(
        {
            "categoryNames": _cellstr(categories, (-1, 1)),
            "codes": codes.astype(np.min_scalar_type(len(categories))),
            "isOrdinal": np.array([[ordered]]),
            "isProtected": np.array([[ordered]]),  # what is ordered is protected in MATLAB
        },
        "categorical",
    )


def datetimes(array: Array) -> Any:
    """A datetime without a time zone."""
    return MatlabOpaque({"data": _milliseconds(array, "datetime64"), "tz": _NO_TEXT, "fmt": _NO_TEXT}, "datetime")


def durations(array: Array) -> Any:
    """A duration, shown in seconds."""
    millis = _milliseconds(array, "timedelta64")
    return MatlabOpaque({"millis": millis.real, "fmt": np.array(["s"])}, "duration")


def _milliseconds(array: Array, kind: str) -> Array:
    missing = np.isnat(array)
    whole = array.astype(f"{kind}[ms]")
    rest = (array - whole).astype("timedelta64[ns]").astype(np.int64) / 1e6
    rest[missing] = 0
    exact = whole.astype(np.int64).astype(np.float64)
    millis = exact + rest
    # What a double cannot hold of the sum goes into the imaginary part, as MATLAB does.
    lost = rest - (millis - exact)
    millis[missing] = np.nan
    if np.any(lost[~missing]):
        millis = millis + 1j * np.where(missing, 0, lost)
    return np.asarray(millis)


def mapping(values: Map, where: str, encode: Callable[[Any, str], Any]) -> Any:
    """A `containers.Map` of any values; its keys are sorted, as MATLAB keeps them."""
    is_text = all(isinstance(key, str) for key in values)
    if not is_text and not all(isinstance(key, bool | int | float | np.number) for key in values):
        raise UnwritableValueError(
            f"{where} is a map whose keys are {sorted({type(key).__name__ for key in values})}. "
            "The keys of a containers.Map are all text, or all numbers."
        )
    keys = sorted(values)
    parts = {
        "keys": _row([encode(key if is_text else _number(key), where) for key in keys]),
        "values": _row([encode(values[key], f"{where}({key!r})") for key in keys]),
        "uniformity": np.array([[False]]),
        "keyType": np.array(["char" if is_text else "double"]),
        "valueType": np.array(["any"]),
    }
    return MatlabOpaque({"serialization": _struct(parts)}, "containers.Map")


def frame(table: pd.DataFrame, where: str, encode: Callable[[Any, str], Any]) -> Any:
    """A table; or a timetable, if the index is times."""
    names = [checked_name(name, f"A variable of the table {where}") for name in table.columns]
    if len(set(names)) < len(names):
        raise UnwritableValueError(f"The table {where} has two variables of the same name: {names}.")
    data = np.empty((1, len(names)), dtype=object)
    for i, name in enumerate(names):
        data[0, i] = encode(table.iloc[:, i], f"{where}.{name}")
    if isinstance(table.index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        return _timetable(table, names, data, where, encode)
    has_names = not isinstance(table.index, pd.RangeIndex)
    about = make_table_props()
    for field, stored in _about(table, names).items():
        about[_TABLE_FIELDS[field]][0, 0] = stored
    properties = {
        "data": data,
        "ndims": np.array([[2.0]]),
        "nrows": np.array([[float(len(table))]]),
        "rownames": _cellstr([str(name) for name in table.index], (-1, 1)) if has_names else np.empty((0, 0), object),
        "nvars": np.array([[float(len(names))]]),
        "varnames": _cellstr(names, (1, -1)),
        "props": about,
    }
    return MatlabOpaque(properties, "table")


def _timetable(
    table: pd.DataFrame, names: list[str], data: Array, where: str, encode: Callable[[Any, str], Any]
) -> Any:
    index = table.index
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        raise UnwritableValueError(
            f"The times of the timetable {where} have the zone {index.tz}, which NumPy's times have not. "
            "Choose the clock to write with frame.tz_convert('UTC').tz_localize(None)."
        )
    dimension = checked_name(index.name or "Time", f"The index of the timetable {where}")
    parts = {
        "data": data,
        "dimNames": _cellstr([dimension, "Variables"], (1, -1)),
        "varNames": _cellstr(names, (1, -1)),
        "numRows": np.array([[float(len(table))]]),
        "numVars": np.array([[float(len(names))]]),
        "rowTimes": encode(index.to_numpy(), where),
        **make_timetable_props(),
    }
    about = _about(table, names)
    parts["arrayProps"]["Description"][0, 0] = about.pop("description", _NO_TEXT)
    parts |= {_TIMETABLE_FIELDS[field]: stored for field, stored in about.items()}
    return MatlabOpaque({"any": _struct(parts)}, "timetable")


def _about(table: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """What a frame says about itself in `attrs`, in MATLAB's form; only what it says."""
    about: dict[str, Any] = {}
    for field in ("units", "descriptions"):
        given = table.attrs.get(field)
        if isinstance(given, Mapping) and any(given.values()):
            about[field] = _cellstr([str(given.get(name, "")) for name in names], (1, -1))
    if table.attrs.get("description"):
        about["description"] = np.array([str(table.attrs["description"])])
    return about


def column(values: pd.Series[Any] | pd.Index[Any], where: str) -> Any:
    """What a column of a frame is as a value on its own."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return categorical(values.array)
    if isinstance(dtype, pd.StringDtype):
        return values.to_numpy(dtype=np.dtypes.StringDType(na_object=np.nan), na_value=np.nan)
    if isinstance(dtype, pd.DatetimeTZDtype):
        raise UnwritableValueError(
            f"{where} has times of the zone {dtype.tz}, which NumPy's times have not. "
            "Choose the clock to write with .dt.tz_convert('UTC').dt.tz_localize(None)."
        )
    if dtype.kind in "iufb" and values.hasnans:
        return values.to_numpy(dtype=np.float64, na_value=np.nan)  # pandas' own integers and flags can be missing
    return values.to_numpy(dtype=dtype if isinstance(dtype, np.dtype) else None)


def _number(key: Any) -> int | float:
    # An int stays one, for the check that a double holds it.
    return int(key) if isinstance(key, int) else float(key)


def _struct(parts: dict[str, Any]) -> Array:
    stored = np.empty((1, 1), dtype=[(name, object) for name in parts])
    stored[0, 0] = tuple(parts.values())
    return stored


def _row(elements: list[Any]) -> Array:
    cell = np.empty((1, len(elements)), dtype=object)
    for i, element in enumerate(elements):
        cell[0, i] = element
    return cell


def _cellstr(texts: list[str], shape: tuple[int, int]) -> Array:
    cell = np.empty(len(texts), dtype=object)
    for i, text in enumerate(texts):
        cell[i] = np.array([text]) if text else _NO_TEXT
    return cell.reshape(shape if texts else (0, 0))
