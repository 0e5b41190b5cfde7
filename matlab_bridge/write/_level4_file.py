"""The arrays of a MAT-file of version 4: matrices one after the other, each with its numbers in plain bytes."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import cast, final

import numpy as np

from matlab_bridge._errors import UnwritableValueError
from matlab_bridge.matfile._header import Header
from matlab_bridge.matfile._level4 import Level4Matrix, level4_matrices

from ._array_file import ArrayFile, Place, Vector


@final
class Level4Copy(ArrayFile):
    """A MAT-file of version 4; the place of an array is its matrix.

    Args:
        path: the file.
        header: what its first bytes say.
    """

    def __init__(self, path: Path, header: Header) -> None:
        super().__init__(path)
        self._matrices = tuple(level4_matrices(path, header.byte_order))

    def arrays(self, sizes: Collection[int]) -> Iterator[tuple[Place, Vector]]:
        with self.path.open("rb") as file:
            for matrix in self._matrices:
                if matrix.kind == "double" and not matrix.is_complex and np.prod(matrix.shape) in sizes:
                    file.seek(matrix.offset)
                    # Every number of this version is a double for MATLAB, however narrowly it is stored.
                    yield matrix, np.frombuffer(file.read(matrix.nbytes), matrix.dtype).astype(np.float64)

    def write(self, target: Path, changes: Mapping[Place, Vector]) -> None:
        shutil.copyfile(self.path, target)
        with target.open("r+b") as copy:
            for matrix, values in cast(Mapping[Level4Matrix, Vector], changes).items():
                stored = values.astype(matrix.dtype)
                if not np.array_equal(stored, values, equal_nan=True):
                    raise UnwritableValueError(
                        f"The file stores {matrix.name!r} as {matrix.dtype.name}, which does not hold the new numbers "
                        f"exactly. In MATLAB, load it and save it again with '-v7'."
                    )
                copy.seek(matrix.offset)
                copy.write(stored.tobytes())
