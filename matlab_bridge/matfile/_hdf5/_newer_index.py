"""Where the chunks of a dataset of a newer layout are: five ways to keep their addresses (section VII).

Arrays of addresses are by the number of the chunk: it counts along the grid of the largest array that the dataset may
grow to, the last axis first.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator

import numpy as np

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._raw import Array

from ._btree2 import records_of
from ._bytes import FileBytes
from ._checksum import SUM_BYTES
from ._item import UNDEFINED, ChunkIndex, Item

_FIXED_HEADER = struct.Struct("<4sBBBBQQ4x")
_EXTENSIBLE_HEADER = struct.Struct("<4s8B48xQ4x")
_BLOCK = struct.Struct("<4sBBQ")
_PLAIN_RECORDS, _FILTERED_RECORDS = 10, 11
_MOST_BITS = 64
_MASK_BYTES = 4
_CHUNK_COST = 256  # what it takes in memory to know where a chunk is

Part = tuple[int, bytes]
"""The number of an element, and the bytes of some from there on."""

Entries = tuple[Array, Array, Array, Array]
"""Of every chunk its place in the grid, its address, its size in the file, and its mask of left-out filters."""


def newer_chunks(file: FileBytes, item: Item, scheme: ChunkIndex, nbytes: int) -> Entries:
    """The chunks that were written.

    Args:
        file: its bytes.
        item: a dataset in chunks that has an index.
        scheme: its way to keep their addresses.
        nbytes: of a chunk before filters.

    Raises:
        TruncatedFileError: the index is damaged.
    """
    if scheme.kind == ChunkIndex.SINGLE:
        size = scheme.nbytes or nbytes
        start = np.zeros((1, len(item.shape)), np.uint64)
        address, sizes, masks = (np.array([n], np.uint64) for n in (item.data, size, scheme.left_out))
        return start, address, sizes, masks
    if scheme.kind == ChunkIndex.IMPLICIT:
        return _implicit(file, item, nbytes)
    if scheme.kind == ChunkIndex.FIXED_ARRAY:
        return _fixed_array(file, item, nbytes)
    if scheme.kind == ChunkIndex.EXTENSIBLE_ARRAY:
        return _extensible_array(file, item, nbytes)
    if scheme.kind != ChunkIndex.B_TREE:
        raise TruncatedFileError(f"the chunks of a dataset are found in an unknown way ({scheme.kind})")
    kind, records = records_of(file, item.data, (_PLAIN_RECORDS, _FILTERED_RECORDS))
    spend_chunks(file, len(records))
    width, of_place = len(records[0]) if records else 0, 8 * len(item.shape)
    if records and width < of_place + 8:
        raise TruncatedFileError("an index of chunks has entries that are too small")
    found = np.frombuffer(b"".join(records), np.uint8).reshape(len(records), max(width, of_place))
    entries, places = np.hsplit(found, [found.shape[1] - of_place])
    return np.ascontiguousarray(places).view("<u8"), *_parse(entries, nbytes, is_filtered=kind == _FILTERED_RECORDS)


def spend_chunks(file: FileBytes, count: int) -> None:
    """Spend the budget of the file for some chunks."""
    file.budget.spend(_CHUNK_COST * count, "the chunks of an array")


def _implicit(file: FileBytes, item: Item, nbytes: int) -> Entries:
    """All chunks, one after the other."""
    grid = _grid(item)
    count = math.prod(grid)
    if file.base + item.data + count * nbytes > file.nbytes:
        raise TruncatedFileError("the file ends within a chunk")
    spend_chunks(file, count)
    numbers = np.arange(count, dtype=np.uint64)
    addresses = np.uint64(item.data) + np.uint64(nbytes) * numbers
    return _places(numbers, grid), addresses, np.full(count, nbytes, np.uint64), np.zeros(count, np.uint64)


def _fixed_array(file: FileBytes, item: Item, nbytes: int) -> Entries:
    header = file.structure(item.data, _FIXED_HEADER.size)
    signature, version, is_filtered, size, page_bits, count, address = _FIXED_HEADER.unpack(header)
    grid = _grid(item)
    if signature != b"FAHD" or version != 0 or count > math.prod(grid):
        raise TruncatedFileError(f"no index of chunks begins at address {item.data}")
    file.check(item.data, header, "an index of chunks")
    parts: Iterable[Part] = ()
    if address != UNDEFINED:
        array = _Array(file, size, page_bits)
        parts = array.block(address, b"FADB", -(-array.pages(count) // 8), count)
    numbers, entries = _gather(file, parts, size)
    return _places(numbers, grid), *_parse(entries, nbytes, is_filtered=bool(is_filtered))


def _extensible_array(file: FileBytes, item: Item, nbytes: int) -> Entries:
    """An array that grows along one axis, which is the first one of its grid."""
    header = file.structure(item.data, _EXTENSIBLE_HEADER.size)
    signature, version, is_filtered, size, *sizes, page_bits, index = _EXTENSIBLE_HEADER.unpack(header)
    bits, _, least, pointers = sizes
    growing = [axis for axis, limit in enumerate(item.limits) if limit == UNDEFINED]
    if signature != b"EAHD" or version != 0 or not 0 < bits <= _MOST_BITS or not least or not pointers or not growing:
        raise TruncatedFileError(f"no index of chunks begins at address {item.data}")
    file.check(item.data, header, "an index of chunks")
    axes = growing[:1] + [axis for axis in range(len(item.shape)) if axis != growing[0]]
    parts = () if index == UNDEFINED else _Array(file, size, page_bits).blocks(index, *sizes)
    numbers, entries = _gather(file, parts, size)
    grid = _grid(item)
    places = _places(numbers, [grid[axis] for axis in axes])
    return places[:, np.argsort(axes)], *_parse(entries, nbytes, is_filtered=bool(is_filtered))


class _Array:
    """Blocks of elements in a file; large ones are divided into pages.

    Args:
        file: its bytes.
        size: of an element.
        page_bits: of the number of elements in a page.
    """

    def __init__(self, file: FileBytes, size: int, page_bits: int) -> None:
        self._file = file
        self._size = size
        self._page = 1 << page_bits

    def pages(self, count: int) -> int:
        """How many pages a block of so many elements has; 0 if it is not divided."""
        return -(-count // self._page) if count > self._page else 0

    def block(
        self, address: int, signature: bytes, before: int, count: int, written: tuple[bytes, int] | None = None
    ) -> Iterator[Part]:
        """The elements of a block.

        Args:
            address: of the block.
            signature: that it begins with.
            before: how many bytes are before its elements: on the pages that were written, or other things.
            count: how many elements there are.
            written: bits on pages that were written, and the number of the first one; none where they are in `before`.
        """
        if not self.pages(count):
            yield 0, self._body(address, signature, before + count * self._size)[before:]
            return
        bits, first = written or (self._body(address, signature, before), 0)
        place = address + _BLOCK.size + before + SUM_BYTES
        for page in range(self.pages(count)):
            nbytes = min(self._page, count - page * self._page) * self._size + SUM_BYTES
            if bits[(first + page) // 8] & 0x80 >> (first + page) % 8:
                data = self._file.structure(place, nbytes)
                self._file.check(place, data, "an index of chunks")
                yield page * self._page, data[:-SUM_BYTES]
            place += nbytes

    def blocks(self, address: int, bits: int, few: int, least: int, pointers: int) -> Iterator[Part]:
        """The elements of an array of many blocks.

        Args:
            address: of the block that it begins with.
            bits: of the number of the last element there may be.
            few: how many elements are in that first block.
            least: how many are in the smallest block of elements.
            pointers: how many blocks the smallest block of blocks has.
        """
        levels = 1 + bits - (least.bit_length() - 1)
        above = min(2 * (pointers.bit_length() - 1), levels)  # their blocks are listed in the first one
        count = 2 * (pointers - 1) + levels - above
        body = self._body(address, b"EAIB", few * self._size + 8 * count)
        yield 0, body[: few * self._size]
        addresses = iter(struct.unpack(f"<{count}Q", body[few * self._size :]))
        before, first = -(-bits // 8), few
        # The blocks of a level are as many as those of the level before, or twice that; and so is their size.
        for level in range(levels):
            count, length = 1 << level // 2, least << (level + 1) // 2
            pages, written = self.pages(length), b""
            if level < above:
                places = [next(addresses, UNDEFINED) for _ in range(count)]
            elif (place := next(addresses, UNDEFINED)) != UNDEFINED:
                start = before + count * -(-pages // 8)
                body = self._body(place, b"EASB", start + 8 * count)
                written, places = body[before:start], [*struct.unpack(f"<{count}Q", body[start:])]
            else:
                places = []
            for i, place in enumerate(places):
                if place != UNDEFINED:
                    block = self.block(place, b"EADB", before, length, (written, i * pages))
                    yield from ((first + i * length + number, part) for number, part in block)
            first += count * length

    def _body(self, address: int, signature: bytes, nbytes: int) -> bytes:
        """What is between the head of a block and its sum, which is checked."""
        data = self._file.structure(address, _BLOCK.size + nbytes + SUM_BYTES)
        if data[:5] != signature + b"\x00":
            raise TruncatedFileError(f"no block of an index of chunks begins at address {address}")
        self._file.check(address, data, "an index of chunks")
        return data[_BLOCK.size : -SUM_BYTES]


def _gather(file: FileBytes, parts: Iterable[Part], size: int) -> tuple[Array, Array]:
    """The numbers of the chunks that have an address, and their entries as rows of bytes."""
    numbers, rows = [np.empty(0, np.uint64)], [np.empty((0, size), np.uint8)]
    for first, part in parts:
        entries = np.frombuffer(part, np.uint8).reshape(-1, size)
        there = np.flatnonzero((entries[:, :8] != 0xFF).any(axis=1))
        numbers.append(np.uint64(first) + there.astype(np.uint64))
        rows.append(entries[there])
        spend_chunks(file, there.size)
    return np.concatenate(numbers), np.concatenate(rows)


def _parse(entries: Array, nbytes: int, *, is_filtered: bool) -> tuple[Array, Array, Array]:
    """Addresses, sizes and masks."""
    count, width = entries.shape
    if not count:
        return (np.empty(0, np.uint64),) * 3
    addresses = np.ascontiguousarray(entries[:, :8]).view("<u8").reshape(count)
    if not is_filtered:
        return addresses, np.full(count, nbytes, np.uint64), np.zeros(count, np.uint64)
    if not 8 < width - _MASK_BYTES <= 16:
        raise TruncatedFileError(f"an index of chunks has entries of {width} bytes")
    sizes = np.zeros((count, 8), np.uint8)
    sizes[:, : width - _MASK_BYTES - 8] = entries[:, 8 : width - _MASK_BYTES]
    masks = np.ascontiguousarray(entries[:, width - _MASK_BYTES :]).view("<u4").reshape(count)
    return addresses, sizes.view("<u8").reshape(count), masks.astype(np.uint64)


def _grid(item: Item) -> list[int]:
    """How many chunks there may be along each axis."""
    limits = (size if limit == UNDEFINED else limit for size, limit in zip(item.shape, item.limits, strict=True))
    return [-(-limit // step) for limit, step in zip(limits, item.chunks or (), strict=True)]


def _places(numbers: Array, grid: list[int]) -> Array:
    """The places of chunks in a grid, whose first axis has no end."""
    places = np.zeros((numbers.size, len(grid)), np.uint64)
    for axis in range(len(grid) - 1, 0, -1):
        numbers, places[:, axis] = np.divmod(numbers, np.uint64(max(grid[axis], 1)))
    if grid:
        places[:, 0] = numbers
    return places
