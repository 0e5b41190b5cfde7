"""MAT-files of version 7.3: HDF5 behind a MAT-file header, with MATLAB's classes as attributes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from matlab_bridge._errors import LostObjectError, TruncatedFileError

from ._characters import characters
from ._header import Header
from ._info import VariableInfo
from ._raw import DTYPES, Array, Function, Marker, OldObject, complex_array, is_enumeration, sparse_matrix

if TYPE_CHECKING:
    import h5py

_SUBSYSTEM = "#subsystem#"
# MATLAB_object_decode says which kind of object a dataset or a group is.
_FUNCTION, _OLD_OBJECT, _OPAQUE = 1, 2, 3
_LOGICAL = 1  # MATLAB_int_decode
# Data this large must have the bytes that deflating zeros leaves of it, lest a wrong size be allocated.
_LARGE = 2**30
_MOST_INFLATION = 1032


class Level73File:
    """The variables of a v7.3 file, each read when it is asked for."""

    def __init__(self, path: Path, header: Header) -> None:
        del header  # HDF5 keeps the byte order with the data
        self._path = path
        with self._opened() as file:
            # HDF5 lists names by the alphabet, unless the writer had it keep their order.
            names = [name for name in file if not name.startswith("#")]
            self.variables = tuple(_describe(name, file[name]) for name in names)

    def read(self, name: str) -> Any:
        """Read a variable in its raw form."""
        with self._opened() as file:
            return _Reader(file).value(file[name])

    @cached_property
    def subsystem(self) -> Array:
        """The struct that holds the contents of all objects.

        Raises:
            LostObjectError: the file has none.
        """
        with self._opened() as file:
            if _SUBSYSTEM not in file:
                raise LostObjectError(
                    "it is an object, and the file holds no more of it than a marker: its writer left the "
                    "contents of all objects out (no group #subsystem#). Save the variable again in MATLAB"
                )
            return _Reader(file).struct(file[_SUBSYSTEM])

    @contextlib.contextmanager
    def _opened(self) -> Iterator[h5py.File]:
        import h5py

        with h5py.File(self._path, "r") as file:
            yield file


class _Reader:
    """Turns datasets and groups into raw forms, following references."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file

    def value(self, item: Any) -> Any:
        """The raw form of a dataset or group."""
        attributes = dict(item.attrs)
        class_name = _class_name(attributes)
        decode = int(attributes.get("MATLAB_object_decode", 0))
        if "MATLAB_sparse" in attributes:
            return self._sparse(item, int(attributes["MATLAB_sparse"]), class_name)
        if decode == _OPAQUE:
            return self._opaque(item, class_name)
        if decode == _OLD_OBJECT:
            return OldObject(class_name, self.struct(item))
        if decode == _FUNCTION or class_name == "function_handle":
            return Function(self.struct(item))
        if class_name == "struct":
            return self.struct(item)
        if attributes.get("MATLAB_empty"):
            return _empty(item, class_name)
        if class_name == "cell":
            return self._cell(item)
        if class_name == "char":
            return characters(_stored(item).astype(np.uint16)).T
        return _numeric(item, class_name, attributes)

    def struct(self, item: Any) -> Array:
        """A struct: a group with a dataset or group for each field."""
        import h5py

        names = self._field_names(item)
        dtype = [(name, object) for name in names]
        if isinstance(item, h5py.Dataset):  # without elements or without fields: the dataset is the size
            return np.empty(_size(item), dtype=dtype)
        fields = [item[name] for name in names]
        if not fields or not all(_is_field_of_many(field) for field in fields):
            array: Array = np.empty((1, 1), dtype=dtype)
            array[0, 0] = tuple(self.value(field) for field in fields)
            return array
        columns = [self._cell(field) for field in fields]
        array = np.empty(columns[0].shape, dtype=dtype)
        for name, column in zip(names, columns, strict=True):
            array[name] = column
        return array

    def _cell(self, item: Any) -> Array:
        references = _stored(item)
        cell = np.empty(references.shape, dtype=object)
        for index in np.ndindex(references.shape):
            cell[index] = self.value(self._file[references[index]])
        return cell.T

    def _opaque(self, item: Any, class_name: str) -> Any:
        import h5py

        if isinstance(item, h5py.Group):
            metadata: Any = self.struct(item)
            return Marker(class_name, "MCOS", metadata) if is_enumeration(metadata) else OldObject(class_name, metadata)
        if _is_references(item):  # the contents of all objects, or an object that is no object of MATLAB's
            metadata = self._cell(item)
            return metadata if class_name == "FileWrapper__" else Marker(class_name, "handle", metadata)
        is_java = class_name.startswith(("java.", "com."))
        return Marker(class_name, "java" if is_java else "MCOS", _stored(item).T)

    def _sparse(self, item: Any, rows: int, class_name: str) -> scipy.sparse.csc_array[Any]:
        starts = _stored(item["jc"])
        if "data" not in item:
            values, indices = np.empty(0, DTYPES[class_name]), np.empty(0, np.int64)
        else:
            values, indices = _numeric(item["data"], class_name, {}), _stored(item["ir"])
        return sparse_matrix(values, indices, starts, (rows, starts.size - 1))

    def _field_names(self, item: Any) -> list[str]:
        stored = item.attrs.get("MATLAB_fields")
        if stored is None:
            return list(item) if hasattr(item, "keys") else []
        if not isinstance(stored, np.ndarray):  # a list too long for an attribute is kept elsewhere
            stored = self._file[stored][()]
        return [b"".join(name).decode("ascii") for name in stored]


