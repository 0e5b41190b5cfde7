"""A file of a newer layout of HDF5, through the library: its structures have checksums, which the library checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._characters import decoded
from matlab_bridge.matfile._lazy import Wanted, stretches
from matlab_bridge.matfile._raw import Array

from ._item import REFERENCE, Item

_MOST_INFLATION = 1032
_MOST_UNWRITTEN = 2**26


class LibraryFile:
    """The datasets and groups of a file, read by h5py; what they offer is that of `File`.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = h5py.File(path, "r")
        self.nbytes = path.stat().st_size
        self._objects: dict[int, Any] = {}
        self.root = self.item(self._known(self._file["/"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def item(self, address: int) -> Item:
        """The dataset or group at an address, which a group or a dataset of references has told."""
        found = self._found(address)
        item = Item(address, attributes={n: value for n, value in found.attrs.items() if n.startswith("MATLAB_")})
        if isinstance(found, h5py.Group):
            item.links = {}
            return item
        item.shape, item.dtype, item.chunks = found.shape or (), found.dtype, found.chunks
        item.is_references = h5py.check_ref_dtype(found.dtype) is not None
        return item

    def members(self, group: Item) -> dict[str, int]:
        """The addresses of the members of a group by name."""
        found = self._found(group.address)
        return {name: self._known(found[name]) for name in found}

    def texts(self, stored: Any) -> list[str]:
        """Texts of variable length, from the value of an attribute."""
        if isinstance(stored, h5py.Reference):
            stored = self._file[stored][()]
        return [decoded(b"".join(name)) for name in stored]

    def read(self, item: Item) -> Array:
        """All elements of a dataset, in the order of HDF5; references as addresses."""
        found = self._dataset(item)
        values: Array = found[()]
        return self._addresses(values) if item.is_references else values

    def part(self, item: Item, axes: tuple[Wanted, ...]) -> Array:
        """The block of some positions along every axis, in the order of HDF5."""
        return stretches(self._dataset(item), axes)

    def stored_nbytes(self, item: Item) -> int:
        """How many bytes of the file the data of a dataset takes."""
        nbytes: int = 0 if item.is_group else self._found(item.address).id.get_storage_size()
        return nbytes

    def check_size(self, item: Item) -> None:
        """Refuse a dataset that states a size which its bytes in the file cannot hold."""
        if item.full_nbytes > max(_MOST_UNWRITTEN, _MOST_INFLATION * self.stored_nbytes(item)):
            raise TruncatedFileError(f"an array states a size of {item.full_nbytes} bytes, which the file cannot hold")

    def _dataset(self, item: Item) -> Any:
        if item.is_group:
            raise TruncatedFileError("a group was found where a dataset was expected")
        self.check_size(item)
        return self._found(item.address)

    def _found(self, address: int) -> Any:
        if address not in self._objects:  # told when the file was opened the last time: it is a variable
            self.members(self.root)
        if address not in self._objects:
            raise TruncatedFileError(f"no dataset or group is known at address {address}")
        return self._objects[address]

    def _addresses(self, references: Array) -> Array:
        addresses = np.zeros(references.shape, REFERENCE)
        for index in np.ndindex(references.shape):
            addresses[index] = self._known(self._file[references[index]])
        return addresses

    def _known(self, found: Any) -> int:
        address: int = h5py.h5o.get_info(found.id).addr
        self._objects.setdefault(address, found)
        return address
