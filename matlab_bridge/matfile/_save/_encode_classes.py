"""MATLAB's own classes from Python values, as the properties that it stores: `_decode/_decode_classes` backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from matlab_bridge._errors import UnwritableValueError
from matlab_bridge.matfile._characters import units_of
from matlab_bridge.matfile._decode._decode_classes import MISSING_STRING, STRING_VERSION
from matlab_bridge.matfile._raw import Array
from matlab_bridge.matfile._values import CategoricalArray, Map

from ._matio import MatlabOpaque, make_table_props, make_timetable_props
from ._names import check_name, check_variables, plain_names

_NO_TEXT = np.empty((0, 0), dtype=np.str_)

# Up to here, every integer is a double.
_FIRST_INEXACT = 2.0**53

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


def categorical(values: Any, where: str) -> Any:
    """A categorical column; a missing value is `<undefined>`."""
    codes = np.asarray(values.codes, dtype=np.int64)[:, np.newaxis] + 1
    return _categorical(codes, [str(name) for name in values.categories], bool(values.ordered), where)


def categorical_array(array: CategoricalArray, where: str) -> Any:
    """A categorical of any shape."""
    return _categorical(np.asarray(array.codes), list(array.categories), array.ordered, where)


def _categorical(codes: Array, categories: list[str], ordered: bool, where: str) -> Any:
    if len(set(categories)) < len(categories) or not {"", "<undefined>"}.isdisjoint(categories):
        raise UnwritableValueError(
            f"{where} has the categories {categories}; those of MATLAB are text, all different, and none is "
            "empty or '<undefined>'. Rename them with rename_categories."
        )
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
    if not is_text and not all(isinstance(key, bool | int | float | np.integer | np.floating) for key in values):
        raise UnwritableValueError(
            f"{where} is a map whose keys are {sorted({type(key).__name__ for key in values})}. "
            "The keys of a containers.Map are all text, or all numbers."
        )
    keys = sorted(values)
    parts = {
        "keys": _row([encode(key, where) if is_text else np.array([[exact_double(key, where)]]) for key in keys]),
        "values": _row([encode(values[key], f"{where}({key!r})") for key in keys]),
        "uniformity": np.array([[False]]),
        "keyType": np.array(["char" if is_text else "double"]),
        "valueType": np.array(["any"]),
    }
    return MatlabOpaque({"serialization": _struct(parts)}, "containers.Map")


def frame(table: pd.DataFrame, where: str, encode: Callable[[Any, str], Any]) -> Any:
    """A table; or a timetable, if the index is times."""
    is_timed = isinstance(table.index, (pd.DatetimeIndex, pd.TimedeltaIndex))
    dimension = "Row"
    if is_timed:
        dimension = check_name(table.index.name or "Time", f"The index of the timetable {where}")
    names = check_variables(table.columns, {dimension, "Variables"}, f"table {where}")
    data = np.empty((1, len(names)), dtype=object)
    for i, name in enumerate(names):
        data[0, i] = encode(table.iloc[:, i], f"{where}.{name}")
    if is_timed:
        return _timetable(table, names, dimension, data, where, encode)
    row_names = _row_names(table.index, where)
    about = make_table_props()
    if plain_names(names) != names:
        about["useVariableNamesOriginal"][0, 0] = np.bool_(True)
        about["VariableNamesOriginal"][0, 0] = _cellstr(names, (1, -1))
    for field, stored in _about(table, names).items():
        about[_TABLE_FIELDS[field]][0, 0] = stored
    properties = {
        "data": data,
        "ndims": np.array([[2.0]]),
        "nrows": np.array([[float(len(table))]]),
        "rownames": _cellstr(row_names, (-1, 1)),
        "nvars": np.array([[float(len(names))]]),
        "varnames": _cellstr(plain_names(names), (1, -1)),
        "props": about,
    }
    return MatlabOpaque(properties, "table")


def _row_names(index: pd.Index[Any], where: str) -> list[str]:
    """The names of the rows, none for an index of integers without a name: those are positions, whichever are left."""
    if isinstance(index, pd.RangeIndex) or (index.dtype.kind in "iu" and index.name is None):
        return []
    names = [str(name) for name in index]
    is_unfit = index.nlevels > 1 or index.hasnans or not index.is_unique or not {"", ":"}.isdisjoint(names)
    if is_unfit or len(set(names)) < len(names):
        raise UnwritableValueError(
            f"The index of the table {where} cannot name rows in MATLAB, whose names of rows are text, one each, all "
            "different and none empty. reset_index() makes variables of it, reset_index(drop=True) drops it."
        )
    return names


def _timetable(
    table: pd.DataFrame,
    names: list[str],
    dimension: str,
    data: Array,
    where: str,
    encode: Callable[[Any, str], Any],
) -> Any:
    index = table.index
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        raise UnwritableValueError(
            f"The times of the timetable {where} have the zone {index.tz}, which NumPy's times have not. "
            "Choose the clock to write with frame.tz_convert('UTC').tz_localize(None)."
        )
    parts = {
        "data": data,
        "dimNames": _cellstr([dimension, "Variables"], (1, -1)),
        "varNames": _cellstr(plain_names(names), (1, -1)),
        "numRows": np.array([[float(len(table))]]),
        "numVars": np.array([[float(len(names))]]),
        "rowTimes": encode(index.to_numpy(), where),
        **make_timetable_props(),
    }
    if plain_names(names) != names:
        parts |= {"useVarNamesOrig": np.bool_(True), "varNamesOrig": _cellstr(names, (1, -1))}
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
        return categorical(values.array, where)
    if isinstance(dtype, pd.StringDtype):
        return values.to_numpy(dtype=np.dtypes.StringDType(na_object=np.nan), na_value=np.nan)
    if isinstance(dtype, pd.DatetimeTZDtype):
        raise UnwritableValueError(
            f"{where} has times of the zone {dtype.tz}, which NumPy's times have not. "
            "Choose the clock to write with .dt.tz_convert('UTC').dt.tz_localize(None)."
        )
    if dtype.kind in "iufb" and values.hasnans:
        if dtype.kind in "iu":  # integers have no NaN
            present = values.dropna()
            exact_doubles(present.to_numpy(dtype=f"{dtype.kind}8"), where)
        return values.to_numpy(dtype=np.float64, na_value=np.nan)  # pandas' own integers and flags can be missing
    return values.to_numpy(dtype=dtype if isinstance(dtype, np.dtype) else None)


def exact_double(number: Any, where: str) -> float:
    """A real number as the double that equals it.

    Raises:
        UnwritableValueError: no double does.
    """
    try:
        if number != number or float(number) == number == (int(float(number)) if _is_integer(number) else number):
            return float(number)
    except OverflowError:
        pass
    fits = -(2**63) <= number < 2**64
    exact = f"np.{'int64' if number < 2**63 else 'uint64'}({number}) or as text" if fits else "text"
    shown = str(number) if fits else f"{number:.3e}" if not _is_integer(number) else f"of {number.bit_length()} bits"
    raise UnwritableValueError(
        f"{where} is the {'integer' if _is_integer(number) else 'number'} {shown}, which no double equals. "
        f"Give it as {exact} to keep it exact."
    )


def exact_doubles(numbers: Array, where: str) -> Array:
    """Numbers as doubles, or complex ones, that equal them.

    Raises:
        UnwritableValueError: no double equals one of them.
    """
    doubles: Array = numbers.astype(np.complex128 if numbers.dtype.kind == "c" else np.float64)
    if numbers.dtype.kind in "iu":
        for number in numbers[np.abs(doubles) >= _FIRST_INEXACT].tolist():
            exact_double(number, where)
    elif numbers.dtype.itemsize > doubles.dtype.itemsize and np.any((doubles != numbers) & (numbers == numbers)):
        raise UnwritableValueError(
            f"{where} has the dtype {numbers.dtype}, which is wider than MATLAB's double. Round it first with astype."
        )
    return doubles


def _is_integer(number: Any) -> bool:
    return isinstance(number, int | np.integer)


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
