"""From Python values to the forms that mat-io writes: the way back of `_convert`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from matlab_bridge._errors import UnwritableValueError

from . import _encode_classes as classes
from ._matio import EmptyMatStruct
from ._matio import MatlabObject as MatioObject
from ._names import checked_name
from ._raw import Array
from ._values import CategoricalArray, MatlabObject, ObjectArray, StructArray

# The greatest integer up to which every one is a double.
_EXACT = 2**53


def encoded(value: Any, where: str) -> Any:
    """The form of a value that mat-io writes.

    Args:
        value: as `save` accepts them.
        where: the value's place, such as `"results.table"`, for errors.

    Raises:
        UnwritableValueError: MATLAB has no type for the value.
    """
    match value:
        case None:
            return np.empty((0, 0))
        case str():
            return _row(value, where)
        case bool() | np.bool_():
            return np.array([[value]])
        case int() if not isinstance(value, np.generic):
            return _integer(value, where)
        case float() | complex() if not isinstance(value, np.generic):
            return np.array([[value]])
        case pd.DataFrame():
            return classes.frame(value, where, encoded)
        case pd.Series() | pd.Index():
            return encoded(classes.column(value, where, encoded), where)
        case pd.Categorical():
            return classes.categorical(value)
        case CategoricalArray():
            return classes.categorical_array(value)
        case pd.Timestamp() | pd.Timedelta():
            return encoded(value.to_numpy(), where)
        case datetime.datetime() | datetime.timedelta():
            return encoded(pd.Series([value]).to_numpy(), where)
        case MatlabObject(old_style=True):
            return _old_object(value, where)
        case Mapping():
            return _structs(np.array([[value]], dtype=object), tuple(value), where)
        case list() | tuple():
            return _sequence(value, where)
        case np.ndarray() | np.generic():
            return _array(np.asanyarray(value), where)
        case classes.Encoded():
            return value
    if scipy.sparse.issparse(value):
        return _sparse(value, where)
    raise UnwritableValueError(
        f"{where} is a {type(value).__name__}, for which MATLAB has no type here. Numbers, text, arrays, lists, "
        "dicts, sparse matrices and pandas frames can be written."
    )


def _array(array: Array, where: str) -> Any:
    if isinstance(array, ObjectArray):
        raise UnwritableValueError(
            f"{where} is an array of objects of the class {array.class_name}, which only MATLAB can write."
        )
    if array.ndim == 0 and array.dtype.kind in "UO":
        return encoded(array.item(), where)
    if array.ndim < 2:
        # One axis is a column in MATLAB.
        array = array.reshape(array.size, 1)
    if isinstance(array, StructArray):
        return _structs(array, array.fields, where)
    if array.dtype.names is not None:
        rows = np.empty(array.shape, dtype=object)
        for index in np.ndindex(array.shape):
            rows[index] = dict(zip(array.dtype.names, array[index].tolist(), strict=True))
        return _structs(rows, array.dtype.names, where)
    match array.dtype.kind:
        case "b":
            return array
        case "i" | "u" | "f" | "c":
            return _numbers(array, where)
        case "T":
            return classes.strings(array)
        case "M":
            return classes.datetimes(array)
        case "m":
            return classes.durations(array)
        case "O" | "U":
            return _cell(array, where)
    raise UnwritableValueError(
        f"{where} is an array of dtype {array.dtype}, for which MATLAB has no type. Convert it, for example "
        "with array.astype(str) or array.astype(float)."
    )


def _numbers(array: Array, where: str) -> Array:
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if native.dtype == np.float16:
        return native.astype(np.float32)
    if native.dtype.itemsize > (16 if native.dtype.kind == "c" else 8):
        raise UnwritableValueError(
            f"{where} has the dtype {array.dtype}, which is wider than MATLAB's double. "
            "Round it first with array.astype(float) or array.astype(complex)."
        )
    return native


def _integer(value: int, where: str) -> Array:
    if abs(value) > _EXACT and int(float(value)) != value:
        raise UnwritableValueError(
            f"{where} is the integer {value}, which no double is. Give it as np.int64({value}) to keep it exact."
        )
    return np.array([[float(value)]])


def _row(text: str, where: str) -> Array:
    try:
        text.encode("utf-16-le")
    except UnicodeEncodeError as error:
        raise UnwritableValueError(f"{where} is text that is not Unicode: {error}.") from error
    if text.endswith("\x00"):
        raise UnwritableValueError(
            f"{where} is text that ends with a NUL character; remove it with text.rstrip('\\0')."
        )
    return np.array([text]) if text else np.empty((0, 0), dtype=np.str_)


def _sequence(values: Sequence[Any], where: str) -> Any:
    array = np.empty((len(values), 1), dtype=object)
    array[:, 0] = [*values]
    if values and all(isinstance(value, Mapping) for value in values):
        return _structs(array, tuple(values[0]), where)
    return _cell(array, where)


def _cell(array: Array, where: str) -> Array:
    cell = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        cell[index] = encoded(array[index], f"{where}{_place(index)}")
    return cell


def _structs(array: Array, fields: tuple[Any, ...], where: str) -> Array:
    names = [checked_name(name, f"A field of {where}") for name in fields]
    if not names:
        empty: Array = EmptyMatStruct(np.empty(array.shape, dtype=object))
        return empty
    structs = np.empty(array.shape, dtype=[(name, object) for name in names])
    for index in np.ndindex(array.shape):
        element, place = array[index], where if array.size == 1 else f"{where}{_place(index)}"
        if set(element) != set(names):
            raise UnwritableValueError(
                f"{place} has the fields {sorted(map(str, element))}, others of the same array {sorted(names)}. The elements "
                "of a struct array have the same fields; give a cell (an object array) to keep different ones."
            )
        structs[index] = tuple(encoded(element[name], f"{place}.{name}") for name in names)
    return structs


def _old_object(value: MatlabObject, where: str) -> Any:
    fields = _structs(np.array([[value.properties]], dtype=object), tuple(value.properties), where)
    return MatioObject(fields, value.class_name)


def _sparse(matrix: Any, where: str) -> Any:
    if matrix.ndim != 2:
        raise UnwritableValueError(
            f"{where} is sparse with {matrix.ndim} axes; MATLAB's sparse matrices have two."
        )
    columns = scipy.sparse.csc_array(matrix)
    columns.sum_duplicates()
    # MATLAB knows sparse matrices of double and logical only.
    kind = columns.dtype.kind
    return columns if kind == "b" else columns.astype(np.complex128 if kind == "c" else np.float64)


def _place(index: tuple[int, ...]) -> str:
    return f"({', '.join(str(i + 1) for i in index)})"  # counted as MATLAB does
