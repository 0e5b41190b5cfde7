"""The arrays of a MAT-file of version 4: matrices one after the other, each with its numbers in plain bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import final

import numpy as np

from matlab_bridge._errors import UnwritableValueError
from matlab_bridge.matfile._header import Header
from matlab_bridge.matfile._level4 import Level4Matrix, level4_matrices

from ._array_file import ArrayFile, Place, Vector
from ._note import NOTE, Units, level4_note


@final
class Level4Arrays(ArrayFile):
    """A MAT-file of version 4; the place of an array is its matrix.

    Args:
        path: the file.
        header: what its first bytes say.
    """

    def __init__(self, path: Path, header: Header) -> None:
        super().__init__(path)
        self._order = header.byte_order
        self._matrices = tuple(level4_matrices(path, header.byte_order))

    def arrays(self, sizes: Collection[int]) -> Iterator[tuple[Place, Vector]]:
        with self.path.open("rb") as file:
            for matrix in self._matrices:
                if matrix.kind == "double" and not matrix.is_complex and np.prod(matrix.shape) in sizes:
                    file.seek(matrix.offset)
                    # Every number of this version is a double for MATLAB, however narrowly it is stored.
                    yield matrix, np.frombuffer(file.read(matrix.nbytes), matrix.dtype).astype(np.float64)

    def write(self, target: Path, changes: Mapping[Place, Vector], note: Units | None = None) -> None:
        with self.path.open("rb") as source, target.open("wb") as copy:
            for matrix in self._matrices:
                header = source.read(matrix.offset - source.tell())
                numbers = source.read(matrix.nbytes)
                if matrix in changes:
                    numbers = _stored(matrix, changes[matrix])
                if note is None or matrix.name != NOTE:
                    copy.write(header + numbers)
            if note is not None:
                copy.write(level4_note(note, self._order))


def _stored(matrix: Level4Matrix, values: Vector) -> bytes:
    stored = values.astype(matrix.dtype)
    if not np.array_equal(stored, values, equal_nan=True):
        raise UnwritableValueError(
            f"The file stores {matrix.name!r} as {matrix.dtype.name}, which does not hold the new numbers "
            f"exactly. In MATLAB, load it and save it again with '-v7'."
        )
    return stored.tobytes()
