"""The matrices of a stream of the Level 5 format, from their bytes to their raw forms.

Matrices that lie side by side are read together, then all that lie within these: the time goes by how deep values are
nested, rather than by how many there are. Every size is checked against the bytes that are there, and every value
spends the budget of the file, before anything is allocated.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._characters import decode_name, distinct, text
from matlab_bridge.matfile._header import ByteOrder
from matlab_bridge.matfile._raw import (
    ARRAY_BYTES,
    DTYPES,
    FIELD_BYTES,
    ITEM_BYTES,
    OBJECT_BYTES,
    Array,
    Finished,
    Function,
    Marker,
    OldObject,
    complex_array,
    dict_bytes,
    sparse_matrix,
)
from matlab_bridge.matfile._values import StructArray

from ._format import CELL, CHAR, FUNCTION, MATRIX, NUMBERS, OBJECT, OPAQUE, SPARSE, STRUCT, TEXTS
from ._plain import UNSET, PlainReader
from ._walk import MOST_DEPTH, MatrixHeader, Tag, Walker, broken
from ._widen import widen, widen_complex

_NUMBERS = {**NUMBERS, **TEXTS}
_DTYPES_OF_ORDER = {order: {kind: np.dtype(order + code) for kind, code in _NUMBERS.items()} for order in "<>"}
_CHARACTERS = frozenset(kind for kind, code in _NUMBERS.items() if code in {"i1", "u1", "i2", "u2", "i4", "u4"})
# What describes an object or a function, whatever values it looks like, and what holds values of users.
_DESCRIBED, _HOLDING = frozenset({FUNCTION, OPAQUE}), frozenset({CELL, STRUCT, OBJECT})
# So many matrices are read together: their heads take some hundred bytes each.
_TOGETHER = 2**13
# Of an element: its places in the list of positions, in that of values, and in what holds it.
_ELEMENT_BYTES = 3 * ITEM_BYTES


class _Container(NamedTuple):
    """A matrix that holds others: what it is, the names of its fields, and the number of the others."""

    header: MatrixHeader
    fields: tuple[str, ...]
    held: int


class MatrixReader:
    """Reads the matrices of a stream.

    Args:
        content: the stream, which is one matrix. If it may be written to, arrays are views on it, and values without
            objects are finished; else whoever converts them makes copies.
        order: the byte order of the numbers in it.
        budget: of the file.
    """

    def __init__(self, content: memoryview, order: ByteOrder, budget: Budget) -> None:
        self._content = content
        self._budget = budget
        self._walker = Walker(content, order)
        self._dtypes = _DTYPES_OF_ORDER[order]
        self._fields: dict[tuple[int, bytes], tuple[str, ...]] = {}

    @cached_property
    def _plain(self) -> PlainReader:
        return PlainReader(self._walker, self._budget)

    def matrix(self) -> Any:
        """The raw form of the matrix that begins with its tag."""
        tag = self._walker.tag(0, len(self._content))
        if tag.kind != MATRIX:
            raise broken(0, f"a matrix was expected, and an element of kind {tag.kind} found")
        return self._read(tag.data, tag.data + tag.nbytes) if tag.nbytes else UNSET

    def contents(self) -> Any:
        """The raw form of the matrix whose tag is left out."""
        return self._read(0, len(self._content))

    def _read(self, start: int, stop: int) -> Any:
        header = self._walker.header(start, stop)
        if header.kind not in _HOLDING and header.kind not in _DESCRIBED:
            return self._leaf(header)
        values, is_open = self._one_by_one([header], 1, finishes=not self._content.readonly)
        return values[0] if is_open[0] else _find_wrapped(values[0])

    def _matrices(self, starts: Array, depth: int, *, finishes: bool) -> tuple[Array, Array]:
        """The raw forms of the matrices that begin at these bytes, and which of them are open.

        A matrix is open if something has to be converted in it: nothing else has to be looked at again.
        """
        values, is_open = np.empty(len(starts), object), np.zeros(len(starts), bool)
        for first in range(0, len(starts), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            values[part], others = self._plain.read(starts[part])
            if others.size:
                others += first
                tags = [self._walker.tag(start, len(self._content)) for start in starts[others].tolist()]
                headers = [self._walker.header(tag.data, tag.data + tag.nbytes) for tag in tags]
                values[others], is_open[others] = self._one_by_one(headers, depth, finishes=finishes)
        return values, is_open

    def _one_by_one(self, headers: Sequence[MatrixHeader], depth: int, *, finishes: bool) -> tuple[Array, Array]:
        """The same of matrices that are not plain: containers together, any other alone."""
        values, is_open = np.empty(len(headers), object), np.zeros(len(headers), bool)
        for kinds, finished in ((_HOLDING, finishes), (_DESCRIBED, False)):
            places = [place for place, header in enumerate(headers) if header.kind in kinds]
            for some in _batches(places, headers):
                containers = [headers[place] for place in some]
                values[some], is_open[some] = self._containers(containers, depth, finishes=finished)
        for place, header in enumerate(headers):
            if header.kind not in _HOLDING and header.kind not in _DESCRIBED:
                values[place] = self._leaf(header)
        return values, is_open

    # Matrices that hold others.

    def _containers(self, headers: Sequence[MatrixHeader], depth: int, *, finishes: bool) -> tuple[Array, Array]:
        if depth > MOST_DEPTH:
            raise broken(headers[0].data, f"values are nested more than {MOST_DEPTH} deep")
        starts = array("q")
        containers = [self._container(header, starts) for header in headers]
        values, open_values = self._matrices(np.array(starts, np.int64), depth + 1, finishes=finishes)
        found, is_open = np.empty(len(headers), object), np.ones(len(headers), bool)
        has_open = bool(open_values.any())
        at = 0
        for place, container in enumerate(containers):
            part = slice(at, at := at + container.held)
            is_open[place] = (
                not finishes or container.header.kind == OBJECT or (has_open and bool(open_values[part].any()))
            )
            if is_open[place]:
                found[place] = _raw(container, values[part], open_values[part])
            else:
                found[place] = _value(container, values[part])
        return found, is_open

    def _container(self, header: MatrixHeader, starts: array[int]) -> _Container:
        """What a container is; the positions of what it holds are added to `starts`."""
        fields: tuple[str, ...] = ()
        at, count, nbytes = header.data, header.size, ARRAY_BYTES
        if header.kind in _DESCRIBED:
            count = int(at < header.stop)  # a function handle may hold nothing
        elif header.kind != CELL:
            fields, at = self._field_names(header)
            nbytes += header.size * (ITEM_BYTES + dict_bytes(len(fields)))
            if header.kind == OBJECT:
                nbytes += 5 * OBJECT_BYTES  # a type with these fields, what holds it, and a header meanwhile
            count *= len(fields)
        self._budget.spend(nbytes + count * _ELEMENT_BYTES, "the elements of cells and structs")
        starts.extend(self._walker.matrices(at, header.stop, count))
        return _Container(header, fields, count)

    def _field_names(self, header: MatrixHeader) -> tuple[tuple[str, ...], int]:
        tag = self._walker.tag(header.data, header.stop)
        width = self._walker.integers(tag)[0] if tag.nbytes else 0
        tag = self._walker.tag(tag.stop, header.stop)
        if width < 1 or tag.nbytes % width:
            raise broken(tag.start, f"field names of {width} bytes each do not fill {tag.nbytes} bytes")
        table = bytes(self._walker.data(tag))
        if (width, table) not in self._fields:
            self._budget.spend(FIELD_BYTES * (tag.nbytes // width), "names of fields")
            names = [decode_name(table[i : i + width]) for i in range(0, len(table), width)]
            self._fields[width, table] = tuple(distinct(names))
        return self._fields[width, table], tag.stop

    # Matrices of numbers and characters.

    def _leaf(self, header: MatrixHeader) -> Any:
        if not header.class_name:
            raise broken(header.data, f"the class of the matrix {header.name!r} is stated as number {header.kind}")
        tag = self._walker.tag(header.data, header.stop)
        if header.kind == SPARSE:
            return self._sparse(header, tag)
        return self._char(header, tag) if header.kind == CHAR else self._numeric(header, tag)

    def _numeric(self, header: MatrixHeader, tag: Tag) -> Array:
        dtype, values = DTYPES[header.class_name], self._numbers(tag, header.size)
        self._budget.spend(ARRAY_BYTES, "numbers")
        if header.is_complex:
            imaginary = self._numbers(self._walker.tag(tag.stop, header.stop), header.size)
            return widen_complex(values, imaginary, dtype, self._budget).reshape(header.shape, order="F")
        return widen(values, dtype, self._budget).reshape(header.shape, order="F")

    def _char(self, header: MatrixHeader, tag: Tag) -> Any:
        if not tag.nbytes:
            return ""  # some writers leave the characters of a char array of blanks out
        if tag.kind not in _CHARACTERS:
            raise broken(tag.start, f"characters were expected, and an element of kind {tag.kind} found")
        return text(self._numbers(tag), header.shape, self._budget)

    def _sparse(self, header: MatrixHeader, tag: Tag) -> scipy.sparse.csc_array[Any]:
        rows = self._numbers(tag)
        tag = self._walker.tag(tag.stop, header.stop)
        starts = self._numbers(tag)[: header.shape[1] + 1]
        if len(header.shape) != 2 or starts.size != header.shape[1] + 1:
            raise broken(tag.start, f"a sparse matrix of size {header.shape} has {starts.size} column starts")
        count, dtype = int(starts[-1]), DTYPES[header.class_name]
        self._budget.spend(3 * ITEM_BYTES * (starts.size + max(0, count)), "a sparse matrix")
        tag = self._walker.tag(tag.stop, header.stop)
        values = self._sparse_values(tag, count)
        if header.is_complex:
            imaginary = self._sparse_values(self._walker.tag(tag.stop, header.stop), count)
            values = complex_array(values, imaginary, dtype)
        else:
            values = values.astype(dtype)
        return sparse_matrix(values, rows[:count], starts, (header.shape[0], header.shape[1]))

    def _sparse_values(self, tag: Tag, count: int) -> Array:
        # The values of a sparse logical matrix are bytes, whatever the tag says.
        dtype = np.dtype(np.uint8) if tag.nbytes == count else self._dtype(tag)
        return np.frombuffer(self._walker.data(tag), dtype, count)

    def _numbers(self, tag: Tag, size: int | None = None) -> Array:
        dtype = self._dtype(tag)
        if size is not None and tag.nbytes != size * dtype.itemsize:
            raise broken(
                tag.start, f"a matrix of {size} elements has {tag.nbytes} bytes instead of {size * dtype.itemsize}"
            )
        return np.frombuffer(self._walker.data(tag), dtype)

    def _dtype(self, tag: Tag) -> np.dtype[Any]:
        if tag.kind not in self._dtypes:
            raise broken(tag.start, f"numbers were expected, and an element of kind {tag.kind} found")
        return self._dtypes[tag.kind]


def plain_data(start: bytes, nbytes: int, order: ByteOrder) -> tuple[MatrixHeader, np.dtype[Any], int] | None:
    """What a real numeric matrix is, how its numbers are stored, and where they begin; None for any other.

    Args:
        start: the first bytes behind its tag.
        nbytes: how many there are in all.
        order: the byte order.
    """
    walker = Walker(start, order)
    header = walker.header(0, nbytes)
    tag = walker.tag(header.data, nbytes)
    stored = np.dtype(order + NUMBERS[tag.kind]) if tag.kind in NUMBERS else None
    is_numeric = header.class_name in DTYPES and header.kind != SPARSE and not header.is_complex
    if not is_numeric or stored is None or tag.nbytes != header.size * stored.itemsize:
        return None  # what is wrong with it is told when it is read
    return header, stored, tag.data


def _batches(places: Sequence[int], headers: Sequence[MatrixHeader]) -> Iterator[list[int]]:
    """Places of containers that hold few enough elements to be read together; those that hold many are alone."""
    batch: list[int] = []
    size = 0
    for place in places:
        if batch and size + headers[place].size > _TOGETHER:
            yield batch
            batch, size = [], 0
        batch.append(place)
        size += 1 + headers[place].size
    if batch:
        yield batch


def _value(container: _Container, values: Array) -> Any:
    """The value of a cell or struct in which nothing is open."""
    header, fields, count = container
    if header.kind == CELL:
        return values.copy().reshape(header.shape, order="F")
    if header.shape == (1, 1):
        return dict(zip(fields, values.tolist(), strict=True))
    found = values.tolist()
    elements = np.empty(header.size, object)
    if fields:
        elements[:] = [dict(zip(fields, found[i : i + len(fields)], strict=True)) for i in range(0, count, len(fields))]
    else:
        elements[:] = [{} for _ in range(header.size)]
    return StructArray(elements.reshape(header.shape, order="F"), fields)


def _raw(container: _Container, values: Array, is_open: Array) -> Any:
    """The raw form of any container."""
    header, fields, _ = container
    if header.kind == OPAQUE:
        return Marker(header.class_name, header.type_system, values[0])
    if header.kind == FUNCTION:
        return Function(values[0] if values.size else np.empty(header.shape, dtype=[]))
    values = values.copy()
    for place in np.flatnonzero(~is_open).tolist():
        values[place] = _find_wrapped(values[place])
    if header.kind == CELL:
        return values.reshape(header.shape, order="F")
    elements = np.empty(header.size, dtype=[(name, object) for name in fields])
    for number, name in enumerate(fields):
        elements[name] = values[number :: len(fields)]
    struct = elements.reshape(header.shape, order="F")
    return OldObject(header.class_name, struct) if header.kind == OBJECT else struct


def _find_wrapped(value: Any) -> Any:
    is_container = isinstance(value, dict) or (isinstance(value, np.ndarray) and value.dtype == object)
    return Finished(value) if is_container else value
