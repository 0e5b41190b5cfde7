"""The arrays of a MAT-file of version 7.3 (HDF5): a dataset for each value of a cell, struct or object."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, final

import h5py

from ._array_file import ArrayFile, Place, Vector


@final
class Hdf5File(ArrayFile):
    """A MAT-file of version 7.3; the place of an array is the name of its dataset."""

    def arrays(self, sizes: Collection[int]) -> Iterator[tuple[Place, Vector]]:
        names: list[str] = []

        def note(name: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset) and node.dtype.kind == "f" and node.size in sizes:
                names.append(name)

        with h5py.File(self.path, "r") as file:
            file.visititems(note)
            for name in names:
                dataset = file[name]
                # HDF5 lists MATLAB's dimensions in reverse: row-major there is column-major here.
                yield name, dataset[()].astype(dataset.dtype.newbyteorder("=")).ravel()

    def write(self, target: Path, changes: Mapping[Place, Vector]) -> None:
        shutil.copyfile(self.path, target)
        if not changes:
            return
        with h5py.File(target, "r+") as file:
            for name, values in changes.items():
                dataset = file[name]
                dataset[...] = values.reshape(dataset.shape)
