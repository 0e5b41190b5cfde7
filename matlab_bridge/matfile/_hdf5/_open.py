"""Opening an HDF5 file for each use of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from matlab_bridge.matfile._budget import Budget

from ._bytes import FileBytes
from ._file import File

_Result = TypeVar("_Result")


class OpenedFile:
    """An HDF5 file that is opened for each use of it, for reading.

    Args:
        path: the file.
        base: where in it HDF5 begins.
        budget: what its values may take; the bytes of the file earn it here.
    """

    def __init__(self, path: Path, base: int, budget: Budget) -> None:
        self._path = path
        self._base = base
        self._budget = budget
        self._inflated: set[int] = set()
        budget.earn(path.stat().st_size)

    @contextlib.contextmanager
    def opened(self) -> Iterator[File]:
        """The opened file, within the context.

        Raises:
            TruncatedFileError: the file is damaged, or cut short.
        """
        with self._path.open("rb", buffering=0) as file:
            yield File(FileBytes(file, self._base, self._budget, self._inflated))

    def use(self, function: Callable[[File], _Result]) -> _Result:
        """What a function gives for the opened file.

        Raises:
            TruncatedFileError: the file is damaged, or cut short.
        """
        with self.opened() as file:
            return function(file)
