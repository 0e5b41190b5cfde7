"""From Python values to the forms that mat-io writes: `_convert` backwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from matlab_bridge._errors import UnwritableValueError

from . import _encode_classes as classes
from ._characters import units_of
from ._lazy import LazyArray
from ._matio import EmptyMatStruct, MatlabOpaque
from ._matio import MatlabObject as OldObject
from ._names import checked_name
from ._raw import Array
from ._values import (
    CategoricalArray,
    CharArray,
    Enumeration,
    FunctionHandle,
    Map,
    MatlabObject,
    ObjectArray,
    StructArray,
)

# The greatest integer up to which every one is a double.
_EXACT = 2**53


@singledispatch
def encoded(value: Any, where: str) -> Any:
    """The form of a value that mat-io writes.

    Args:
        value: as `save` accepts them.
        where: the value's place, such as `"results.table"`, for errors.

    Raises:
        UnwritableValueError: MATLAB has no type for the value.
    """
    raise UnwritableValueError(
        f"{where} is a {type(value).__name__}, for which there is no type of MATLAB to write. "
        "Numbers, text, arrays, lists, dicts, sparse matrices and pandas frames can be written."
    )


@encoded.register(MatlabOpaque)
def _as_it_is(value: Any, where: str) -> Any:
    del where
    return value


@encoded.register(type(None))
def _nothing(value: None, where: str) -> Array:
    del value, where
    return np.empty((0, 0))


@encoded.register(bool)
@encoded.register(float)
@encoded.register(complex)
def _scalar(value: complex, where: str) -> Array:
    del where
    return np.array([[value]])


@encoded.register(int)
def _integer(value: int, where: str) -> Array:
    if abs(value) > _EXACT and int(float(value)) != value:
        raise UnwritableValueError(
            f"{where} is the integer {value}, which no double equals. "
            f"Give it as np.int64({value}) or as text to keep it exact."
        )
    return np.array([[float(value)]])


@encoded.register(str)
def _text(value: str, where: str) -> Array:
    try:
        value.encode("utf-16-le")
    except UnicodeEncodeError as error:
        raise UnwritableValueError(f"{where} is text that is not Unicode: {error}.") from error
    if "\x00" in value:
        raise UnwritableValueError(f"{where} is text with a NUL character; remove it with text.replace('\\0', '').")
    return np.array([value]) if value else np.empty((0, 0), dtype=np.str_)


@encoded.register(dt.datetime)
@encoded.register(dt.timedelta)
def _instant(value: Any, where: str) -> Any:
    return encoded(pd.Series([value]), where)


@encoded.register(pd.DataFrame)
def _frame(value: pd.DataFrame, where: str) -> Any:
    return classes.frame(value, where, encoded)


@encoded.register(pd.Series)
@encoded.register(pd.Index)
def _column(value: Any, where: str) -> Any:
    return encoded(classes.column(value, where), where)


@encoded.register(pd.Categorical)
def _categorical(value: Any, where: str) -> Any:
    del where
    return classes.categorical(value)


@encoded.register(CategoricalArray)
def _categorical_array(value: CategoricalArray, where: str) -> Any:
    del where
    return classes.categorical_array(value)


@encoded.register(MatlabObject)
def _object(value: MatlabObject, where: str) -> Any:
    if not value.old_style:
        raise _only_matlab(value.class_name, where)
    fields = _structs(np.array([[value.properties]], dtype=object), tuple(value.properties), where)
    return OldObject(fields, value.class_name)


@encoded.register(Enumeration)
def _enumeration(value: Enumeration, where: str) -> Any:
    raise UnwritableValueError(
        f"{where} is an enumeration of the class {value.class_name}, whose definition only MATLAB has. "
        "Write the names of its members, for example list(value.names.ravel())."
    )


@encoded.register(FunctionHandle)
def _function(value: FunctionHandle, where: str) -> Any:
    raise UnwritableValueError(
        f"{where} is the function handle {value.text}, which only MATLAB can write. Write its text, value.text, "
        "and call str2func in MATLAB."
    )


@encoded.register(Map)
def _map(value: Map, where: str) -> Any:
    return classes.mapping(value, where, encoded)


@encoded.register(Mapping)
def _struct(value: Mapping[Any, Any], where: str) -> Array:
    return _structs(np.array([[value]], dtype=object), tuple(value), where)


@encoded.register(list)
@encoded.register(tuple)
def _sequence(value: Any, where: str) -> Any:
    array = np.empty((len(value), 1), dtype=object)
    for i, element in enumerate(value):
        array[i, 0] = element
    if value and all(isinstance(element, Mapping) for element in value):
        return _structs(array, tuple(value[0]), where)
    return _cell(array, where)


@encoded.register(scipy.sparse.sparray)
@encoded.register(scipy.sparse.spmatrix)
def _sparse(value: Any, where: str) -> Any:
    if value.ndim != 2:
        raise UnwritableValueError(f"{where} is sparse with {value.ndim} axes; MATLAB's sparse matrices have two.")
    columns = scipy.sparse.csc_array(value)
    columns.sum_duplicates()
    # MATLAB knows sparse matrices of double and logical only.
    kind = columns.dtype.kind
    return columns if kind == "b" else columns.astype(np.complex128 if kind == "c" else np.float64)


@encoded.register(np.ndarray)
@encoded.register(np.generic)
@encoded.register(LazyArray)
def _array(value: Any, where: str) -> Any:
    array: Array = np.asanyarray(value)
    if array.ndim == 0 and array.dtype.kind in "UO":
        return encoded(array.item(), where)
    if isinstance(array, CharArray):
        return _char_matrix(array, where)
    if array.ndim < 2:
        array = array.reshape(array.size, 1)  # one axis is a column in MATLAB
    if isinstance(array, ObjectArray):
        raise _only_matlab(array.class_name, where)
    if isinstance(array, StructArray):
        return _structs(array, array.fields, where)
    if array.dtype.names is not None:
        return _records(array, where)
    if array.dtype.kind in _ENCODINGS:
        return _ENCODINGS[array.dtype.kind](array, where)
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


def _char_matrix(array: CharArray, where: str) -> Array:
    texts = [text for row in array.ravel().tolist() for text in encoded(row, where).tolist() or [""]]
    width = max((units_of(text).size for text in texts), default=0)
    filled = [text + " " * (width - units_of(text).size) for text in texts]
    return np.array(filled, dtype=np.str_).reshape(array.shape or (1,))


def _cell(array: Array, where: str) -> Array:
    cell = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        cell[index] = encoded(array[index], f"{where}{_place(index)}")
    return cell


_ENCODINGS: dict[str, Callable[[Array, str], Any]] = {
    "b": lambda array, _: array,
    **dict.fromkeys("iufc", _numbers),
    **dict.fromkeys("OU", _cell),
    "T": lambda array, _: classes.strings(array),
    "M": lambda array, _: classes.datetimes(array),
    "m": lambda array, _: classes.durations(array),
}


def _records(array: Array, where: str) -> Array:
    names = array.dtype.names or ()
    elements = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        elements[index] = {name: array[index][name] for name in names}
    return _structs(elements, names, where)


def _structs(array: Array, fields: tuple[Any, ...], where: str) -> Array:
    names = [checked_name(name, f"A field of {where}") for name in fields]
    structs = np.empty(array.shape, dtype=[(name, object) for name in names])
    for index in np.ndindex(array.shape):
        element, place = array[index], where if array.size == 1 else f"{where}{_place(index)}"
        if set(element) != set(names):
            raise UnwritableValueError(
                f"{place} has the fields {sorted(map(str, element))}, others of the array {sorted(names)}. "
                "All elements of a struct array have the same fields; a cell (an array of object) may mix."
            )
        if names:
            structs[index] = tuple(encoded(element[name], f"{place}.{name}") for name in names)
    if names:
        return structs
    empty: Array = EmptyMatStruct(np.empty(array.shape, dtype=object))
    return empty


def _only_matlab(class_name: str, where: str) -> UnwritableValueError:
    return UnwritableValueError(
        f"{where} is an object of the class {class_name}, which only MATLAB can write. Give what is in it: "
        "its `properties`, or numbers and text."
    )


def _place(index: tuple[int, ...]) -> str:
    return f"({', '.join(str(i + 1) for i in index)})"  # counted as MATLAB does
