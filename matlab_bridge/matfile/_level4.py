"""MAT-files of version 4: a run of matrices, each behind a header of 20 bytes.

The format is described in MATLAB's "MAT-File Format" (chapter "Level 4 MAT-File Format"). Every number in it
is a double for MATLAB, however narrowly it is stored.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse

from matlab_bridge._errors import LostObjectError, TruncatedFileError

from ._budget import Budget
from ._characters import decode_name, text
from ._header import ByteOrder, Header, level4_byte_order
from ._info import VariableInfo
from ._raw import Array, complex_array

_PRECISIONS = ("f8", "f4", "i4", "i2", "u2", "u1")
# A sparse matrix by columns takes memory for each, and a damaged file may state any number.
_MOST_COLUMNS = 2**27
# Of the start of a column, in the matrix and in what SciPy makes of it on the way.
_COLUMN_BYTES = 16
_KINDS: tuple[Literal["double", "char", "sparse"], ...] = ("double", "char", "sparse")


@dataclass(frozen=True, slots=True)
class Level4Matrix:
    """One variable: what its header says, and where in the file its numbers start."""

    name: str
    kind: Literal["double", "char", "sparse"]
    dtype: np.dtype[Any]
    shape: tuple[int, int]
    is_complex: bool
    offset: int

    @property
    def nbytes(self) -> int:
        """The bytes that its numbers take in the file."""
        return math.prod(self.shape) * self.dtype.itemsize * (2 if self.is_complex else 1)


class Level4File:
    """The variables of a v4 file, each read when it is asked for."""

    def __init__(self, path: Path, header: Header, budget: Budget) -> None:
        self._path = path
        self._budget = budget
        self._budget.earn(path.stat().st_size)
        self._matrices = {matrix.name: matrix for matrix in level4_matrices(path, header.byte_order)}
        self.variables = tuple(self._describe(matrix) for matrix in self._matrices.values())

    @property
    def subsystem(self) -> Array:
        """Version 4 is older than objects."""
        raise LostObjectError("version 4 has no objects")

    def read(self, name: str) -> Any:
        """Read a variable: a numeric or sparse matrix, or an array of characters."""
        matrix = self._matrices[name]
        stored = self._stored(matrix)
        if matrix.kind == "char":
            codes = stored.astype(np.uint16)
            narrow = codes.astype(np.uint8) if codes.max(initial=0) < 256 else codes  # bytes, however they are stored
            return text(narrow.ravel(order="F"), codes.shape, self._budget)
        return _sparse(stored, self._budget) if matrix.kind == "sparse" else stored

    def stored(self, name: str) -> None:
        """Nothing is read in parts: files of version 4 are small."""

    def read_ahead(self, names: Iterable[str]) -> Generator[str, None, None]:
        """Give the names one after the other; there is nothing to prepare."""
        return (name for name in names)

    def _stored(self, matrix: Level4Matrix) -> Array:
        with self._path.open("rb") as file:
            file.seek(matrix.offset)
            numbers = np.frombuffer(file.read(matrix.nbytes), matrix.dtype).astype(np.float64)
        if matrix.is_complex:
            real, imaginary = np.split(numbers, 2)
            numbers = complex_array(real, imaginary)
        return numbers.reshape(matrix.shape, order="F")

    def _describe(self, matrix: Level4Matrix) -> VariableInfo:
        if matrix.kind != "sparse":
            return VariableInfo(matrix.name, matrix.kind, matrix.shape, is_complex=matrix.is_complex)
        rows, columns = matrix.shape
        shape = [self._number(matrix, (column + 1) * rows - 1) for column in range(2)]
        return VariableInfo(matrix.name, "double", tuple(shape), is_complex=columns == 4, is_sparse=True)

    def _number(self, matrix: Level4Matrix, position: int) -> int:
        with self._path.open("rb") as file:
            file.seek(matrix.offset + position * matrix.dtype.itemsize)
            return int(np.frombuffer(file.read(matrix.dtype.itemsize), matrix.dtype)[0])


def level4_matrices(path: Path, order: ByteOrder) -> list[Level4Matrix]:
    """The variables of a file, in its order.

    Raises:
        TruncatedFileError: if the file ends, or breaks, before its contents do.
    """
    found = []
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        offset = 0
        while offset < size:
            file.seek(offset)
            start = file.read(20)
            if level4_byte_order(start) != order:
                raise TruncatedFileError(f"no variable begins at byte {offset} of {size}")
            kind, rows, columns, imaginary, name_length = struct.unpack(order + "5i", start)
            matrix = Level4Matrix(
                name=decode_name(file.read(name_length)),
                kind=_KINDS[kind % 10],
                dtype=np.dtype(order + _PRECISIONS[kind // 10 % 10]),
                shape=(rows, columns),
                is_complex=bool(imaginary),
                offset=offset + 20 + name_length,
            )
            offset = matrix.offset + matrix.nbytes
            if offset > size:
                raise TruncatedFileError(
                    f"the variable {matrix.name!r} ({rows}x{columns}) needs {offset - size} bytes "
                    f"more than the file's {size}"
                )
            if matrix.kind == "sparse" and (rows < 1 or columns not in (3, 4)):
                raise TruncatedFileError(f"{path} is damaged: the sparse variable {matrix.name!r} is {rows}x{columns}.")
            found.append(matrix)
    return found


def _sparse(triplets: Array, budget: Budget) -> scipy.sparse.csc_array[Any]:
    # One row (row, column, real[, imaginary]) a value, counted from 1; the last row holds the shape.
    if not np.all((triplets[:, :2] >= 0) & (triplets[:, :2] < _MOST_COLUMNS)):
        raise TruncatedFileError("the indices of a sparse matrix are no indices")
    row, column = (triplets[:, i].astype(np.int64) - 1 for i in range(2))
    values = triplets[:-1, 2]
    if triplets.shape[1] == 4:
        values = complex_array(values, triplets[:-1, 3])
    shape = (int(row[-1]) + 1, int(column[-1]) + 1)
    budget.spend(_COLUMN_BYTES * shape[1], "the columns of a sparse matrix")
    return scipy.sparse.csc_array((values, (row[:-1], column[:-1])), shape=shape)
