"""The data of HDF5's datasets, whole: chunks are read side by side and inflated without the library."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from matlab_bridge._errors import TruncatedFileError

from ._hdf5 import REFERENCE
from ._inflate import MOST_INFLATION, THREADS, inflated
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
    if not chunks or any(chunk.filter_mask for chunk in chunks):
        return None
    shift = _shift(item, descriptor, chunks[0])
    if shift is None:
        return None
    whole = math.prod(-(-length // step) for length, step in zip(item.shape, item.chunks, strict=True))
    # Chunks that were never written are the fill value, which MATLAB leaves at zero.
    target = np.empty(item.shape, dtype) if len(chunks) == whole else np.zeros(item.shape, dtype)
    nbytes = math.prod(item.chunks) * dtype.itemsize
    shuffled = bool(item.shuffle) and dtype.itemsize > 1

    def fill(chunk: Any) -> None:
        data = inflated(os.pread(descriptor, chunk.size, chunk.byte_offset + shift), nbytes)
        if shuffled:
            data = np.ascontiguousarray(data.reshape(dtype.itemsize, -1).T)
        part = target[tuple(slice(at, at + step) for at, step in zip(chunk.chunk_offset, item.chunks, strict=True))]
        part[...] = data.reshape(-1).view(dtype).reshape(item.chunks)[tuple(map(slice, part.shape))]

    with ThreadPoolExecutor(THREADS) as pool:
        rest = iter(chunks)
        while ahead := list(islice(rest, 64 * _AHEAD)):
            list(pool.map(fill, ahead))
    return target


def _shift(item: Any, descriptor: int, chunk: Any) -> int | None:
    # Releases of HDF5 differ in whether they count MATLAB's header in: the first chunk tells.
    _, data = item.id.read_direct_chunk(chunk.chunk_offset)
    for shift in (0, item.file.userblock_size):
        if os.pread(descriptor, chunk.size, chunk.byte_offset + shift) == data:
            return shift
    return None
