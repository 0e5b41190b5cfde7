"""MAT-files of version 7.3: HDF5 behind a MAT-file header, with MATLAB's classes as attributes."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from matlab_bridge._errors import LostObjectError, TruncatedFileError

from ._budget import Budget
from ._characters import decode_bytes, decode_characters
from ._damage import SYMPTOMS
from ._hdf5 import File, Item, OpenedFile
from ._header import Header
from ._info import VariableInfo
from ._lazy import LARGE, StoredArray, Wanted
from ._raw import DTYPES, Array, Function, Marker, OldObject, complex_array, is_enumeration, matlab_shape, sparse_matrix

_SUBSYSTEM = "#subsystem#"
USER_BLOCK = 512
"""What MATLAB's header takes before HDF5 begins."""

# MATLAB_object_decode says which kind of object a dataset or a group is.
_FUNCTION, _OLD_OBJECT, _OPAQUE = 1, 2, 3
_LOGICAL = 1  # MATLAB_int_decode
# Attributes that say nothing of the value but its class.
_PLAIN_ATTRIBUTES = frozenset(("MATLAB_class", "MATLAB_int_decode", "MATLAB_empty", "MATLAB_global"))
_MOST_AXES = 64  # of NumPy's arrays
# What elements take in memory, some of it only meanwhile.
_POINTER_BYTES, _REFERENCE_BYTES, _START_BYTES, _OBJECT_BYTES = 8, 24, 24, 72
_BLOCK = 2**11
_CLASSES = {dtype: name for name, dtype in DTYPES.items()}
_STRUCTS = frozenset(("struct", "function_handle", ""))


class Level73File:
    """The variables of a v7.3 file, each read when it is asked for."""

    def __init__(self, path: Path, header: Header, budget: Budget) -> None:
        del header  # HDF5 keeps the byte order with the data
        self._file = OpenedFile(path, USER_BLOCK, budget)
        self._addresses, self.variables = self._file.use(_listed)

    def read(self, name: str) -> Any:
        """Read a variable in its raw form."""
        try:
            return self._file.use(lambda file: _Reader(file).at(self._addresses[name]))
        except RecursionError as error:
            raise TruncatedFileError("its values nest too deeply, or hold themselves") from error

    def stored(self, name: str) -> StoredArray | None:
        """A large numeric variable, to be read in parts; None for any other."""

        def described(file: File) -> StoredArray | None:
            item = file.item(self._addresses[name])
            class_name = _class_name(item)
            if not _PLAIN_ATTRIBUTES.issuperset(item.attributes) or class_name not in DTYPES or item.is_group:
                return None
            if (
                item.dtype is None
                or len(item.shape) < 2
                or item.attributes.get("MATLAB_empty")
                or item.full_nbytes < LARGE
            ):
                return None
            file.check_size(item)
            dtype = _type_values(np.empty(0, item.dtype), class_name, item.attributes).dtype
            return StoredArray(item.shape[::-1], dtype, lambda axes: self._block(item, axes))

        return self._file.use(described)

    def _block(self, item: Item, axes: tuple[Wanted, ...]) -> Array:
        block = self._file.use(lambda file: file.part(item, axes[::-1]))
        return _type_values(block, _class_name(item), item.attributes)

    def read_ahead(self, names: Iterable[str]) -> Generator[str, None, None]:
        """Give the names one after the other; there is nothing to prepare."""
        return (name for name in names)

    @cached_property
    def subsystem(self) -> Array:
        """The struct that holds the contents of all objects.

        Raises:
            LostObjectError: the file has none.
        """
        if _SUBSYSTEM not in self._addresses:
            raise LostObjectError(
                "it is an object, and the file holds no more of it than a marker: its writer left the "
                "contents of all objects out (no group #subsystem#). Save the variable again in MATLAB"
            )

        def contents(file: File) -> Array:
            return _Reader(file).struct(file.item(self._addresses[_SUBSYSTEM]))

        return self._file.use(contents)


def _listed(file: File) -> tuple[dict[str, int], tuple[VariableInfo, ...]]:
    # HDF5 lists names by the alphabet, unless the writer had it keep their order.
    addresses = file.members(file.root)
    names = [name for name in addresses if not name.startswith("#")]
    return addresses, tuple(_describe_address(file, name, addresses[name]) for name in names)


def _describe_address(file: File, name: str, address: int) -> VariableInfo:
    try:
        return _describe(file, name, file.item(address))
    except SYMPTOMS:  # MatFileError is a ValueError; what is wrong with it is told when it is read, and hides no other
        return VariableInfo(name, "unreadable", (0, 0))


