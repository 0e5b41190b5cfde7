"""From Python values to the forms that mat-io writes: `_decode/_decode` backwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from matlab_bridge._errors import UnwritableValueError
from matlab_bridge.matfile._characters import Units, units_of
from matlab_bridge.matfile._lazy import LazyArray
from matlab_bridge.matfile._raw import Array
from matlab_bridge.matfile._values import (
    CategoricalArray,
    CharArray,
    Enumeration,
    FunctionHandle,
    Map,
    MatlabObject,
    ObjectArray,
    StructArray,
)

from . import _encode_classes as classes
from ._matio import EmptyMatStruct, MatlabOpaque
from ._matio import MatlabObject as OldObject
from ._names import check_name

_NUMBER_TYPES = (bool, int, float, complex, np.bool_, np.number)


@singledispatch
def encode(value: Any, where: str) -> Any:
    """The form of a value that mat-io writes.

    Args:
        value: as `save` accepts them.
        where: the value's place, such as `"results.table"`, for errors.

    Raises:
        UnwritableValueError: MATLAB has no type for the value.
    """
    array = _array_of(value)
    if array is not None:
        return encode(array, where)
    raise UnwritableValueError(
        f"{where} is a {type(value).__name__}, for which there is no type of MATLAB to write. "
        "Numbers, text, arrays, lists, dicts, sparse matrices and pandas frames can be written."
    )


def _array_of(value: Any) -> Array | None:
    """The numbers of a tensor of TensorFlow, JAX or torch, or of a Keras variable; None for anything else."""
    if isinstance(value, type) or not hasattr(value, "__array__"):
        return None
    # torch wants its tensors off the graph and off the device; it has no NumPy type for bfloat16.
    for step in ("detach", "cpu", *(("float",) if str(getattr(value, "dtype", "")).endswith("bfloat16") else ())):
        value = getattr(value, step, lambda value=value: value)()
    to_numpy = getattr(value, "numpy", None)
    array = np.asarray(to_numpy() if callable(to_numpy) else value)
    return None if array.dtype == object else array


@encode.register(MatlabOpaque)
def _as_it_is(value: Any, where: str) -> Any:
    del where
    return value


@encode.register(type(None))
def _nothing(value: None, where: str) -> Array:
    del value, where
    return np.empty((0, 0))


@encode.register(bool)
@encode.register(float)
@encode.register(complex)
def _scalar(value: complex, where: str) -> Array:
    del where
    return np.array([[value]])


@encode.register(int)
def _integer(value: int, where: str) -> Array:
    return np.array([[classes.exact_double(value, where)]])


@encode.register(str)
def _text(value: str, where: str) -> Array:
    try:
        value.encode("utf-16-le")
    except UnicodeEncodeError as error:
        raise UnwritableValueError(f"{where} is text that is not Unicode: {error}.") from error
    if "\x00" in value:
        return Units(value)
    return np.array([value]) if value else np.empty((0, 0), dtype=np.str_)


@encode.register(dt.datetime)
@encode.register(dt.timedelta)
def _instant(value: Any, where: str) -> Any:
    return encode(pd.Series([value]), where)


@encode.register(pd.DataFrame)
def _frame(value: pd.DataFrame, where: str) -> Any:
    return classes.frame(value, where, encode)


@encode.register(pd.Series)
@encode.register(pd.Index)
def _column(value: Any, where: str) -> Any:
    return encode(classes.column(value, where), where)


@encode.register(pd.Categorical)
def _categorical(value: Any, where: str) -> Any:
    return classes.categorical(value, where)


@encode.register(CategoricalArray)
def _categorical_array(value: CategoricalArray, where: str) -> Any:
    return classes.categorical_array(value, where)


@encode.register(MatlabObject)
def _object(value: MatlabObject, where: str) -> Any:
    if not value.old_style:
        raise _only_matlab(value.class_name, where)
    fields = _structs(np.array([[value.properties]], dtype=object), tuple(value.properties), where)
    return OldObject(fields, value.class_name)


@encode.register(Enumeration)
def _enumeration(value: Enumeration, where: str) -> Any:
    raise UnwritableValueError(
        f"{where} is an enumeration of the class {value.class_name}, whose definition only MATLAB has. "
        "Write the names of its members, for example list(value.names.ravel())."
    )


@encode.register(FunctionHandle)
def _function(value: FunctionHandle, where: str) -> Any:
    raise UnwritableValueError(
        f"{where} is the function handle {value.text}, which only MATLAB can write. Write its text, value.text, "
        "and call str2func in MATLAB."
    )


@encode.register(Map)
def _map(value: Map, where: str) -> Any:
    return classes.mapping(value, where, encode)


@encode.register(Mapping)
def _struct(value: Mapping[Any, Any], where: str) -> Array:
    return _structs(np.array([[value]], dtype=object), tuple(value), where)


@encode.register(list)
@encode.register(tuple)
def _sequence(value: Any, where: str) -> Any:
    if value and all(isinstance(element, _NUMBER_TYPES) for element in value):
        return _row(value, where)
    array = np.empty((len(value), 1), dtype=object)
    for i, element in enumerate(value):
        array[i, 0] = element
    if value and all(isinstance(element, Mapping) for element in value):
        return _structs(array, tuple(value[0]), where)
    return _cell(array, where)


def _row(numbers: Sequence[Any], where: str) -> Array:
    """A list of numbers as a row: of their own type, if they share one of NumPy's, else of doubles."""
    kinds = {number.dtype if isinstance(number, np.generic) else type(number) for number in numbers}
    if len(kinds) == 1 and kinds != {int}:
        return _numbers(np.array([numbers]), where)
    if any(isinstance(number, complex | np.complexfloating) for number in numbers):
        return np.array([numbers], dtype=np.complex128)
    return np.array([[classes.exact_double(n, f"{where}({i})") for i, n in enumerate(numbers, start=1)]])


