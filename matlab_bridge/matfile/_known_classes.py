"""MATLAB's own classes that have a Python type: from the properties that MATLAB stores to that type."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._raw import Array
from ._values import CategoricalArray, Map, MatlabObject, categorical

if TYPE_CHECKING:
    pass

# The number of characters that MATLAB states for a missing string.
MISSING_STRING = 2**64 - 1
STRING_VERSION = 1


def to_strings(found: MatlabObject) -> Any:
    """A string array: `[version, ndims, size..., lengths..., UTF-16 units four to a number...]`."""
    stored = found.properties.get("any")
    if not isinstance(stored, np.ndarray) or not stored.size:
        return np.empty((0, 0), dtype=np.dtypes.StringDType())
    numbers = stored.ravel(order="F")
    if int(numbers[0]) != STRING_VERSION:
        return found
    first = 2 + int(numbers[1])
    shape = tuple(int(n) for n in numbers[2:first])
    lengths = [int(n) for n in numbers[first : first + int(np.prod(shape))]]
    units = numbers[first + len(lengths) :].astype("<u8").tobytes()
    texts: list[str | None] = []
    position = 0
    for length in lengths:
        if length == MISSING_STRING:
            texts.append(None)
            continue
        texts.append(units[position : position + 2 * length].decode("utf-16-le", "replace"))
        position += 2 * length
    return _string_array(texts).reshape(shape, order="F")


def _string_array(texts: list[str | None]) -> Array:
    if None not in texts:
        return np.array(texts, dtype=np.dtypes.StringDType())
    # NaN stands for a missing string, as in pandas.
    values = [np.nan if text is None else text for text in texts]
    return np.array(values, dtype=np.dtypes.StringDType(na_object=np.nan))


def to_categorical(found: MatlabObject) -> Any:
    """A categorical: codes counted from 1 (0 is undefined) and the names of the categories."""
    codes = np.asarray(found.properties["codes"]).astype(np.int64)
    categories = tuple(str(name) for name in np.ravel(found.properties["categoryNames"]))
    ordered = _flag(found.properties.get("isOrdinal"))
    if codes.ndim == 2 and (1 in codes.shape or codes.shape == (0, 0)):
        return categorical(codes.ravel(), categories, ordered=ordered)
    return CategoricalArray(codes, categories, ordered)


def to_datetimes(found: MatlabObject) -> Any:
    """A datetime: milliseconds since 1970, in UTC if it has a time zone; the imaginary part refines them."""
    data = np.asarray(found.properties.get("data", np.empty((0, 0))))
    return _instants(data.real.astype(np.float64), data.imag.astype(np.float64), "datetime64")


def to_durations(found: MatlabObject) -> Any:
    """A duration: milliseconds."""
    millis = np.asarray(found.properties["millis"], dtype=np.float64)
    return _instants(millis, np.zeros_like(millis), "timedelta64")


def _instants(millis: Array, refinement: Array, kind: str) -> Array:
    missing = ~np.isfinite(millis)
    whole = np.floor(np.where(missing, 0, millis))
    if np.any(np.abs(whole) >= 2**63 / 1e6):  # beyond the years that nanoseconds reach
        ticks, unit = np.clip(whole, -(2**62), 2**62).astype(np.int64), "ms"
    else:
        rest = np.where(missing, 0, millis - whole + refinement)
        ticks, unit = whole.astype(np.int64) * 10**6 + np.round(rest * 1e6).astype(np.int64), "ns"
    instants = ticks.astype(f"{kind}[{unit}]")
    instants[missing] = np.array("NaT", f"{kind}[{unit}]")
    return instants


def to_mapping(found: MatlabObject) -> Any:
    """A `containers.Map`: its keys and values in two cells."""
    stored = found.properties.get("serialization")
    if not isinstance(stored, dict):
        return found
    keys = [key if isinstance(key, str) else np.asarray(key).item() for key in np.ravel(stored["keys"])]
    return Map(zip(keys, np.ravel(stored["values"]), strict=True))


def to_table(found: MatlabObject) -> Any:
    """A table: its variables in a cell, their names, and names of rows."""
    from ._tables import table  # imports pandas

    return table(found.properties)


def to_timetable(found: MatlabObject) -> Any:
    """A timetable: its variables in a cell, their names, and the times of the rows."""
    from ._tables import timetable  # imports pandas

    stored = found.properties.get("any")
    return timetable(stored) if isinstance(stored, dict) else found


def _flag(value: Any) -> bool:
    return bool(np.ravel(value)[0]) if value is not None and np.size(value) else False


CONVERSIONS: dict[str, Callable[[MatlabObject], Any]] = {
    "categorical": to_categorical,
    "containers.Map": to_mapping,
    "datetime": to_datetimes,
    "duration": to_durations,
    "string": to_strings,
    "table": to_table,
    "timetable": to_timetable,
}
