"""An HDF5 file of the layout that MATLAB writes."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._inflate import MOST_INFLATION
from matlab_bridge.matfile._lazy import Wanted
from matlab_bridge.matfile._raw import Array

from ._bytes import FileBytes
from ._data import Chunks, read_block, read_whole
from ._filters import DEFLATE, KNOWN
from ._header import NewerLayoutError, read_header
from ._heap import texts_at
from ._index import chunks_of
from ._item import Item, Texts
from ._links import members_of
from ._types import HEAP_PLACE

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_START = struct.Struct("<8sB4xBB9x")
_ADDRESSES = struct.Struct("<4Q8xQ")
# Data beyond what the bytes in the file can hold: elements that were never written, in all datasets together.
_MOST_UNWRITTEN = 2**26
_SMALL_CHUNK = 2**24


class File:
    """The datasets and groups of an open file.

    Args:
        file: its bytes.

    Raises:
        NewerLayoutError: the file is of a newer layout.
    """

    def __init__(self, file: FileBytes) -> None:
        self._file = file
        self.nbytes = file.nbytes
        self._unwritten = _MOST_UNWRITTEN
        signature, version, of_addresses, of_lengths = _START.unpack(file.view(0, _START.size))
        if signature != _SIGNATURE:
            raise TruncatedFileError(f"no HDF5 data begins at byte {file.base}")
        if version > 1:
            raise NewerLayoutError
        if (of_addresses, of_lengths) != (8, 8):
            raise TruncatedFileError(f"its addresses have {of_addresses} bytes instead of 8")
        at = _START.size + (4 if version else 0)
        _, _, end, _, root = _ADDRESSES.unpack(file.view(at, _ADDRESSES.size))
        if end > file.nbytes:
            raise TruncatedFileError(f"the file has {file.nbytes} bytes of {end}")
        self.root = self.item(root)

    def item(self, address: int) -> Item:
        """The dataset or group at an address."""
        return read_header(self._file, address)

    def members(self, group: Item) -> dict[str, int]:
        """The addresses of the members of a group by name."""
        if group.table is not None:
            return members_of(self._file, group.table)
        return dict(group.links or {})

    def texts(self, stored: Any) -> list[str]:
        """Texts of variable length, from the value of an attribute."""
        if not isinstance(stored, Texts):
            raise TruncatedFileError(f"its names are stated as {stored!r}")
        places = stored.places
        if places is None:
            item = self.item(stored.reference)
            if item.dtype is not HEAP_PLACE:
                raise TruncatedFileError("its names are no texts")
            places = self.read(item)
        return texts_at(self._file, places)

    def read(self, item: Item) -> Array:
        """All elements of a dataset, in the order of HDF5."""
        dtype, chunks = self._checked(item)
        return read_whole(self._file, item, dtype, chunks)

    def part(self, item: Item, axes: tuple[Wanted, ...]) -> Array:
        """The block of some positions along every axis, in the order of HDF5."""
        dtype, chunks = self._checked(item)
        return read_block(self._file, item, dtype, chunks, axes)

    def stored_nbytes(self, item: Item) -> int:
        """How many bytes of the file the data of a dataset takes."""
        if item.chunks is None:
            return item.nbytes if item.data >= 0 or item.inline else 0
        return sum(chunk.nbytes for chunk in self._chunks_of(item).values())

    def check_size(self, item: Item) -> None:
        """Refuse a dataset that states a size which its bytes in the file cannot hold."""
        ratio = MOST_INFLATION if DEFLATE in item.filters else 1
        nbytes = item.full_nbytes
        self._unwritten -= max(0, nbytes - ratio * self.stored_nbytes(item))
        if self._unwritten < 0:
            raise TruncatedFileError(f"an array states a size of {nbytes} bytes, which the file cannot hold")
        chunk = math.prod(item.chunks or ()) * (item.dtype.itemsize if item.dtype else 1)
        if chunk > max(_SMALL_CHUNK, 4 * nbytes):
            raise TruncatedFileError(f"an array of {nbytes} bytes has chunks of {chunk} bytes")

    def _checked(self, item: Item) -> tuple[np.dtype[Any], Chunks]:
        if item.is_group:
            raise TruncatedFileError("a group was found where a dataset was expected")
        if item.dtype is None:
            raise TruncatedFileError("an array is of a type that MATLAB does not write")
        if not KNOWN.issuperset(item.filters) or len(set(item.filters)) != len(item.filters):
            raise TruncatedFileError(
                f"an array went through the filters {item.filters}; known are 1 (deflate), 2 (shuffle), 3 (sums)"
            )
        self.check_size(item)
        return item.dtype, self._chunks_of(item)

    def _chunks_of(self, item: Item) -> Chunks:
        if item.chunks is None:
            return {}
        if item.index is None:
            item.index = chunks_of(self._file, item)
        return item.index
