"""MATLAB's own classes that have a Python type, from the properties that MATLAB stores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._raw import ARRAY_BYTES, ITEM_BYTES, TEXT_BYTES, Array, dict_bytes
from matlab_bridge.matfile._values import CategoricalArray, Map, MatlabObject, categorical

# The number of characters that MATLAB states for a missing string.
MISSING_STRING = 2**64 - 1
STRING_VERSION = 1

# Values are converted so many at a time, so that what is needed meanwhile takes little.
_BLOCK = 2**14
# What an element takes in an array of strings; and a category, with what finds it by its name.
_STRING_BYTES, _CATEGORY_BYTES = 16, 256
_NOT_A_TIME = np.iinfo(np.int64).min
_MOST_SECONDS = 2**63 / 1e9  # that nanoseconds of 64 bits reach


def to_strings(found: MatlabObject, budget: Budget) -> Any:
    """A string array: `[version, ndims, size..., lengths..., UTF-16 units four to a number...]`.

    NaN stands for a missing string, as in pandas. Where a string has half of a surrogate pair, which
    `StringDType` cannot store, all of them are `str` in an array of object.
    """
    stored = found.properties.get("any")
    if not isinstance(stored, np.ndarray) or not stored.size:
        return np.empty((0, 0), dtype=np.dtypes.StringDType())
    numbers = stored.ravel(order="F")
    if numbers.dtype != np.uint64 or int(numbers[0]) != STRING_VERSION:
        return found
    first = 2 + int(numbers[1])
    shape = tuple(int(n) for n in numbers[2:first])
    count = math.prod(shape)
    lengths, units = numbers[first : first + count], numbers[first + count :].astype("<u8", copy=False)
    if lengths.size != count:
        raise TruncatedFileError(f"an array of {count} strings states {lengths.size} lengths")
    # Characters take at most three bytes for the two that they are stored in, and room to grow.
    budget.spend(ARRAY_BYTES + (_STRING_BYTES + ITEM_BYTES) * count + 4 * units.nbytes, "strings")
    is_missing = bool((lengths == MISSING_STRING).any())
    dtype: Any = np.dtypes.StringDType(na_object=np.nan) if is_missing else np.dtypes.StringDType()
    texts = np.empty(count, dtype)
    try:
        for at, some in _texts_of(lengths, units):
            texts[at : at + len(some)] = np.array(some, dtype)
    except UnicodeEncodeError:
        budget.spend((TEXT_BYTES + ITEM_BYTES) * count + 4 * units.nbytes, "strings")
        texts = np.empty(count, object)
        for at, some in _texts_of(lengths, units):
            texts[at : at + len(some)] = some
    return texts.reshape(shape, order="F")


def _texts_of(lengths: Array, units: Array) -> Iterator[tuple[int, list[Any]]]:
    """Strings and NaN for missing ones, some at a time, each time with the number of the first."""
    content, position = units.data.cast("B"), 0
    for at in range(0, len(lengths), _BLOCK):
        some: list[Any] = []
        for length in lengths[at : at + _BLOCK].tolist():
            if length == MISSING_STRING:
                some.append(np.nan)
                continue
            end = position + 2 * length
            if end > len(content):
                raise TruncatedFileError(f"strings of {end // 2} characters are stored in {len(content) // 2}")
            some.append(str(content[position:end], "utf-16-le", "surrogatepass"))
            position = end
        yield at, some


def to_categorical(found: MatlabObject, budget: Budget) -> Any:
    """A categorical: codes counted from 1 (0 is undefined) and the names of the categories."""
    codes, names = np.asarray(found.properties["codes"]), np.ravel(found.properties["categoryNames"])
    budget.spend(ARRAY_BYTES + ITEM_BYTES * codes.size + _CATEGORY_BYTES * names.size, "the codes of a categorical")
    if not all(isinstance(name, str) for name in names):
        raise TruncatedFileError("the names of its categories are no texts")
    categories = tuple(map(str, names))
    ordered = _flag(found.properties.get("isOrdinal"))
    if codes.ndim == 2 and (1 in codes.shape or codes.shape == (0, 0)):
        return categorical(codes.ravel(), categories, ordered=ordered)
    return CategoricalArray(codes.astype(np.int64), categories, ordered)


def to_datetimes(found: MatlabObject, budget: Budget) -> Any:
    """A datetime: milliseconds since 1970, in UTC if it has a time zone; the imaginary part refines them."""
    return _instants(np.asarray(found.properties.get("data", np.empty((0, 0)))), "datetime64", budget)


def to_durations(found: MatlabObject, budget: Budget) -> Any:
    """A duration: milliseconds."""
    return _instants(np.asarray(found.properties["millis"]), "timedelta64", budget)


def _instants(millis: Array, kind: str, budget: Budget) -> Array:
    if millis.dtype.kind not in "fiubc":
        raise TruncatedFileError("times are stated as something else than numbers")
    budget.spend(ARRAY_BYTES + ITEM_BYTES * millis.size, "times")
    ticks = np.empty_like(millis, np.int64)
    blocks = [(slice(at, at + _BLOCK)) for at in range(0, millis.size, _BLOCK)]
    stored, flat = millis.ravel(order="K"), ticks.ravel(order="K")
    # Beyond the years that nanoseconds reach all are milliseconds.
    is_far = any(bool((np.abs(_whole(stored[block])) >= 1e3 * _MOST_SECONDS).any()) for block in blocks)
    for block in blocks:
        some = stored[block]
        whole = _whole(some)
        if is_far:
            flat[block] = np.clip(whole, -(2**62), 2**62).astype(np.int64)
        else:
            rest = np.where(np.isfinite(some.real), some.real - whole + some.imag, 0)
            flat[block] = whole.astype(np.int64) * 10**6 + np.round(rest * 1e6).astype(np.int64)
        flat[block][~np.isfinite(some.real)] = _NOT_A_TIME
    return ticks.view(f"{kind}[{'ms' if is_far else 'ns'}]")


def _whole(millis: Array) -> Array:
    """Milliseconds without their fractions; 0 for what is missing."""
    real = millis.real.astype(np.float64)
    return np.floor(np.where(np.isfinite(real), real, 0))


def to_mapping(found: MatlabObject, budget: Budget) -> Any:
    """A `containers.Map`: its keys and values in two cells."""
    stored = found.properties.get("serialization")
    if not isinstance(stored, dict):
        return found
    names = np.ravel(stored["keys"])
    budget.spend(dict_bytes(names.size) + TEXT_BYTES * names.size, "the keys of a map")
    keys = [key if isinstance(key, str) else np.asarray(key).item() for key in names]
    return Map(zip(keys, np.ravel(stored["values"]), strict=True))


def to_table(found: MatlabObject, budget: Budget) -> Any:
    """A table: its variables in a cell, their names, and names of rows."""
    from ._tables import table  # imports pandas

    return table(found.properties, budget)


def to_timetable(found: MatlabObject, budget: Budget) -> Any:
    """A timetable: its variables in a cell, their names, and the times of the rows."""
    from ._tables import timetable  # imports pandas

    stored = found.properties.get("any")
    return timetable(stored, budget) if isinstance(stored, dict) else found


def _flag(value: Any) -> bool:
    return bool(np.ravel(value)[0]) if value is not None and np.size(value) else False


CONVERSIONS: dict[str, Callable[[MatlabObject, Budget], Any]] = {
    "categorical": to_categorical,
    "containers.Map": to_mapping,
    "datetime": to_datetimes,
    "duration": to_durations,
    "string": to_strings,
    "table": to_table,
    "timetable": to_timetable,
}
