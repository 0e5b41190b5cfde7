"""The messages in the header of an object: its type, its shape, where its data is, its attributes (section IV.A.2)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from matlab_bridge._errors import ExternalDataError, TruncatedFileError
from matlab_bridge.matfile._characters import decode_bytes

from ._item import ELSEWHERE, UNDEFINED, ChunkIndex, Item, Link, Texts
from ._types import REFERENCES, TEXT, VARIABLE, dtype_of, limits_of, shape_of, type_class

_PAIR = struct.Struct("<QQ")
_SIZES = struct.Struct("<HHH")
_MATLAB = b"MATLAB_"


def _dataspace(item: Item, body: bytes) -> None:
    shape = shape_of(body)
    if shape is None:
        raise TruncatedFileError("the shape of a dataset is stated in an unknown way")
    item.shape, item.limits = shape, limits_of(body) if body[2] & 1 else shape


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


_INLINE, _ONE_PIECE, _CHUNKED, _VIRTUAL = 0, 1, 2, 3
_EDGES_UNFILTERED, _SINGLE_FILTERED = 1, 2  # flags of a dataset in chunks
_SINGLE_CHUNK = struct.Struct("<QI")
# What a header says of an index, and the index says as well.
_INDEX_BYTES = {ChunkIndex.FIXED_ARRAY: 1, ChunkIndex.EXTENSIBLE_ARRAY: 5, ChunkIndex.B_TREE: 6}


def _layout(item: Item, body: bytes) -> None:
    version, kind = body[:2]
    if version == 4 and kind == _VIRTUAL:
        raise ExternalDataError("a dataset is made of data in other files, which are never opened")
    if version not in (3, 4) or kind not in (_INLINE, _ONE_PIECE, _CHUNKED):
        raise TruncatedFileError(f"data is stored in an unknown way (layout {kind} of version {version})")
    if kind == _INLINE:
        (item.nbytes,) = struct.unpack_from("<H", body, 2)
        item.inline = body[4 : 4 + item.nbytes]
        return
    if kind == _ONE_PIECE:
        address, item.nbytes = _PAIR.unpack_from(body, 2)
    elif version == 3:
        rank = body[2]
        (address,) = struct.unpack_from("<Q", body, 3)
        item.chunks = struct.unpack_from(f"<{rank}I", body, 11)[:-1]  # the last one is the size of an element
    else:
        address = _newer_chunks(item, body)
    item.data = -1 if address == UNDEFINED else address


def _newer_chunks(item: Item, body: bytes) -> int:
    """Note how the chunks are found, and give the address of their index."""
    flags, rank, width = body[2:5]
    at = 5 + rank * width
    sizes = tuple(int.from_bytes(body[start : start + width], "little") for start in range(5, at, width or 1))
    item.chunks, kind = sizes[:-1], body[at]
    at += 1 + _INDEX_BYTES.get(kind, 0)
    nbytes = left_out = 0
    if kind == ChunkIndex.SINGLE and flags & _SINGLE_FILTERED:
        nbytes, left_out = _SINGLE_CHUNK.unpack_from(body, at)
        at += _SINGLE_CHUNK.size
    item.scheme = ChunkIndex(kind, nbytes, left_out, edges_unfiltered=bool(flags & _EDGES_UNFILTERED))
    address: int = struct.unpack_from("<Q", body, at)[0]
    return address


def _external(item: Item, body: bytes) -> None:
    del item, body
    raise ExternalDataError("the data of a dataset is in another file, which is never opened")


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


_HARD, _SOFT = 0, 1


def link_of(body: bytes) -> tuple[int, str, Link]:
    """The place of a link in the order of their making, 0 where that is not kept; its name; what it leads to."""
    flags, at = body[1], 2
    kind = body[at] if flags & 8 else _HARD
    at += bool(flags & 8)
    order = int.from_bytes(body[at : at + 8], "little") if flags & 4 else 0
    at += 8 * bool(flags & 4) + bool(flags & 16)
    width = 1 << (flags & 3)
    length = int.from_bytes(body[at : at + width], "little")
    at += width
    name = decode_bytes(body[at : at + length])
    at += length
    if kind == _HARD:
        return order, name, struct.unpack_from("<Q", body, at)[0]
    (length,) = struct.unpack_from("<H", body, at)
    return order, name, decode_bytes(body[at + 2 : at + 2 + length]) if kind == _SOFT else ELSEWHERE


def _link(item: Item, body: bytes) -> None:
    if item.links is None:
        item.links = []
    item.links.append(link_of(body))


def _links(item: Item, body: bytes) -> None:
    if item.links is None:
        item.links = []
    item.more_links = _heap_and_index(body, 8)


def _attributes(item: Item, body: bytes) -> None:
    item.more_attributes = _heap_and_index(body, 2)


def _heap_and_index(body: bytes, width: int) -> tuple[int, int] | None:
    """Where very many links or attributes are, instead of in the header; None if they are not."""
    heap, index = _PAIR.unpack_from(body, 2 + (body[1] & 1) * width)
    return None if heap == UNDEFINED else (heap, index)


def add_attribute(item: Item, body: bytes) -> None:
    """Note an attribute of MATLAB's."""
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


MESSAGES: dict[int, Callable[[Item, bytes], None]] = {
    1: _dataspace,
    2: _links,
    3: _datatype,
    4: _fill_old,
    5: _fill,
    6: _link,
    7: _external,
    8: _layout,
    11: _filters,
    12: add_attribute,
    17: _symbol_table,
    21: _attributes,
}
"""What notes a message, by its number."""
