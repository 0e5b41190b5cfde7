"""Numbers that are stored in a smaller type than their own, converted; stored bytes are freed as soon as they are read.

MATLAB stores a double array of small whole numbers as bytes, each of which becomes eight. Were the bytes kept until all
are converted, a large array would take nine bytes for each.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._lazy import LARGE
from matlab_bridge.matfile._raw import Array

_PIECE = 2**22
# Systems that cannot free a part (Windows) free the bytes with the rest.
_FREES = hasattr(mmap, "MADV_DONTNEED")


def allocate(nbytes: int) -> Array:
    """New bytes, of which `convert` can free a part if they are many."""
    if nbytes < LARGE or not _FREES:
        return np.empty(nbytes, np.uint8)
    mapping = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # as NumPy has it for its own large arrays
        mapping.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(mapping, np.uint8)


def widen(stored: Array, dtype: np.dtype[Any], budget: Budget) -> Array:
    """Numbers in their own type; what they were stored in may not be there afterwards.

    Args:
        stored: along one axis; if it is a view of many bytes of `allocate`, those are freed.
        dtype: of the result.
        budget: of the file, which gets what is freed, and is spent for the result.
    """
    if stored.dtype == dtype:
        return stored
    _exchange(stored.nbytes, stored.size * dtype.itemsize, budget)
    if stored.nbytes < LARGE:
        return stored.astype(dtype)
    found = np.empty(stored.size, dtype)
    _move(stored, found)
    return found


def widen_complex(real: Array, imaginary: Array, dtype: np.dtype[Any], budget: Budget) -> Array:
    """Complex numbers of two parts; what these were stored in may not be there afterwards.

    Args:
        real: along one axis, as `widen` takes it.
        imaginary: as many.
        dtype: of MATLAB's class.
        budget: as `widen` takes it.
    """
    found_type = np.dtype(np.complex64 if dtype == np.float32 else np.complex128)
    _exchange(real.nbytes + imaginary.nbytes, real.size * found_type.itemsize, budget)
    found = np.empty(real.size, found_type)
    # Not real + 1j * imaginary: that makes NaN of an infinite part.
    _move(real, found.real)
    _move(imaginary, found.imag)
    return found


def _exchange(nbytes: int, wanted: int, budget: Budget) -> None:
    """Count bytes that are about to be allocated in the place of others, which are freed if they are many."""
    if nbytes >= LARGE:
        budget.free(nbytes)
    budget.spend(wanted, "numbers")


def _move(stored: Array, target: Array) -> None:
    """Copy numbers along one axis; many bytes of `allocate` that they were stored in are freed."""
    mapping, step = _mapping_of(stored), _PIECE // stored.itemsize
    for start in range(0, stored.size, step):
        piece = stored[start : start + step]
        target[start : start + step] = piece
        if mapping is not None:
            _free(mapping, piece)


def _mapping_of(array: Any) -> mmap.mmap | None:
    """The mapping that an array is a view of, through whatever other views."""
    found = array
    while found is not None and not isinstance(found, mmap.mmap):
        found = found.obj if isinstance(found, memoryview) else getattr(found, "base", None)
    return found


def _free(mapping: mmap.mmap, piece: Array) -> None:
    at = piece.ctypes.data - np.frombuffer(mapping, np.uint8).ctypes.data
    # Whole pages alone, lest the numbers beside them be lost.
    start, end = -(-at // mmap.PAGESIZE) * mmap.PAGESIZE, (at + piece.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if start < end:
        mapping.madvise(mmap.MADV_DONTNEED, start, end - start)
