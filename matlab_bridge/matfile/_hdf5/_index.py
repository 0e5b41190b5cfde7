"""Where the chunks of a dataset are: a B-tree of the first version (section III.A.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from matlab_bridge._errors import TruncatedFileError

from ._bytes import FileBytes
from ._item import Item

_NODE = struct.Struct("<4sBBHQQ")
_CHUNKS = 1


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
    found: dict[tuple[int, ...], Chunk] = {}
    if item.data < 0 or item.chunks is None:
        return found
    rank = len(item.shape)
    if len(item.chunks) != rank or 0 in item.chunks:
        raise TruncatedFileError(f"an array of size {item.shape} has chunks of size {item.chunks}")
    entry = np.dtype([("nbytes", "<u4"), ("mask", "<u4"), ("start", "<u8", (rank + 1,)), ("child", "<u8")])
    steps = np.array(item.chunks, np.uint64)
    nodes, met, left = [item.data], {item.data}, file.nbytes
    for address in nodes:
        signature, kind, level, count, _, _ = _NODE.unpack(file.view(address, _NODE.size))
        if signature != b"TREE" or kind != _CHUNKS:
            raise TruncatedFileError(f"no index of chunks begins at address {address}")
        left -= count * entry.itemsize
        if left < 0:
            raise TruncatedFileError("an index of chunks is larger than the file")
        entries = np.frombuffer(file.read(address + _NODE.size, count * entry.itemsize), entry)
        children = entries["child"].tolist()
        if level:
            if not met.isdisjoint(children):
                raise TruncatedFileError("an index of chunks leads in a circle")
            met.update(children)
            nodes.extend(children)
            continue
        starts = entries["start"][:, :rank]
        if np.any(starts % steps) or np.any(starts >= np.array(item.shape, np.uint64)):
            raise TruncatedFileError(f"an array of size {item.shape} has chunks elsewhere")
        sizes, masks = entries["nbytes"].tolist(), entries["mask"].tolist()
        for start, address, nbytes, mask in zip(map(tuple, starts.tolist()), children, sizes, masks, strict=True):
            if file.base + address + nbytes > file.nbytes or start in found:
                raise TruncatedFileError("the file ends within a chunk, or a chunk is there twice")
            found[start] = Chunk(start, address, nbytes, mask)
    return found