# A dok matrix is a mapping as well.
@encode.register(scipy.sparse.dok_array)
@encode.register(scipy.sparse.dok_matrix)
@encode.register(scipy.sparse.sparray)
@encode.register(scipy.sparse.spmatrix)
def _sparse(value: Any, where: str) -> Any:
    if value.ndim != 2:
        raise UnwritableValueError(f"{where} is sparse with {value.ndim} axes; MATLAB's sparse matrices have two.")
    # A copy: to bring its indices in order changes a matrix, and those that share them.
    columns = scipy.sparse.csc_array(value, copy=True)
    columns.sum_duplicates()
    columns.eliminate_zeros()  # MATLAB's sparse matrices have none
    # MATLAB knows sparse matrices of double and logical only.
    kind = columns.dtype.kind
    columns.data = _numbers(columns.data, where) if kind == "b" else classes.exact_doubles(columns.data, where)
    return columns


@encode.register(np.ndarray)
@encode.register(np.generic)
@encode.register(LazyArray)
def _array(value: Any, where: str) -> Any:
    array: Array = _fill(np.asanyarray(value), where)
    if array.ndim == 0 and array.dtype.kind in "UO":
        return encode(array.item(), where)
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
    if array.dtype.kind == "V" and "float" in array.dtype.name:  # bfloat16 and smaller ones, exact in single
        return array.astype(np.float32)
    raise UnwritableValueError(
        f"{where} is an array of dtype {array.dtype}, for which MATLAB has no type. Convert it, for example "
        "with array.astype(str) or array.astype(float)."
    )


def _fill(array: Array, where: str) -> Array:
    """An array without a mask: what is masked is NaN."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    if not np.any(np.ma.getmaskarray(array)):
        return array.data
    if array.dtype.kind not in "fc":
        raise UnwritableValueError(
            f"{where} is a masked array of {array.dtype} with elements that are masked, for which MATLAB has no value. "
            "Choose one with array.filled(0), or make them NaN with array.astype(float)."
        )
    return np.asarray(array.filled(np.nan))


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
    rows = array.ravel().tolist()
    if any("\x00" in row for row in rows):
        raise UnwritableValueError(
            f"{where} is a char matrix with a NUL character; remove it with text.replace('\\0', '')."
        )
    texts = [text for row in rows for text in encode(row, where).tolist() or [""]]
    width = max((units_of(text).size for text in texts), default=0)
    filled = [text + " " * (width - units_of(text).size) for text in texts]
    return np.array(filled, dtype=np.str_).reshape(array.shape or (1,))


def _cell(array: Array, where: str) -> Array:
    cell = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        cell[index] = encode(array[index], f"{where}{_place(index)}")
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
    names = [check_name(name, f"A field of {where}") for name in fields]
    structs = np.empty(array.shape, dtype=[(name, object) for name in names])
    for index in np.ndindex(array.shape):
        element, place = array[index], where if array.size == 1 else f"{where}{_place(index)}"
        if set(element) != set(names):
            raise UnwritableValueError(
                f"{place} has the fields {sorted(map(str, element))}, others of the array {sorted(names)}. "
                "All elements of a struct array have the same fields; a cell (an array of object) may mix."
            )
        if names:
            structs[index] = tuple(encode(element[name], f"{place}.{name}") for name in names)
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
