"""Inflating deflated bytes with the fastest library there is: isal where it is installed, else zlib."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from matlab_bridge._errors import TruncatedFileError

from ._raw import Array

try:
    from isal import isal_zlib

    _library: Any = isal_zlib
except ImportError:  # it has no wheels for some platforms
    _library = zlib

DEFLATE_ERRORS: tuple[type[Exception], ...] = (zlib.error, _library.error)
"""What damaged bytes lead to."""

THREADS = 2
"""How many threads inflate side by side; more of them wait for memory rather than for a processor."""

MOST_INFLATION = 1032
"""The greatest ratio that deflating reaches: that of zeros."""

_PIECE = 2**20


def inflater() -> Any:
    """A new `decompressobj`, as `zlib` has it."""
    return _library.decompressobj()


def inflate_into(target: Array, take: Callable[[int], bytes], stream: Any) -> None:
    """Fill an array with what a deflated stream holds, in pieces, so that nothing else takes memory.

    Args:
        target: bytes, one after the other, as many as the stream should hold.
        take: gives the next bytes of the deflated stream, at most as many as asked for; none at its end.
        stream: an `inflater`, which may have begun.

    Raises:
        TruncatedFileError: the stream holds fewer or more bytes.
    """
    view = target.data
    filled, pending = 0, stream.unconsumed_tail
    while filled < len(view):
        data = stream.decompress(pending, min(_PIECE, len(view) - filled))
        view[filled : filled + len(data)] = data
        filled += len(data)
        pending = stream.unconsumed_tail
        # A decompressor may hold output back when it has no input left: only if it gives none is more taken.
        if not data and not pending and not (pending := take(_PIECE)):
            raise TruncatedFileError(f"a deflated stream ends after {filled} of {len(view)} bytes")
        if not data and stream.eof:
            raise TruncatedFileError(f"a deflated stream holds {filled} bytes instead of {len(view)}")
    # Bytes beyond the end are asked for: that checks the stream's sum, where there is one, for MATLAB leaves the
    # end of some streams out. Other writers may fill up to a multiple of eight bytes; more of them are damage.
    if not stream.eof and (pending := pending or take(_PIECE)) and len(stream.decompress(pending, 8)) == 8:
        raise TruncatedFileError(f"a deflated stream holds more than {len(view)} bytes")


def inflate(data: bytes | Array, nbytes: int) -> Array:
    """The bytes of a whole deflated stream that holds `nbytes` of them.

    Raises:
        TruncatedFileError: the stream holds fewer or more bytes; where its sum is wrong, the library's own error.
    """
    if nbytes > MOST_INFLATION * (len(data) + 64):
        raise TruncatedFileError(f"{len(data)} deflated bytes cannot hold {nbytes}")
    stream = inflater()
    found = stream.decompress(data, nbytes)
    if len(found) != nbytes:
        raise TruncatedFileError(f"a deflated stream ends after {len(found)} of {nbytes} bytes")
    # A byte beyond the end is asked for: that checks the stream's sum.
    if not stream.eof and (stream.decompress(stream.unconsumed_tail, 1) or not stream.eof):
        raise TruncatedFileError(f"a deflated stream of {nbytes} bytes does not end after them")
    return np.frombuffer(found, np.uint8)
