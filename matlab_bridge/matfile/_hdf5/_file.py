"""An HDF5 file: its beginning, and what can be asked of it."""

from __future__ import annotations

import math
import struct
from functools import cached_property
from typing import Any

import numpy as np

from matlab_bridge._errors import ExternalDataError, TruncatedFileError
from matlab_bridge.matfile._inflate import MOST_INFLATION, THREADS
from matlab_bridge.matfile._lazy import Wanted
from matlab_bridge.matfile._raw import Array

from ._bytes import FileBytes
from ._checksum import check_sum
from ._data import Chunks, read_block, read_whole
from ._filters import DEFLATE, KNOWN
from ._header import read_header
from ._heap import texts_at
from ._index import Chunk, chunks_of
from ._item import ELSEWHERE, NOWHERE, Item, Link, Texts
from ._links import members_of
from ._types import HEAP_PLACE

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_START = struct.Struct("<8sB4xBB9x")
_ADDRESSES = struct.Struct("<4Q8xQ")
_NEWER_START = struct.Struct("<8sBBBB4QI")
_SMALL_CHUNK = 2**24
# Links to links, as the library follows them.
_MOST_HOPS = 16


class File:
    """The datasets and groups of an open file; what is read spends its budget.

    Args:
        file: its bytes.

    Attributes:
        budget: of the file.

    Raises:
        TruncatedFileError: it is damaged, or cut short.
    """

    def __init__(self, file: FileBytes) -> None:
        self._file = file
        self.budget = file.budget
        start = file.few(0, _START.size)
        signature, version, *sizes = _START.unpack(start)
        if signature != _SIGNATURE:
            raise TruncatedFileError(f"no HDF5 data begins at byte {file.base}")
        if version > 1:
            start = file.few(0, _NEWER_START.size)
            _, _, *sizes, _, _, _, end, root, _ = _NEWER_START.unpack(start)
            check_sum(start, "the beginning of the HDF5 data")
        else:
            at = _START.size + (4 if version else 0)
            _, _, end, _, root = _ADDRESSES.unpack(file.few(at, _ADDRESSES.size))
        if sizes != [8, 8]:
            raise TruncatedFileError(f"its addresses and sizes have {sizes} bytes instead of 8")
        if end > file.nbytes:
            raise TruncatedFileError(f"the file has {file.nbytes} bytes of {end}")
        self._root = root

    @cached_property
    def root(self) -> Item:
        """The group of all variables."""
        return self.item(self._root)

    def item(self, address: int) -> Item:
        """The dataset or group at an address.

        Raises:
            TruncatedFileError: there is none, or its header is damaged.
            ExternalDataError: it is in another file, or its data is.
        """
        if address == ELSEWHERE:
            raise ExternalDataError("it is a link to another file, which is never opened")
        if address == NOWHERE:
            raise TruncatedFileError("it is a link to what is not there")
        return read_header(self._file, address)

    def members(self, group: Item) -> dict[str, int]:
        """The addresses of the members of a group by name, in the order of the file's index.

        That of a link which leads out of the file, or nowhere, is one that `item` refuses.
        """
        return {name: self._target(group, link) for name, link in members_of(self._file, group).items()}

    def _target(self, group: Item, link: Link, hops: int = 0) -> int:
        """The address that a link in a group leads to."""
        if isinstance(link, int):
            return link
        if hops == _MOST_HOPS:
            return NOWHERE
        place = self.root if link.startswith("/") else group
        address = place.address
        for name in link.split("/"):
            if name in ("", "."):
                continue
            place = self.item(address)
            address = self._target(place, members_of(self._file, place).get(name, NOWHERE), hops + 1)
            if address < 0:
                break
        return address

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
        values = read_whole(self._file, item, dtype, chunks)
        work = values.nbytes
        if chunks:
            # Only now is it known that what was deflated is as much as it was said to be. Again it takes time alone.
            size, fresh = self._chunk_nbytes(item), self._fresh(chunks)
            self._file.inflated.update(chunk.address for chunk in fresh)
            self.budget.earn(max(0, len(fresh) * size - sum(chunk.nbytes for chunk in fresh)))
            work = max(work, (len(chunks) - len(fresh)) * size)
        self.budget.spend(work, "the elements of an array")
        return values

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
        # The bytes of the file have earned the budget already; what is deflated in it will once it was inflated.
        nbytes, present = item.full_nbytes, 0
        if item.chunks is not None:
            if (chunk := self._chunk_nbytes(item)) > max(_SMALL_CHUNK, 4 * nbytes):
                raise TruncatedFileError(f"an array of {nbytes} bytes has chunks of {chunk} bytes")
            chunks = self._chunks_of(item)
            fresh = self._fresh(chunks)
            # What fills the rest takes memory before anything is inflated, but for zeros.
            if DEFLATE in item.filters and (len(chunks) * chunk >= nbytes or not any(item.fill)):
                present = min(len(fresh) * chunk, MOST_INFLATION * sum(part.nbytes for part in fresh))
            if len(fresh) < len(chunks):  # the others earn nothing, and take time and some memory again
                nbytes = max(nbytes, (len(chunks) - len(fresh)) * chunk) + 2 * THREADS * chunk
        if nbytes - present > self.budget.left:
            raise TruncatedFileError(f"an array states a size of {nbytes} bytes, which the file cannot hold")

    def _fresh(self, chunks: Chunks) -> list[Chunk]:
        """The chunks that were not inflated before, for this dataset or another."""
        return [chunk for chunk in chunks.values() if chunk.address not in self._file.inflated]

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

    def _chunk_nbytes(self, item: Item) -> int:
        return math.prod(item.chunks or ()) * (item.dtype.itemsize if item.dtype else 1)

    def _chunks_of(self, item: Item) -> Chunks:
        if item.chunks is None:
            return {}
        if item.index is None:
            item.index = chunks_of(self._file, item)
        return item.index
