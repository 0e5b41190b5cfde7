"""MAT-files of version 7.3: HDF5 behind a MAT-file header, with MATLAB's classes as attributes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from matlab_bridge._errors import LostObjectError, TruncatedFileError

from ._characters import characters
from ._hdf5 import RawFile
from ._header import Header
from ._info import VariableInfo
from ._lazy import LARGE, StoredArray, Wanted
from ._raw import DTYPES, Array, Function, Marker, OldObject, complex_array, is_enumeration, sparse_matrix

if TYPE_CHECKING:
    import h5py

_SUBSYSTEM = "#subsystem#"
# MATLAB_object_decode says which kind of object a dataset or a group is.
_FUNCTION, _OLD_OBJECT, _OPAQUE = 1, 2, 3
_LOGICAL = 1  # MATLAB_int_decode
# Attributes that say nothing of the value but its class.
_PLAIN_ATTRIBUTES = frozenset(("MATLAB_class", "MATLAB_int_decode", "MATLAB_empty", "MATLAB_global", "H5PATH"))
# What one file may cost when several references lead to one value: this many times its size, and a little.
_MOST_SHARING, _LITTLE = 4, 2**20
_REFERENCE_COST = 512
_LIBRARYS = frozenset(("struct", "function_handle", ""))


class Level73File:
    """The variables of a v7.3 file, each read when it is asked for."""

    def __init__(self, path: Path, header: Header) -> None:
        del header  # HDF5 keeps the byte order with the data
        self._path = path
        with self._opened() as (file, _):
            # HDF5 lists names by the alphabet, unless the writer had it keep their order.
            names = [name for name in file if not name.startswith("#")]
            self.variables = tuple(_describe(name, file[name]) for name in names)

    def read(self, name: str) -> Any:
        """Read a variable in its raw form."""
        with self._opened() as (file, descriptor):
            return _Reader(file, descriptor).value(file[name])

    def stored(self, name: str) -> StoredArray | None:
        """A large numeric variable, to be read in parts; None for any other."""
        from ._chunks import check_size

        with self._opened() as (file, _):
            item = file[name]
            attributes = dict(item.attrs)
            class_name = _class_name(attributes)
            if not _PLAIN_ATTRIBUTES.issuperset(attributes) or class_name not in DTYPES or hasattr(item, "keys"):
                return None
            if attributes.get("MATLAB_empty") or math.prod(item.shape) * item.dtype.itemsize < LARGE:
                return None
            check_size(item)
            dtype = _typed(np.empty(0, item.dtype), class_name, attributes, item.name).dtype
            return StoredArray(item.shape[::-1], dtype, lambda axes: self._block(name, axes))

    def _block(self, name: str, axes: tuple[Wanted, ...]) -> Array:
        from ._chunks import read_part

        with self._opened() as (file, descriptor):
            item = file[name]
            attributes = dict(item.attrs)
            block = read_part(item, descriptor, axes[::-1])
            return _typed(block, _class_name(attributes), attributes, item.name)

    def read_ahead(self, names: Iterable[str]) -> Generator[str, None, None]:
        """Give the names one after the other; there is nothing to prepare."""
        return (name for name in names)

    @cached_property
    def subsystem(self) -> Array:
        """The struct that holds the contents of all objects.

        Raises:
            LostObjectError: the file has none.
        """
        with self._opened() as (file, descriptor):
            if _SUBSYSTEM not in file:
                raise LostObjectError(
                    "it is an object, and the file holds no more of it than a marker: its writer left the "
                    "contents of all objects out (no group #subsystem#). Save the variable again in MATLAB"
                )
            return _Reader(file, descriptor).struct(file[_SUBSYSTEM])

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[h5py.File, int]]:
        import h5py

        with self._path.open("rb") as raw, h5py.File(self._path, "r") as file:
            yield file, raw.fileno()


class _Reader:
    """Turns datasets and groups into raw forms, following references.

    A cell's elements are read in the order of the file, and without the library where `_hdf5` understands them.
    """

    def __init__(self, file: h5py.File, descriptor: int) -> None:
        self._file = file
        self._descriptor = descriptor
        self._raw = RawFile(descriptor, file.userblock_size)
        self._met: set[int] = set()
        self._credit = _MOST_SHARING * self._raw.nbytes + _LITTLE

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
            return _empty(_size(item), class_name)
        if class_name == "cell":
            return self._cell(item)
        if class_name == "char":
            return characters(self._stored(item).astype(np.uint16)).T
        return self._numeric(item, class_name, attributes)

    def struct(self, item: Any) -> Array:
        """A struct: a group with a dataset or group for each field."""
        import h5py

        names = self._field_names(item)
        dtype = [(name, object) for name in names]
        if isinstance(item, h5py.Dataset):  # without elements or without fields: the dataset is the size
            size = _size(item)
            if names and 0 not in size:
                raise TruncatedFileError(f"a struct of size {size} has no elements")
            return np.empty(size, dtype=dtype)
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
        from ._chunks import read_addresses

        if not _is_references(item):
            raise TruncatedFileError(f"{item.name} should refer to the elements of a cell, and does not")
        return self._elements(read_addresses(item, self._descriptor), lambda: item[()])

    def _elements(self, addresses: Array, references: Callable[[], Any]) -> Array:
        cell = np.empty(addresses.size, dtype=object)
        opened: list[Any] = []

        def item(i: int) -> Any:
            if not opened:
                opened.append(references().reshape(-1))
            return self._file[opened[0][i]]

        flat = addresses.reshape(-1)
        positions, places = np.argsort(flat, kind="stable").tolist(), flat.tolist()
        for i in positions:
            cell[i] = self._element(places[i], lambda i=i: item(i))  # type: ignore[misc]
        return cell.reshape(addresses.shape).T

    def _element(self, address: int, opened: Callable[[], Any]) -> Any:
        found = self._raw.dataset(address)
        class_name = _class_name(found.attributes) if found else ""
        if found is None or not _PLAIN_ATTRIBUTES.issuperset(found.attributes) or class_name in _LIBRARYS:
            item = opened()
            self._spend(*_place(item))
            return self.value(item)
        if found.attributes.get("MATLAB_empty"):  # MATLAB lets many elements share one of these
            return _empty(tuple(self._raw.data(found).reshape(-1).tolist()), class_name)
        self._spend(address, found.nbytes)
        values = self._raw.data(found)
        if found.is_references != (class_name == "cell"):
            raise TruncatedFileError(f"an element of a cell is of class {class_name!r}, and its data is not")
        if class_name == "cell":
            return self._elements(values, lambda: opened()[()])
        if class_name == "char":
            return characters(values.astype(np.uint16)).T
        return _typed(values, class_name, found.attributes, "an element of a cell")

    def _spend(self, address: int, nbytes: int) -> None:
        # A file in which every value has one reference spends nothing, and references in a loop spend all.
        if address in self._met:
            self._credit -= max(nbytes, _REFERENCE_COST)
            if self._credit < 0:
                raise TruncatedFileError("its cells refer to the same values again and again")
        self._met.add(address)

    def _stored(self, item: Any) -> Array:
        from ._chunks import read_dataset

        _check_dataset(item)
        return read_dataset(item, self._descriptor)

    def _numeric(self, item: Any, class_name: str, attributes: dict[str, Any]) -> Array:
        return _typed(self._stored(item), class_name, attributes, item.name)

    def _opaque(self, item: Any, class_name: str) -> Any:
        import h5py

        if isinstance(item, h5py.Group):
            metadata: Any = self.struct(item)
            return Marker(class_name, "MCOS", metadata) if is_enumeration(metadata) else OldObject(class_name, metadata)
        if _is_references(item):  # the contents of all objects, or an object that is no object of MATLAB's
            metadata = self._cell(item)
            return metadata if class_name == "FileWrapper__" else Marker(class_name, "handle", metadata)
        is_java = class_name.startswith(("java.", "com."))
        return Marker(class_name, "java" if is_java else "MCOS", self._stored(item).T)

    def _sparse(self, item: Any, rows: int, class_name: str) -> scipy.sparse.csc_array[Any]:
        starts = self._stored(item["jc"])
        if "data" not in item:
            values, indices = np.empty(0, DTYPES[class_name]), np.empty(0, np.int64)
        else:
            values, indices = self._numeric(item["data"], class_name, {}), self._stored(item["ir"])
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
    class_name = _class_name(attributes)  # not all of them: a list of fields may be long, or damaged
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
    return Marker("", "MCOS", _numbers(item).T).shape


def _class_name(attributes: Mapping[str, Any]) -> str:
    name = attributes.get("MATLAB_class", b"")
    return name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)


def _empty(size: tuple[int, ...], class_name: str) -> Array:
    if 0 not in size:
        raise TruncatedFileError(f"an array without elements is stated to have the size {size}")
    if class_name == "cell":
        return np.empty(size, dtype=object)
    if class_name == "char":
        return np.empty(size, dtype="<U1")
    return np.empty(size, DTYPES.get(class_name, np.dtype("f8")))  # "canonical empty" is a plain []


def _typed(values: Array, class_name: str, attributes: dict[str, Any], where: str) -> Array:
    if class_name not in DTYPES:
        raise TruncatedFileError(f"{where} has the class {class_name!r}, which no MAT-file of MATLAB's has")
    if values.dtype.names is not None:
        return complex_array(values["real"], values["imag"]).T
    is_logical = attributes.get("MATLAB_int_decode") == _LOGICAL and class_name == "logical"
    return values.astype(np.bool_ if is_logical else DTYPES[class_name], copy=False).T


def _size(item: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in _numbers(item).reshape(-1))


def _numbers(item: Any) -> Array:
    from ._chunks import check_size

    _check_dataset(item)
    check_size(item)
    stored: Array = item[()]
    return stored


def _check_dataset(item: Any) -> None:
    import h5py

    if not isinstance(item, h5py.Dataset):
        raise TruncatedFileError(f"{item.name} is a group where a dataset was expected")


def _place(item: Any) -> tuple[int, int]:
    """Where in the file an object is, which tells it from others, and how many bytes its data has there."""
    import h5py

    address: int = h5py.h5o.get_info(item.id).addr
    return address, item.id.get_storage_size() if isinstance(item, h5py.Dataset) else 0


def _is_references(item: Any) -> bool:
    import h5py

    return isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype) is not None


def _is_field_of_many(item: Any) -> bool:
    # A field of a struct array is references to its values; a cell is as well, but has a class.
    return _is_references(item) and "MATLAB_class" not in item.attrs