class _Reader:
    """Turns datasets and groups into raw forms, following references in the order of the file."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._budget = file.budget
        self._empty: dict[int, Array] = {}

    def at(self, address: int) -> Any:
        """The raw form of the dataset or group at an address."""
        if address in self._empty:  # MATLAB lets many elements of cells share one of these
            return self._empty[address]
        return self._visited(self._file.item(address))

    def struct(self, item: Item) -> Array:
        """A struct: a group with a dataset or group for each field."""
        if not item.is_group:  # without elements or without fields: the dataset is the size
            names, size = self._field_names(item, {}), _size(self._file, item)
            if names and 0 not in size:
                raise TruncatedFileError(f"a struct of size {size} has no elements")
            self._budget.spend(_OBJECT_BYTES * math.prod(size), "structs without fields")
            return np.empty(size, dtype=[(name, object) for name in names])
        members = self._file.members(item)
        # A field that is listed, but was taken out of the file, is no field any more.
        names = [name for name in self._field_names(item, members) if name in members]
        dtype = [(name, object) for name in names]
        fields = [self._file.item(members[name]) for name in names]
        if not fields or not all(map(_is_field_of_many, fields)):
            array: Array = np.empty((1, 1), dtype=dtype)
            array[0, 0] = tuple(map(self._visited, fields))
            return array
        columns = [self._cell(field) for field in fields]
        self._budget.spend(_POINTER_BYTES * columns[0].size * len(names), "the elements of a struct")
        array = np.empty(columns[0].shape, dtype=dtype)
        for name, column in zip(names, columns, strict=True):
            array[name] = column
        return array

    def _visited(self, item: Item) -> Any:
        attributes, class_name = item.attributes, _class_name(item)
        if not _PLAIN_ATTRIBUTES.issuperset(attributes) or class_name in _STRUCTS:
            special = self._special(item, class_name)
            if special is not None:
                return special
        if attributes.get("MATLAB_empty"):
            size = _size(self._file, item)
            rows = math.prod(n for n in size if n)
            if class_name == "char" and rows > 1:  # each will be a text of its own
                self._budget.spend(_OBJECT_BYTES * rows, "rows of text")
                return _empty(size, class_name)
            self._empty[item.address] = _empty(size, class_name)
            return self._empty[item.address]
        if class_name == "cell":
            return self._cell(item)
        values = self._file.read(item)
        if class_name == "char":
            return decode_characters(values.reshape(-1), matlab_shape(values.shape[::-1], is_text=True), self._budget)
        return self._typed(values, class_name, attributes)

    def _typed(self, values: Array, class_name: str, attributes: Mapping[str, Any]) -> Array:
        wanted = DTYPES.get(class_name)
        if wanted is not None and values.dtype != wanted:
            self._budget.spend(values.size * max(wanted.itemsize, values.itemsize), "the elements of an array")
        return _type_values(values, class_name, attributes)

    def _special(self, item: Item, class_name: str) -> Any:
        """The raw form of what is no plain array or cell; None for one of these."""
        decode = int(item.attributes.get("MATLAB_object_decode", 0))
        if "MATLAB_sparse" in item.attributes:
            return self._sparse(item, int(item.attributes["MATLAB_sparse"]), class_name)
        if decode == _OPAQUE:
            return self._opaque(item, class_name)
        if decode == _OLD_OBJECT:
            return OldObject(class_name, self.struct(item))
        if decode == _FUNCTION or class_name == "function_handle":
            return Function(self.struct(item))
        return self.struct(item) if class_name == "struct" or (item.is_group and not class_name) else None

    def _cell(self, item: Item) -> Array:
        if not item.is_references:
            raise TruncatedFileError("a cell should refer to its elements, and does not")
        addresses = self._file.read(item)
        self._budget.spend(_REFERENCE_BYTES * addresses.size, "the elements of a cell")
        cell = np.empty(addresses.size, dtype=object)
        flat = addresses.reshape(-1)
        # In the order of the file; some at a time, for numbers of Python's take memory.
        order = np.argsort(flat, kind="stable")
        for start in range(0, order.size, _BLOCK):
            some = order[start : start + _BLOCK]
            for i, address in zip(some.tolist(), flat[some].tolist(), strict=True):
                cell[i] = self.at(address)
        return _turn(cell.reshape(addresses.shape))

    def _opaque(self, item: Item, class_name: str) -> Any:
        if item.is_group:
            metadata: Any = self.struct(item)
            return Marker(class_name, "MCOS", metadata) if is_enumeration(metadata) else OldObject(class_name, metadata)
        if item.is_references:  # the contents of all objects, or an object that is no object of MATLAB's
            metadata = self._cell(item)
            return metadata if class_name == "FileWrapper__" else Marker(class_name, "handle", metadata)
        is_java = class_name.startswith(("java.", "com."))
        return Marker(class_name, "java" if is_java else "MCOS", _turn(self._file.read(item)))

    def _sparse(self, item: Item, rows: int, class_name: str) -> scipy.sparse.csc_array[Any]:
        parts = {name: self._file.item(address) for name, address in self._file.members(item).items()}
        starts = self._file.read(parts["jc"])
        if "data" not in parts:
            values, indices = np.empty(0, DTYPES[class_name]), np.empty(0, np.int64)
        else:
            values = self._typed(self._file.read(parts["data"]), class_name, {}).reshape(-1)
            indices = self._file.read(parts["ir"])
        indices_bytes = _POINTER_BYTES * indices.size + _START_BYTES * starts.size
        self._budget.spend(indices_bytes, "the indices of a sparse matrix")
        return sparse_matrix(values, indices, starts, (rows, starts.size - 1))

    def _field_names(self, item: Item, members: Mapping[str, int]) -> list[str]:
        if "MATLAB_fields" in item.attributes:
            return self._file.texts(item.attributes["MATLAB_fields"])
        return list(members)


def _describe(file: File, name: str, item: Item) -> VariableInfo:
    attributes, class_name = item.attributes, _class_name(item)
    is_global = bool(attributes.get("MATLAB_global", 0))
    is_complex = item.dtype is not None and item.dtype.names is not None
    if "MATLAB_sparse" in attributes:
        members = file.members(item)
        shape = (int(attributes["MATLAB_sparse"]), file.item(members["jc"]).size - 1)
        values = file.item(members["data"]).dtype if "data" in members else None
        is_complex = values is not None and values.names is not None
        return VariableInfo(name, class_name, shape, is_complex, is_sparse=True, is_global=is_global)
    if attributes.get("MATLAB_empty", 0):
        return VariableInfo(name, class_name, _size(file, item), is_global=is_global)
    if int(attributes.get("MATLAB_object_decode", 0)) == _OPAQUE:
        return VariableInfo(name, class_name, _marker_shape(file, item), is_global=is_global)
    if item.is_group:
        first = next(iter(file.members(item).values()), None)
        field = None if first is None else file.item(first)
        of_many = matlab_shape(field.shape[::-1]) if field is not None and _is_field_of_many(field) else (1, 1)
        return VariableInfo(name, class_name, of_many, is_global=is_global)
    return VariableInfo(
        name, class_name, matlab_shape(item.shape[::-1], is_text=class_name == "char"), is_complex, is_global=is_global
    )


def _marker_shape(file: File, item: Item) -> tuple[int, ...]:
    if item.is_group:
        indices = file.members(item).get("ValueIndices")
        return (1, 1) if indices is None else file.item(indices).shape[::-1]
    return Marker("", "MCOS", file.read(item).T).shape


def _class_name(item: Item) -> str:
    """MATLAB's class; of numbers that another program stored without one, the class of their type."""
    name = item.attributes.get("MATLAB_class", b"")
    if not item.attributes and item.dtype is not None and not item.is_references:
        return _CLASSES.get(item.dtype.newbyteorder("="), "")
    return decode_bytes(name) if isinstance(name, bytes) else str(name)


