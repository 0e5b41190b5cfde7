"""The members of a group: an index of names, a B-tree of the first version (sections III.A.1, III.B to III.D)."""

from __future__ import annotations

import struct

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._characters import decoded

from ._bytes import FileBytes

_NODE = struct.Struct("<4sBBHQQ")
_LEAF = struct.Struct("<4sBxH")
_ENTRY = struct.Struct("<QQI20x")
_HEAP = struct.Struct("<4sB3xQQQ")
_GROUPS = 0
_SOFT_LINK = 2


def members_of(file: FileBytes, table: tuple[int, int]) -> dict[str, int]:
    """The addresses of the members of a group by name, in the order of the index.

    Args:
        file: its bytes.
        table: where the index and the names are.

    Raises:
        TruncatedFileError: they are damaged.
    """
    index, heap = table
    names = _names(file, heap)
    found = {}
    for leaf in _leaves(file, index):
        signature, version, count = _LEAF.unpack(file.view(leaf, _LEAF.size))
        if signature != b"SNOD" or version != 1:
            raise TruncatedFileError(f"no names of members begin at address {leaf}")
        entries = file.read(leaf + _LEAF.size, count * _ENTRY.size)
        for name, address, kind in _ENTRY.iter_unpack(entries):
            if kind != _SOFT_LINK:
                found[decoded(names[name : names.index(b"\x00", name)])] = address
    return found


def _names(file: FileBytes, address: int) -> bytes:
    signature, version, nbytes, _, data = _HEAP.unpack(file.view(address, _HEAP.size))
    if signature != b"HEAP" or version != 0:
        raise TruncatedFileError(f"no names begin at address {address}")
    return file.read(data, nbytes)


def _leaves(file: FileBytes, address: int) -> list[int]:
    """Where the leaves of the index are, each once."""
    nodes, met = [address], {address}
    leaves: list[int] = []
    for address in nodes:
        signature, kind, level, count, _, _ = _NODE.unpack(file.view(address, _NODE.size))
        if signature != b"TREE" or kind != _GROUPS:
            raise TruncatedFileError(f"no index of members begins at address {address}")
        numbers = struct.unpack(f"<{2 * count}Q", file.read(address + _NODE.size, 16 * count))
        children = numbers[1::2]  # between them are keys
        if not met.isdisjoint(children) or len(set(children)) != count:
            raise TruncatedFileError("an index of members leads in a circle")
        met.update(children)
        (nodes if level else leaves).extend(children)
    return leaves
