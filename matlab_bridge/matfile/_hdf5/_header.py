"""The header of an object: messages on its type, its shape, where its data is, its attributes (section IV.A)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._characters import decoded

from ._bytes import FileBytes
from ._item import Item, Texts
from ._types import REFERENCES, TEXT, VARIABLE, dtype_of, shape_of, type_class

UNDEFINED = 2**64 - 1
"""The address of what is not there."""

_PREFIX = struct.Struct("<BxHII4x")
_MESSAGE = struct.Struct("<HHB3x")
_PAIR = struct.Struct("<QQ")
_SIZES = struct.Struct("<HHH")
_CONTINUATION = 16
_LINKS, _MANY_ATTRIBUTES = 2, 21
_MATLAB = b"MATLAB_"
_SHARED = 2  # a flag: the message is elsewhere
# HDF5 allows 64 KiB a message, and MATLAB writes few.
_MOST_BYTES = 2**21


class NewerLayoutError(Exception):
    """A structure of a newer layout of HDF5; what it holds has checksums, and the library may read it."""


def read_header(file: FileBytes, address: int) -> Item:
    """The dataset or group whose header is at an address.

    Args:
        file: its bytes.
        address: of the header.

    Raises:
        TruncatedFileError: there is none, or it is damaged.
        NewerLayoutError: it is of a newer layout.
    """
    prefix = file.view(address, _PREFIX.size)
    version, _, _, size = _PREFIX.unpack(prefix)
    if version != 1:
        if bytes(prefix[:4]) == b"OHDR":
            raise NewerLayoutError
        raise TruncatedFileError(f"no dataset or group begins at address {address}")
    item = Item(address)
    blocks, left = [(address + _PREFIX.size, size)], _MOST_BYTES
    for start, size in blocks:
        left -= size
        if left < 0:
            raise TruncatedFileError(f"the header at address {address} does not end")
        data = bytes(file.view(start, size))
        at = 0
        while at + _MESSAGE.size <= size:
            kind, length, flags = _MESSAGE.unpack_from(data, at)
            at += _MESSAGE.size
            if kind == _CONTINUATION:
                further, size_there = _PAIR.unpack_from(data, at)
                blocks.append((further, size_there))
                left -= _MESSAGE.size  # so that empty blocks end as well
            elif kind in _MESSAGES and not flags & _SHARED:
                _MESSAGES[kind](item, data[at : at + length])
            if kind in (_LINKS, _MANY_ATTRIBUTES):
                _check_heap(file, _heap_of_many(kind, data[at : at + length]))
            at += length
    return item


def _check_heap(file: FileBytes, address: int) -> None:
    if address == UNDEFINED:
        return
    # What looks like a newer layout, and is none, is damage; it would not do to trust the library with that.
    if bytes(file.view(address, 4)) == b"FRHP":
        raise NewerLayoutError
    raise TruncatedFileError(f"no heap begins at address {address}")


def _dataspace(item: Item, body: bytes) -> None:
    shape = shape_of(body)
    if shape is None:
        raise TruncatedFileError("the shape of a dataset is stated in an unknown way")
    item.shape = shape


def _datatype(item: Item, body: bytes) -> None:
    item.dtype = dtype_of(body)
    item.is_references = item.dtype is not None and type_class(body) == REFERENCES


def _fill_old(item: Item, body: bytes) -> None:
    (size,) = struct.unpack_from("<I", body)
    item.fill = body[4 : 4 + size]


def _fill(item: Item, body: bytes) -> None:
    is_given, at = (body[1] & 32, 2) if body[0] == 3 else (body[3], 4)
    if is_given and len(body) >= at + 4:
        _fill_old(item, body[at:])


_INLINE, _ONE_PIECE, _CHUNKED = 0, 1, 2


def _layout(item: Item, body: bytes) -> None:
    version, kind = body[:2]
    if version != 3 or kind not in (_INLINE, _ONE_PIECE, _CHUNKED):
        raise TruncatedFileError(f"data is stored in an unknown way (layout {kind} of version {version})")
    if kind == _INLINE:
        (item.nbytes,) = struct.unpack_from("<H", body, 2)
        item.inline = body[4 : 4 + item.nbytes]
    elif kind == _ONE_PIECE:
        address, item.nbytes = _PAIR.unpack_from(body, 2)
        item.data = -1 if address == UNDEFINED else address
    else:
        rank = body[2]
        (address,) = struct.unpack_from("<Q", body, 3)
        item.chunks = struct.unpack_from(f"<{rank}I", body, 11)[:-1]  # the last one is the size of an element
        item.data = -1 if address == UNDEFINED else address


def _filters(item: Item, body: bytes) -> None:
    version, count = body[:2]
    at, found = 8 if version == 1 else 2, []
    for _ in range(count):
        (number,) = struct.unpack_from("<H", body, at)
        at += 2
        name = 0
        if version == 1 or number >= 256:
            (name,) = struct.unpack_from("<H", body, at)
            at += 2
        _, values = struct.unpack_from("<HH", body, at)
        at += 4 + (-(-name // 8) * 8 if version == 1 else name) + 4 * values
        at += 4 if version == 1 and values % 2 else 0
        found.append(number)
    item.filters = tuple(found)


def _symbol_table(item: Item, body: bytes) -> None:
    index, names = _PAIR.unpack_from(body)
    item.table = index, names


def _link(item: Item, body: bytes) -> None:
    flags, at = body[1], 2
    kind = body[at] if flags & 8 else 0
    at += bool(flags & 8) + 8 * bool(flags & 4) + bool(flags & 16)
    width = 1 << (flags & 3)
    length = int.from_bytes(body[at : at + width], "little")
    at += width
    name = decoded(body[at : at + length])
    if kind == 0:
        item.links = item.links or {}
        (item.links[name],) = struct.unpack_from("<Q", body, at + length)


def _links(item: Item, _: bytes) -> None:
    item.links = item.links or {}


def _heap_of_many(kind: int, body: bytes) -> int:
    """The address of the heap that very many links or attributes are in, instead of in the header."""
    heap: int = struct.unpack_from("<Q", body, 2 + (body[1] & 1) * (8 if kind == _LINKS else 2))[0]
    return heap


def _attribute(item: Item, body: bytes) -> None:
    # Others say nothing of the value, and some differ for every element of a cell.
    if body.startswith(_MATLAB, 8) or body.startswith(_MATLAB, 9):
        name, value = _attribute_of(body)
        item.attributes[name] = value


@lru_cache(maxsize=256)
def _attribute_of(body: bytes) -> tuple[str, Any]:
    # Cached, for the attributes of the elements of a cell are the same bytes.
    version, flags = body[:2]
    if version not in (1, 2, 3):
        raise TruncatedFileError(f"an attribute is of version {version}")
    at, align = (9, 1) if version == 3 else (8, 8 if version == 1 else 1)
    parts = []
    for size in _SIZES.unpack_from(body, 2):
        parts.append(body[at : at + size])
        at += -(-size // align) * align
    name, datatype, dataspace = parts
    value = None if version > 1 and flags & 3 else _value(datatype, dataspace, body[at:])
    return name.split(b"\x00")[0].decode("utf-8"), value


def _value(datatype: bytes, dataspace: bytes, data: bytes) -> Any:
    shape, dtype, kind = shape_of(dataspace), dtype_of(datatype), type_class(datatype)
    if shape is None or dtype is None:
        return None
    count = 1
    for length in shape:
        count *= length
    if count * dtype.itemsize > len(data):
        raise TruncatedFileError(f"an attribute has {len(data)} bytes instead of {count * dtype.itemsize}")
    values = np.frombuffer(data, dtype, count)
    if kind == VARIABLE:
        return Texts(places=values)
    if kind == REFERENCES:
        return Texts(reference=int(values[0])) if shape == () else None
    if kind == TEXT and shape == ():
        return bytes(values[0]).rstrip(b"\x00 ")
    return values[0] if shape == () else values.reshape(shape)


_MESSAGES: dict[int, Callable[[Item, bytes], None]] = {
    1: _dataspace,
    _LINKS: _links,
    3: _datatype,
    4: _fill_old,
    5: _fill,
    6: _link,
    8: _layout,
    11: _filters,
    12: _attribute,
    17: _symbol_table,
}
