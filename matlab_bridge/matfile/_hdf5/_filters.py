"""The filters that a chunk went through before it was written, undone."""

from __future__ import annotations

import numpy as np

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._inflate import inflate
from matlab_bridge.matfile._raw import Array

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
KNOWN = frozenset((DEFLATE, SHUFFLE, FLETCHER32))
_SUM_BYTES = 4
_MODULUS = 65535


def unfilter(data: bytes, filters: tuple[int, ...], nbytes: int, itemsize: int) -> Array:
    """The bytes of a chunk as they were before the filters.

    Args:
        data: the bytes in the file.
        filters: their numbers, in the order in which they were applied.
        nbytes: how many bytes there were before.
        itemsize: of an element.

    Raises:
        TruncatedFileError: the bytes are damaged.
    """
    # What comes out of each filter: a sum adds bytes, the others keep their number or are undone to a known one.
    sizes = [nbytes]
    for number in filters:
        sizes.append(sizes[-1] + (_SUM_BYTES if number == FLETCHER32 else 0))
    current = np.frombuffer(data, np.uint8)
    for number, size in zip(reversed(filters), reversed(sizes[:-1]), strict=True):
        if number == DEFLATE:
            current = inflate(current, size)
        elif number == FLETCHER32:
            current = _sum(current)
        elif itemsize > 1:
            current = _unshuffle(current, itemsize)
    if current.nbytes != nbytes:
        raise TruncatedFileError(f"a chunk holds {current.nbytes} bytes instead of {nbytes}")
    return current


def _unshuffle(data: Array, itemsize: int) -> Array:
    whole = data.size // itemsize * itemsize
    values = data[:whole].reshape(itemsize, -1).T.reshape(-1)
    return np.concatenate([values, data[whole:]]) if whole < data.size else np.ascontiguousarray(values)


def _sum(data: Array) -> Array:
    """The bytes before their sum, which is checked."""
    if data.size < _SUM_BYTES:
        raise TruncatedFileError("a chunk is shorter than its sum")
    found, stored = data[:-_SUM_BYTES], int.from_bytes(data[-_SUM_BYTES:].tobytes(), "little")
    padded = np.concatenate([found, np.zeros(1, np.uint8)]) if found.size % 2 else found
    words = padded.view(">u2").astype(np.uint64)
    weights = np.arange(words.size, 0, -1, dtype=np.uint64) % np.uint64(_MODULUS)
    first, second = int(words.sum()), int((words * weights).sum())
    if ((stored & 0xFFFF) - first) % _MODULUS or ((stored >> 16) - second) % _MODULUS:
        raise TruncatedFileError("the sum of a chunk is wrong")
    return found
