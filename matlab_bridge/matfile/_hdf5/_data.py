"""The numbers of a dataset, whole or in part; chunks are read and inflated side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._inflate import THREADS
from matlab_bridge.matfile._lazy import Wanted, stretches
from matlab_bridge.matfile._raw import Array

from ._bytes import FileBytes
from ._filters import unfilter
from ._index import Chunk
from ._item import Item

_AHEAD = 256 * THREADS
_SMALL = 2**15

Chunks = dict[tuple[int, ...], Chunk]


def read_whole(file: FileBytes, item: Item, dtype: np.dtype[Any], chunks: Chunks) -> Array:
    """All elements of a dataset, as an array of its own in the machine's byte order if it was in chunks.

    Args:
        file: its bytes.
        item: the dataset, its size checked.
        dtype: of its elements.
        chunks: those that were written.
    """
    if item.chunks is not None:
        return _from_chunks(file, item, dtype.newbyteorder("="), chunks)
    if item.inline is None and item.data < 0:
        return _fill(item, dtype)
    nbytes = item.size * dtype.itemsize
    if item.nbytes != nbytes or (item.inline is not None and len(item.inline) != nbytes):
        raise TruncatedFileError(f"an array of {nbytes} bytes is stored in {item.nbytes}")
    if item.inline is not None:
        return np.frombuffer(item.inline, dtype).reshape(item.shape).copy()
    if nbytes <= _SMALL:
        return np.frombuffer(file.few(item.data, nbytes), dtype).reshape(item.shape).copy()
    target = np.empty(item.shape, dtype)
    file.array_into(target, item.data)
    return target


def read_block(file: FileBytes, item: Item, dtype: np.dtype[Any], chunks: Chunks, axes: tuple[Wanted, ...]) -> Array:
    """The block of some positions along every axis; of the chunks only those that hold any are read.

    Args:
        file: its bytes.
        item: the dataset, its size checked.
        dtype: of its elements.
        chunks: those that were written.
        axes: the positions, in the order of HDF5.
    """
    if item.chunks is not None:
        return _part_of_chunks(file, item, dtype.newbyteorder("="), chunks, axes)
    if item.inline is not None or item.data < 0:
        return stretches(read_whole(file, item, dtype, chunks), axes)
    if item.nbytes != item.size * dtype.itemsize or file.base + item.data + item.nbytes > file.nbytes:
        raise TruncatedFileError(f"an array of {item.size * dtype.itemsize} bytes is stored in {item.nbytes}")
    return np.asarray(stretches(np.memmap(file.file, dtype, "r", file.base + item.data, item.shape), axes))


def _fill(item: Item, dtype: np.dtype[Any], shape: tuple[int, ...] | None = None) -> Array:
    """An array of what stands for elements that were never written."""
    shape = item.shape if shape is None else shape
    if len(item.fill) != dtype.itemsize or not any(item.fill):
        return np.zeros(shape, dtype.newbyteorder("="))
    stored = item.dtype or dtype
    return np.full(shape, np.frombuffer(item.fill, stored)[0], dtype.newbyteorder("="))


def _from_chunks(file: FileBytes, item: Item, dtype: np.dtype[Any], chunks: Chunks) -> Array:
    steps = item.chunks or ()
    whole = math.prod(-(-length // step) for length, step in zip(item.shape, steps, strict=True))
    target = np.empty(item.shape, dtype) if len(chunks) == whole else _fill(item, dtype)
    decoded = _decoder(file, item)

    def fill(chunk: Chunk) -> None:
        part = target[tuple(slice(at, at + step) for at, step in zip(chunk.start, steps, strict=True))]
        part[...] = decoded(chunk)[tuple(map(slice, part.shape))]

    _side_by_side(fill, chunks.values())
    return target


def _part_of_chunks(
    file: FileBytes, item: Item, dtype: np.dtype[Any], chunks: Chunks, axes: tuple[Wanted, ...]
) -> Array:
    steps = item.chunks or ()
    places: dict[tuple[int, ...], tuple[_Piece, ...]] = {}
    if math.prod(map(_count_chunks, axes, steps)) <= len(chunks):
        for pieces in product(*map(_pieces, axes, steps)):
            places[tuple(piece.start for piece in pieces)] = pieces
    else:  # most were never written, or most hold something
        for start in chunks:
            found = [_piece(*axis) for axis in zip(axes, start, steps, strict=True)]
            if all(len(piece) for piece in found):
                places[start] = tuple(found)
    target = _fill(item, dtype, tuple(map(len, axes)))
    decoded = _decoder(file, item)

    def fill(chunk: Chunk) -> None:
        pieces = places[chunk.start]
        values = decoded(chunk)
        for axis, piece in enumerate(pieces):
            values = values[(slice(None),) * axis + (piece.within,)]
        target[tuple(piece.target for piece in pieces)] = values

    _side_by_side(fill, [chunks[start] for start in places if start in chunks])
    return target


@dataclass(frozen=True, slots=True)
class _Piece:
    """The positions along one axis that lie in one chunk: where it starts, which elements of it, and where they go."""

    start: int
    within: Any
    target: slice

    def __len__(self) -> int:
        return int(self.target.stop) - int(self.target.start)


def _count_chunks(positions: Wanted, step: int) -> int:
    """In how many chunks along an axis some positions may be."""
    return min(len(positions), int(positions[-1]) // step - int(positions[0]) // step + 1) if len(positions) else 0


def _pieces(positions: Wanted, step: int) -> Iterator[_Piece]:
    at = 0
    while at < len(positions):
        piece = _piece(positions, int(positions[at]) // step * step, step)
        yield piece
        at = piece.target.stop


def _piece(positions: Wanted, start: int, step: int) -> _Piece:
    """The positions that lie in the chunk that begins at `start`; there may be none."""
    if isinstance(positions, range):
        at, end = (
            min(max(-(-(edge - positions.start) // positions.step), 0), len(positions))
            for edge in (start, start + step)
        )
        first = positions.start + at * positions.step - start
        within: Any = slice(first, first + (end - at - 1) * positions.step + 1, positions.step)
    else:
        at, end = map(int, np.searchsorted(positions, (start, start + step)))
        within = positions[at:end] - start
    return _Piece(start, within, slice(at, end))


def _decoder(file: FileBytes, item: Item) -> Callable[[Chunk], Array]:
    """What gives the elements of a chunk."""
    steps, dtype = item.chunks or (), item.dtype or np.dtype("u1")
    nbytes = math.prod(steps) * dtype.itemsize

    def decoded(chunk: Chunk) -> Array:
        filters = tuple(number for i, number in enumerate(item.filters) if not chunk.left_out >> i & 1)
        data = unfilter(file.read(chunk.address, chunk.nbytes), filters, nbytes, dtype.itemsize)
        return data.view(dtype).reshape(steps)

    return decoded


def _side_by_side(fill: Callable[[Chunk], None], chunks: Iterable[Chunk]) -> None:
    chunks = list(chunks)
    if len(chunks) < 2:
        list(map(fill, chunks))
        return
    with ThreadPoolExecutor(THREADS) as pool:
        rest = iter(chunks)
        while ahead := list(islice(rest, _AHEAD)):
            list(pool.map(fill, ahead))