def _turn(values: Array) -> Array:
    """Values in MATLAB's order of axes, at least two of them."""
    return values.T if values.ndim > 1 else values.reshape(matlab_shape(values.shape))


def _size(file: File, item: Item) -> tuple[int, ...]:
    if item.size > _MOST_AXES:
        raise TruncatedFileError(f"an array without elements states a size of {item.size} numbers")
    return matlab_shape(tuple(int(n) for n in file.read(item).reshape(-1)))


def _empty(size: tuple[int, ...], class_name: str) -> Array:
    if 0 not in size:
        raise TruncatedFileError(f"an array without elements is stated to have the size {size}")
    if class_name == "cell":
        return np.empty(size, dtype=object)
    if class_name == "char":
        return np.empty(size, dtype="<U1")
    return np.empty(size, DTYPES.get(class_name, np.dtype("f8")))  # "canonical empty" is a plain []


def _type_values(values: Array, class_name: str, attributes: Mapping[str, Any]) -> Array:
    if class_name not in DTYPES:
        raise TruncatedFileError(f"an array has the class {class_name!r}, which no MAT-file of MATLAB's has")
    if values.dtype.names is not None:
        return _turn(complex_array(values["real"], values["imag"]))
    is_logical = attributes.get("MATLAB_int_decode") == _LOGICAL and class_name == "logical"
    return _turn(values.astype(np.bool_ if is_logical else DTYPES[class_name], copy=False))


def _is_field_of_many(item: Item) -> bool:
    # A field of a struct array is references to its values; a cell is as well, but has a class.
    return item.is_references and "MATLAB_class" not in item.attributes
