"""Opening an HDF5 file: by its bytes, or through the library where its layout is a newer one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ._bytes import FileBytes
from ._file import File
from ._header import NewerLayoutError
from ._item import HDF5

_Result = TypeVar("_Result")


class OpenedFile:
    """An HDF5 file that is opened for each use of it, for reading.

    Args:
        path: the file.
        base: where in it HDF5 begins.
    """

    def __init__(self, path: Path, base: int) -> None:
        self._path = path
        self._base = base
        self._is_newer = False

    def use(self, function: Callable[[HDF5], _Result]) -> _Result:
        """What a function gives for the opened file.

        Raises:
            TruncatedFileError: the file is damaged, or cut short.
        """
        if not self._is_newer:
            try:
                with self._path.open("rb", buffering=0) as file:
                    return function(File(FileBytes(file, self._base)))
            except NewerLayoutError:
                self._is_newer = True
        from ._library import LibraryFile  # h5py takes a quarter of a second

        with LibraryFile(self._path) as opened:
            return function(opened)
