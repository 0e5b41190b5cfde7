"""The members of a group: in its header, or by indices of names of either layout (sections III.A to III.D, III.G)."""

from __future__ import annotations

import struct

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._characters import decode_bytes

from ._btree2 import records_of
from ._bytes import FileBytes
from ._fractal import FractalHeap
from ._item import Item, Link
from ._messages import link_of

_NODE = struct.Struct("<4sBBHQQ")
_LEAF = struct.Struct("<4sBxH")
_ENTRY = struct.Struct("<QQI4x4s12x")
_HEAP = struct.Struct("<4sB3xQQQ")
_GROUPS = 0
_SOFT_LINK = 2
_LINKS = (5, 6)  # kinds of indices
_HEAP_ID_BYTES = 7
# Links to links, as the library follows them.
_MOST_HOPS = 16


def members_of(file: FileBytes, group: Item) -> dict[str, Link]:
    """What the links of a group lead to by name: in the order of their making where that is kept, else of the names.

    Args:
        file: its bytes.
        group: the header of the group.

    Raises:
        TruncatedFileError: they are damaged.
    """
    if group.table is not None:
        return _by_table(file, group.table)
    links = list(group.links or ())
    if group.more_links is not None:
        heap, index = group.more_links
        objects = FractalHeap(file, heap)
        links.extend(link_of(objects.object(record[-_HEAP_ID_BYTES:])) for record in records_of(file, index, _LINKS)[1])
    return {name: target for _, name, target in sorted(links, key=lambda link: link[:2])}


def _by_table(file: FileBytes, table: tuple[int, int]) -> dict[str, Link]:
    index, heap = table
    names = _names(file, heap)

    def text(start: int) -> str:
        found = decode_bytes(names[start : names.index(b"\x00", start)])
        file.budget.spend(len(found), "names")
        return found

    links: dict[str, Link] = {}
    for leaf in _leaves(file, index):
        signature, version, count = _LEAF.unpack(file.few(leaf, _LEAF.size))
        if signature != b"SNOD" or version != 1:
            raise TruncatedFileError(f"no names of members begin at address {leaf}")
        entries = file.structure(leaf + _LEAF.size, count * _ENTRY.size)
        for name, address, kind, more in _ENTRY.iter_unpack(entries):
            links[text(name)] = text(int.from_bytes(more, "little")) if kind == _SOFT_LINK else address
    return links


def _names(file: FileBytes, address: int) -> bytes:
    signature, version, nbytes, _, data = _HEAP.unpack(file.few(address, _HEAP.size))
    if signature != b"HEAP" or version != 0:
        raise TruncatedFileError(f"no names begin at address {address}")
    return file.structure(data, nbytes)


def _leaves(file: FileBytes, address: int) -> list[int]:
    """Where the leaves of the index are, each once."""
    nodes, met = [address], {address}
    leaves: list[int] = []
    for address in nodes:
        signature, kind, level, count, _, _ = _NODE.unpack(file.few(address, _NODE.size))
        if signature != b"TREE" or kind != _GROUPS:
            raise TruncatedFileError(f"no index of members begins at address {address}")
        numbers = struct.unpack(f"<{2 * count}Q", file.structure(address + _NODE.size, 16 * count))
        children = numbers[1::2]  # between them are keys
        if not met.isdisjoint(children) or len(set(children)) != count:
            raise TruncatedFileError("an index of members leads in a circle")
        met.update(children)
        (nodes if level else leaves).extend(children)
    return leaves
