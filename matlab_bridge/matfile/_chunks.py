"""The data of HDF5's datasets, whole or in part: chunks are read side by side and inflated without the library."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from matlab_bridge._errors import TruncatedFileError

from ._hdf5 import REFERENCE
from ._inflate import MOST_INFLATION, THREADS, inflated
from ._lazy import Wanted, stretches
from ._raw import Array

# Data this large must have the bytes that deflating zeros leaves of it, lest a wrong size be allocated.
_LARGE = 2**26
# Fewer bytes than this are read sooner by the library than by threads.
_FEW = 2**15
_AHEAD = 4 * THREADS
_PLAIN = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.COMPOUND, h5py.h5t.REFERENCE)


def read_dataset(item: Any, descriptor: int) -> Array:
    """All numbers of a dataset, in the order of HDF5.

    Args:
        item: the `h5py.Dataset`.
        descriptor: of the same file, opened for reading.

    Raises:
        TruncatedFileError: the dataset states a size that the file cannot hold, or its data is damaged.
    """
    check_size(item)
    if item.chunks is not None and item.nbytes > _FEW and _is_plain(item, item.dtype):
        target = _from_chunks(item, descriptor, item.dtype.newbyteorder("="))
        if target is not None:
            return target
    stored: Array = item[()]
    return stored


def read_part(item: Any, descriptor: int, axes: tuple[Wanted, ...]) -> Array:
    """The block of some positions along every axis; of a dataset in chunks, only those that hold any are read.

    Args:
        item: the `h5py.Dataset`.
        descriptor: of the same file, opened for reading.
        axes: the positions, in the order of HDF5.

    Raises:
        TruncatedFileError: as `read_dataset` does.
    """
    check_size(item)
    target = None
    if item.chunks is not None and all(map(len, axes)) and _is_plain(item, item.dtype):
        target = _part_of_chunks(item, descriptor, item.dtype.newbyteorder("="), axes)
    return stretches(item, axes) if target is None else target


def read_addresses(item: Any, descriptor: int) -> Array:
    """Where in the file the values are that a dataset of references refers to; 0 where that cannot be told."""
    check_size(item)
    found = None
    if item.chunks is not None and _is_plain(item, REFERENCE):
        found = _from_chunks(item, descriptor, REFERENCE)
    elif item.id.get_offset() is not None:
        data = os.pread(descriptor, item.size * REFERENCE.itemsize, item.id.get_offset())
        if len(data) == item.size * REFERENCE.itemsize:
            found = np.frombuffer(data, REFERENCE).reshape(item.shape)
    return np.zeros(item.shape, REFERENCE) if found is None else found


def check_size(item: Any) -> None:
    """Refuse a dataset that states a size which the bytes in the file cannot hold."""
    nbytes = math.prod(item.shape) * item.dtype.itemsize
    most = Path(item.file.filename).stat().st_size * MOST_INFLATION
    if nbytes > _LARGE and (nbytes > most or nbytes > MOST_INFLATION * item.id.get_storage_size()):
        raise TruncatedFileError(f"{item.name} states a size of {nbytes} bytes, which the file cannot hold")
    chunk = math.prod(item.chunks or ()) * item.dtype.itemsize
    if chunk > _LARGE and chunk > 4 * nbytes:
        raise TruncatedFileError(f"{item.name} has chunks of {chunk} bytes for {nbytes} bytes of data")


def _is_plain(item: Any, dtype: np.dtype[Any]) -> bool:
    stored = item.id.get_type()
    if stored.get_class() not in _PLAIN or stored.get_size() != dtype.itemsize or not dtype.isnative:
        return False
    if dtype.names not in (None, ("real", "imag")):
        return False
    created = item.id.get_create_plist()
    filters = [created.get_filter(i)[0] for i in range(created.get_nfilters())]
    return filters in ([h5py.h5z.FILTER_DEFLATE], [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE])


def _from_chunks(item: Any, descriptor: int, dtype: np.dtype[Any]) -> Array | None:
    chunks: list[Any] = []
    item.id.chunk_iter(chunks.append)
    decoded = _decoder(item, descriptor, dtype, chunks)
    if decoded is None:
        return None
    whole = math.prod(-(-length // step) for length, step in zip(item.shape, item.chunks, strict=True))
    # Chunks that were never written are the fill value, which MATLAB leaves at zero.
    target = np.empty(item.shape, dtype) if len(chunks) == whole else np.zeros(item.shape, dtype)

    def fill(chunk: Any) -> None:
        part = target[tuple(slice(at, at + step) for at, step in zip(chunk.chunk_offset, item.chunks, strict=True))]
        part[...] = decoded(chunk)[tuple(map(slice, part.shape))]

    _side_by_side(fill, chunks)
    return target


def _part_of_chunks(item: Any, descriptor: int, dtype: np.dtype[Any], axes: tuple[Wanted, ...]) -> Array | None:
    places: dict[tuple[int, ...], list[_Piece]] = {}
    for pieces in product(*map(_pieces, axes, item.chunks)):
        places[tuple(piece.start for piece in pieces)] = list(pieces)
    target = np.zeros(tuple(map(len, axes)), dtype)
    stored = [item.id.get_chunk_info_by_coord(start) for start in places]
    chunks = [chunk for chunk in stored if chunk.byte_offset is not None]
    if not chunks:
        return target
    decoded = _decoder(item, descriptor, dtype, chunks)
    if decoded is None:
        return None

    def fill(chunk: Any) -> None:
        pieces = places[chunk.chunk_offset]
        values = decoded(chunk)
        for axis, piece in enumerate(pieces):
            values = values[(slice(None),) * axis + (piece.within,)]
        target[tuple(piece.target for piece in pieces)] = values

    _side_by_side(fill, chunks)
    return target


@dataclass(frozen=True, slots=True)
class _Piece:
    """Of the positions along one axis those in one chunk: where it starts, which of it, and where they go."""

    start: int
    within: Any
    target: slice


def _pieces(positions: Wanted, step: int) -> Iterator[_Piece]:
    at = 0
    while at < len(positions):
        start = int(positions[at]) // step * step
        if isinstance(positions, range):
            # Steps beyond the end of the chunk begin the next piece.
            end = at + len(range(positions[at], min(start + step, positions.stop), positions.step))
            within: Any = slice(positions[at] - start, positions[end - 1] - start + 1, positions.step)
        else:
            end = int(np.searchsorted(positions, start + step))
            within = positions[at:end] - start
        yield _Piece(start, within, slice(at, end))
        at = end


def _decoder(item: Any, descriptor: int, dtype: np.dtype[Any], chunks: list[Any]) -> Callable[[Any], Array] | None:
    """What gives the numbers of a chunk, or None where that is left to the library."""
    if not chunks or any(chunk.filter_mask for chunk in chunks):
        return None
    shift = _shift(item, descriptor, chunks[0])
    if shift is None:
        return None
    nbytes = math.prod(item.chunks) * dtype.itemsize
    shuffled = bool(item.shuffle) and dtype.itemsize > 1

    def decoded(chunk: Any) -> Array:
        data = inflated(os.pread(descriptor, chunk.size, chunk.byte_offset + shift), nbytes)
        if shuffled:
            data = np.ascontiguousarray(data.reshape(dtype.itemsize, -1).T)
        return data.reshape(-1).view(dtype).reshape(item.chunks)

    return decoded


def _side_by_side(fill: Callable[[Any], None], chunks: list[Any]) -> None:
    if len(chunks) == 1:
        fill(chunks[0])
        return
    with ThreadPoolExecutor(THREADS) as pool:
        rest = iter(chunks)
        while ahead := list(islice(rest, 64 * _AHEAD)):
            list(pool.map(fill, ahead))


def _shift(item: Any, descriptor: int, chunk: Any) -> int | None:
    # Releases of HDF5 differ in whether they count MATLAB's header in: the first chunk tells.
    _, data = item.id.read_direct_chunk(chunk.chunk_offset)
    for shift in (0, item.file.userblock_size):
        if os.pread(descriptor, chunk.size, chunk.byte_offset + shift) == data:
            return shift
    return None
