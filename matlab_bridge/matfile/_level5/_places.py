"""Where the numbers stand in a stream of the Level 5 format, so that others can be put in their place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from matlab_bridge.matfile._header import ByteOrder
from matlab_bridge.matfile._raw import DTYPES, Array

from ._format import CELL, FUNCTION, MATRIX, NUMBERS, NUMERIC, OBJECT, OPAQUE, STRUCT
from ._walk import MOST_DEPTH, Tag, Walker, broken

STORED_AS = {kind: np.dtype(code) for kind, code in NUMBERS.items()}
"""The type of the numbers in an element of each kind."""

_CONTAINERS = frozenset({CELL, STRUCT, OBJECT, FUNCTION, OPAQUE})
_SUBSYSTEM_HEADER = 8  # bytes: version, byte order, padding


@dataclass(frozen=True, slots=True)
class NumericArray:
    """A real numeric array of a stream: what it is, and which bytes hold it.

    Attributes:
        name: the variable's name; empty for an array inside another value.
        dtype: the type of its MATLAB class.
        shape: its dimensions in MATLAB.
        storage: the type of the stored numbers. MATLAB stores whole numbers of every class in the smallest
            integer type that holds them.
        tag: the element that holds the numbers.
        counters: the offsets of the 32-bit integers that count this element's bytes: the sizes of all
            elements around it and, in the subsystem, the length of the array that carries the subsystem.
        order: the byte order of the stream.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    storage: np.dtype[Any]
    tag: Tag
    counters: tuple[int, ...]
    order: ByteOrder

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    def values(self, content: bytes) -> Array:
        """Its numbers in MATLAB's column-major order."""
        stored = np.frombuffer(content, self.storage.newbyteorder(self.order), self.size, self.tag.data)
        return stored.astype(self.dtype)


def numeric_arrays(content: bytes, order: ByteOrder, *, subsystem: bool = False) -> Iterator[NumericArray]:
    """Walk a stream, and give every real numeric array in it, however deep, in the order of the bytes.

    Args:
        content: the elements, inflated, without the header of a file.
        order: the byte order, `"<"` or `">"`.
        subsystem: whether the content is the element that carries a file's subsystem: an array of bytes that
            are a stream of their own.

    Raises:
        TruncatedFileError: the content ends inside an element, or its sizes contradict each other.
    """
    walker = Walker(content, order)
    for tag in walker.tags(0, len(content)):
        if tag.kind == MATRIX:
            yield from _of_subsystem(walker, tag) if subsystem else _of_matrix(walker, tag, ())


def _of_matrix(walker: Walker, matrix: Tag, counters: tuple[int, ...]) -> Iterator[NumericArray]:
    if matrix.nbytes == 0:  # an empty value of a cell or a field, in its shortest form
        return
    if len(counters) > MOST_DEPTH:
        raise broken(matrix.start, f"values are nested more than {MOST_DEPTH} deep")
    counters = (*counters, matrix.start + 4)
    header = walker.header(matrix.data, matrix.data + matrix.nbytes)
    if header.kind in _CONTAINERS:
        # Beside the values stand only the names of fields, which are no matrices.
        for part in walker.tags(header.data, header.stop):
            if part.kind == MATRIX:
                yield from _of_matrix(walker, part, counters)
    elif header.kind in NUMERIC:
        numbers = walker.tag(header.data, header.stop)
        storage = STORED_AS.get(numbers.kind)
        if storage is None or header.size * storage.itemsize != numbers.nbytes:
            raise broken(
                numbers.start, f"{header.size} numbers are said to be {numbers.nbytes} bytes of kind {numbers.kind}"
            )
        if not header.is_complex:
            dtype = DTYPES[NUMERIC[header.kind]]
            yield NumericArray(header.name, dtype, header.shape, storage, numbers, counters, walker.order)


def _of_subsystem(walker: Walker, carrier: Tag) -> Iterator[NumericArray]:
    parts = tuple(walker.tags(carrier.data, carrier.stop))
    header = walker.header(carrier.data, carrier.data + carrier.nbytes)
    if len(parts) != 4 or NUMERIC.get(header.kind) != "uint8":
        raise broken(carrier.start, "the contents of the objects should be an array of bytes")
    _, dimensions, _, stream = parts
    if stream.nbytes < _SUBSYSTEM_HEADER or stream.nbytes not in header.shape:
        raise broken(stream.start, f"{stream.nbytes} bytes cannot be an array of shape {header.shape}")
    length = dimensions.data + 4 * header.shape.index(stream.nbytes)
    counters = (carrier.start + 4, length, stream.start + 4)
    for tag in walker.tags(stream.data + _SUBSYSTEM_HEADER, stream.data + stream.nbytes):
        if tag.kind == MATRIX:
            yield from _of_matrix(walker, tag, counters)
