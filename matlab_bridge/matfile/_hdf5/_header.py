"""The header of an object, of either version: blocks of messages (section IV.A.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from matlab_bridge._errors import TruncatedFileError

from ._btree2 import records_of
from ._bytes import FileBytes
from ._checksum import SUM_BYTES
from ._fractal import FractalHeap
from ._item import Item
from ._messages import MESSAGES, add_attribute

_PREFIX = struct.Struct("<BxHII4x")
_MESSAGE = struct.Struct("<HHB3x")
_NEWER_MESSAGE = struct.Struct("<BHB")
_PAIR = struct.Struct("<QQ")
_CONTINUATION = 16
_SHARED = 2  # a flag: the message is elsewhere
_ATTRIBUTES = (8, 9)  # kinds of indices
# HDF5 allows 64 KiB a message, and MATLAB writes few.
_MOST_BYTES = 2**21


def read_header(file: FileBytes, address: int) -> Item:
    """The dataset or group whose header is at an address.

    Args:
        file: its bytes.
        address: of the header.

    Raises:
        TruncatedFileError: there is none, or it is damaged.
        ExternalDataError: its data is in another file.
    """
    start = file.few(address, _PREFIX.size)
    if start[0] == 1:
        messages = _messages(file, address, start)
    elif start.startswith(b"OHDR\x02"):
        messages = _newer_messages(file, address, start)
    else:
        raise TruncatedFileError(f"no dataset or group begins at address {address}")
    item = Item(address)
    for kind, flags, body in messages:
        if kind in MESSAGES and not flags & _SHARED:
            MESSAGES[kind](item, body)
    if item.more_attributes is not None:
        heap, index = item.more_attributes
        objects = FractalHeap(file, heap)
        for record in records_of(file, index, _ATTRIBUTES)[1]:
            add_attribute(item, objects.object(record[:8]))
    return item


def _messages(file: FileBytes, address: int, start: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Number, flags and body of each message of a header of the first version."""
    blocks, left = [(address + _PREFIX.size, _PREFIX.unpack(start)[3])], _MOST_BYTES
    for place, size in blocks:
        left -= size + _MESSAGE.size  # so that empty blocks end as well
        if left < 0:
            raise TruncatedFileError(f"the header at address {address} does not end")
        data = file.structure(place, size)
        at = 0
        while at + _MESSAGE.size <= size:
            kind, length, flags = _MESSAGE.unpack_from(data, at)
            at += _MESSAGE.size
            if kind == _CONTINUATION:
                blocks.append(_PAIR.unpack_from(data, at))
            else:
                yield kind, flags, data[at : at + length]
            at += length


def _newer_messages(file: FileBytes, address: int, start: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The same of the second version, whose blocks end with sums."""
    of_header = start[5]
    head = 6 + 16 * bool(of_header & 0x20) + 4 * bool(of_header & 0x10)
    width = 1 << (of_header & 3)
    size = int.from_bytes(file.few(address, head + width)[head:], "little")
    head += width
    blocks, left = [(address, head + size + SUM_BYTES)], _MOST_BYTES
    order_bytes = 2 * bool(of_header & 4)
    for place, size in blocks:
        left -= size + _MESSAGE.size
        if left < 0:
            raise TruncatedFileError(f"the header at address {address} does not end")
        data = file.structure(place, size)
        file.check(place, data, "a header")
        if place != address and not data.startswith(b"OCHK"):
            raise TruncatedFileError(f"the header at address {address} does not go on at {place}")
        at, end = head if place == address else 4, size - SUM_BYTES
        while at + _NEWER_MESSAGE.size + order_bytes <= end:
            kind, length, flags = _NEWER_MESSAGE.unpack_from(data, at)
            at += _NEWER_MESSAGE.size + order_bytes
            if kind == _CONTINUATION:
                blocks.append(_PAIR.unpack_from(data, at))
            else:
                yield kind, flags, data[at : min(at + length, end)]
            at += length
