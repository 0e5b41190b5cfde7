"""The arrays of a MAT-file of version 7.3 (HDF5): a dataset for each value of a cell, struct or object."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge._limited_process import problem_of
from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._damage import SYMPTOMS
from matlab_bridge.matfile._hdf5 import File, Item, OpenedFile
from matlab_bridge.matfile._level73 import USER_BLOCK

from ._array_file import ArrayFile, Place, Vector
from ._note import NOTE, Units

_CHILD = Path(__file__).with_name("_hdf5_child.py")
_SECONDS = 5.0
_BYTES_PER_SECOND = 1e7


@final
class Level73Arrays(ArrayFile):
    """A MAT-file of version 7.3; the place of an array is the name of its dataset."""

    def arrays(self, sizes: Collection[int]) -> Iterator[tuple[Place, Vector]]:
        with OpenedFile(self.path, USER_BLOCK, Budget()).opened() as file:
            for name, item in _datasets(file):
                if item.dtype is None or item.dtype.kind != "f" or item.size not in sizes:
                    continue
                try:
                    values = file.read(item)
                except SYMPTOMS:  # what cannot be read is none of the network's numbers
                    continue
                # HDF5 lists MATLAB's dimensions in reverse: row-major there is column-major here.
                yield name, values.astype(values.dtype.newbyteorder("="), copy=False).ravel()

    def write(self, target: Path, changes: Mapping[Place, Vector], note: Units | None = None) -> None:
        shutil.copyfile(self.path, target)
        if not changes and note is None:
            return
        with tempfile.TemporaryDirectory() as folder:
            numbers = Path(folder) / "numbers.npz"
            arrays: dict[str, Any] = {str(i): values for i, values in enumerate(changes.values())}
            if note is not None:
                arrays[NOTE] = note
            np.savez(numbers, names=np.array([str(name) for name in changes]), **arrays)
            _change(target, numbers)


def _datasets(file: File) -> Iterator[tuple[str, Item]]:
    """The names and headers of all datasets in this file, each once."""
    groups, met = [("", file.root)], {file.root.address}
    for prefix, group in groups:
        for name, address in file.members(group).items():
            if address in met:
                continue
            met.add(address)
            try:
                item = file.item(address)
            except SYMPTOMS:  # it is in another file, or damaged
                continue
            if item.is_group:
                groups.append((f"{prefix}/{name}", item))
            else:
                yield f"{prefix}/{name}", item


def _change(target: Path, numbers: Path) -> None:
    """Put numbers into a file by the HDF5 library, in a process that may be ended by it."""
    nbytes = target.stat().st_size + numbers.stat().st_size
    problem = problem_of(_CHILD, target, numbers, nbytes=4 * nbytes, seconds=_SECONDS + nbytes / _BYTES_PER_SECOND)
    if problem is not None:
        raise TruncatedFileError(
            f"The HDF5 library cannot write into a copy of the file, which may be damaged: {problem}. "
            "Save the file again in MATLAB."
        )