def _describe(name: str, item: Any) -> VariableInfo:
    attributes = item.attrs
    class_name = _class_name(dict(attributes))
    is_global = bool(attributes.get("MATLAB_global", 0))
    if "MATLAB_sparse" in attributes:
        shape = (int(attributes["MATLAB_sparse"]), item["jc"].size - 1)
        is_complex = "data" in item and item["data"].dtype.names is not None
        return VariableInfo(name, class_name, shape, is_complex, is_sparse=True, is_global=is_global)
    if attributes.get("MATLAB_empty", 0):
        return VariableInfo(name, class_name, _size(item), is_global=is_global)
    if int(attributes.get("MATLAB_object_decode", 0)) == _OPAQUE:
        return VariableInfo(name, class_name, _marker_shape(item), is_global=is_global)
    if hasattr(item, "keys"):
        first = next(iter(item.values()), None)
        shape = first.shape[::-1] if first is not None and _is_field_of_many(first) else (1, 1)
        return VariableInfo(name, class_name, shape, is_global=is_global)
    return VariableInfo(name, class_name, item.shape[::-1], item.dtype.names is not None, is_global=is_global)


def _marker_shape(item: Any) -> tuple[int, ...]:
    if hasattr(item, "keys"):
        return tuple(item["ValueIndices"].shape[::-1]) if "ValueIndices" in item else (1, 1)
    return Marker("", "MCOS", _stored(item).T).shape


def _class_name(attributes: dict[str, Any]) -> str:
    name = attributes.get("MATLAB_class", b"")
    return name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)


def _empty(item: Any, class_name: str) -> Array:
    size = _size(item)
    if class_name == "cell":
        return np.empty(size, dtype=object)
    if class_name == "char":
        return np.empty(size, dtype="<U1")
    return np.empty(size, DTYPES.get(class_name, np.dtype("f8")))  # "canonical empty" is a plain []


def _numeric(item: Any, class_name: str, attributes: dict[str, Any]) -> Array:
    values = _stored(item)
    if class_name not in DTYPES:
        raise TruncatedFileError(f"{item.name} has the class {class_name!r}, which no MAT-file of MATLAB's has")
    if values.dtype.names is not None:
        return complex_array(values["real"], values["imag"]).T
    is_logical = attributes.get("MATLAB_int_decode") == _LOGICAL and class_name == "logical"
    return values.astype(np.bool_ if is_logical else DTYPES[class_name], copy=False).T


def _size(item: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in _stored(item))


def _stored(item: Any) -> Array:
    import h5py

    if not isinstance(item, h5py.Dataset):
        raise TruncatedFileError(f"{item.name} is a group where a dataset was expected")
    nbytes = math.prod(item.shape) * item.dtype.itemsize
    if nbytes > _LARGE and nbytes > _MOST_INFLATION * item.id.get_storage_size():
        raise TruncatedFileError(f"{item.name} states a size of {nbytes} bytes, which the file cannot hold")
    stored: Array = item[()]
    return stored


def _is_references(item: Any) -> bool:
    import h5py

    return isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype) is not None


def _is_field_of_many(item: Any) -> bool:
    # A field of a struct array is references to its values; a cell is as well, but has a class.
    return _is_references(item) and "MATLAB_class" not in item.attrs
