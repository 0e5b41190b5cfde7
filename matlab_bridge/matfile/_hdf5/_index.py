"""Where the chunks of a dataset are; in the older layout a B-tree of the first version says so (section III.A.1)."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._raw import Array

from ._bytes import FileBytes
from ._item import Item
from ._newer_index import newer_chunks, spend_chunks

_NODE = struct.Struct("<4sBBHQQ")
_CHUNKS = 1
_ALL_LEFT_OUT = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a dataset.

    Attributes:
        start: its first element along every axis.
        address: where its bytes are.
        nbytes: how many there are.
        left_out: filters that were left out, a bit for each.
    """

    start: tuple[int, ...]
    address: int
    nbytes: int
    left_out: int


def chunks_of(file: FileBytes, item: Item) -> dict[tuple[int, ...], Chunk]:
    """The chunks that were written, by their first elements.

    Args:
        file: its bytes.
        item: a dataset in chunks.

    Raises:
        TruncatedFileError: the index is damaged.
    """
    if item.data < 0 or item.chunks is None:
        return {}
    if len(item.chunks) != len(item.shape) or 0 in item.chunks:
        raise TruncatedFileError(f"an array of size {item.shape} has chunks of size {item.chunks}")
    if item.scheme is None:
        return _check(file, item, *_entries(file, item))
    nbytes = math.prod(item.chunks) * (item.dtype.itemsize if item.dtype else 1)
    places, addresses, sizes, masks = newer_chunks(file, item, item.scheme, nbytes)
    # The index is that of the largest array there may be: what is beyond this one was cut off.
    shape, steps = np.array(item.shape, np.uint64), np.array(item.chunks, np.uint64)
    inside = np.all(places < (shape + steps - np.uint64(1)) // steps, axis=1)
    starts = places[inside] * steps
    if item.scheme.edges_unfiltered:
        masks = np.where(np.any(starts + steps > shape, axis=1), _ALL_LEFT_OUT, masks[inside])
    else:
        masks = masks[inside]
    return _check(file, item, starts, addresses[inside], sizes[inside], masks)


def _check(
    file: FileBytes, item: Item, starts: Array, addresses: Array, sizes: Array, masks: Array
) -> dict[tuple[int, ...], Chunk]:
    shape, steps = np.array(item.shape, np.uint64), np.array(item.chunks, np.uint64)
    if np.any(starts % steps) or np.any(starts >= shape):
        raise TruncatedFileError(f"an array of size {item.shape} has chunks elsewhere")
    end = np.uint64(file.nbytes - file.base)
    if np.any(sizes > end) or np.any(addresses > end - sizes):
        raise TruncatedFileError("the file ends within a chunk")
    order = np.argsort(addresses, kind="stable")
    if np.any((addresses + sizes)[order[:-1]] > addresses[order[1:]]):
        raise TruncatedFileError("two chunks are in the same place of the file")
    found: dict[tuple[int, ...], Chunk] = {}
    rows = zip(map(tuple, starts.tolist()), addresses.tolist(), sizes.tolist(), masks.tolist(), strict=True)
    for start, address, nbytes, mask in rows:
        found[start] = Chunk(start, address, nbytes, mask)
    if len(found) < len(starts):
        raise TruncatedFileError("a chunk is there twice")
    return found


def _entries(file: FileBytes, item: Item) -> tuple[Array, Array, Array, Array]:
    """The first element, address, size and mask of every chunk, from a B-tree of the first version."""
    rank = len(item.shape)
    entry = np.dtype([("nbytes", "<u4"), ("mask", "<u4"), ("start", "<u8", (rank + 1,)), ("child", "<u8")])
    found = [np.empty(0, entry)]
    nodes, met = [item.data], {item.data}
    for address in nodes:
        signature, kind, level, count, _, _ = _NODE.unpack(file.few(address, _NODE.size))
        if signature != b"TREE" or kind != _CHUNKS:
            raise TruncatedFileError(f"no index of chunks begins at address {address}")
        entries = np.frombuffer(file.structure(address + _NODE.size, count * entry.itemsize), entry)
        if not level:
            found.append(entries)
            continue
        children = entries["child"].tolist()
        if not met.isdisjoint(children):
            raise TruncatedFileError("an index of chunks leads in a circle")
        met.update(children)
        nodes.extend(children)
    spend_chunks(file, sum(map(len, found)))
    whole = np.concatenate(found)
    return whole["start"][:, :rank], whole["child"], whole["nbytes"], whole["mask"]
