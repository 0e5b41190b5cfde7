"""The records of a B-tree of the second version (section III.A.2): what newer layouts find things by."""

from __future__ import annotations

import struct

from matlab_bridge._errors import TruncatedFileError

from ._bytes import FileBytes
from ._checksum import SUM_BYTES

_HEADER = struct.Struct("<4sBBIHHBBQHQ4x")
_NODE = struct.Struct("<4sBB")
_ADDRESS_BYTES = 8


def records_of(file: FileBytes, address: int, kinds: tuple[int, ...]) -> tuple[int, list[bytes]]:
    """The kind of a tree and its records, in their order but for those between two nodes, which come first.

    Args:
        file: its bytes.
        address: of the header of the tree.
        kinds: those that are expected here.

    Raises:
        TruncatedFileError: there is no such tree, or it is damaged.
    """
    header = file.structure(address, _HEADER.size)
    signature, version, kind, node, size, depth, _, _, root, count, _ = _HEADER.unpack(header)
    if signature != b"BTHD" or version != 0 or kind not in kinds or not size:
        raise TruncatedFileError(f"no index of the kinds {kinds} begins at address {address}")
    file.check(address, header, "an index")
    widths = _widths(node, size, depth)
    found: list[bytes] = []
    nodes, met = [(root, count, depth)] if count else [], {root}
    for place, number, level in nodes:
        width = sum(widths[level])
        nbytes = _NODE.size + number * size + (number + 1) * width * bool(level) + SUM_BYTES
        if nbytes > node:
            raise TruncatedFileError("a node of an index has more records than it can hold")
        data = file.structure(place, nbytes)
        if _NODE.unpack_from(data) != (b"BTIN" if level else b"BTLF", 0, kind):
            raise TruncatedFileError(f"no node of an index begins at address {place}")
        file.check(place, data, "a node of an index")
        at = _NODE.size
        found.extend(data[at + i * size : at + (i + 1) * size] for i in range(number))
        at += number * size
        for start in range(at, at + (number + 1) * width if level else at, width or 1):
            child = int.from_bytes(data[start : start + _ADDRESS_BYTES], "little")
            start += _ADDRESS_BYTES
            nodes.append((child, int.from_bytes(data[start : start + widths[level][1]], "little"), level - 1))
            if child in met:
                raise TruncatedFileError("an index leads in a circle")
            met.add(child)
    return kind, found


def _widths(node: int, size: int, depth: int) -> list[tuple[int, int, int]]:
    """For each level from the leaves up the bytes of an address, of the records of a child, and of those below it."""
    empty = _NODE.size + SUM_BYTES
    most = total = max((node - empty) // size, 0)
    of_count, widths, of_total = bytes_for(most), [(0, 0, 0)], 0
    for _ in range(depth):
        widths.append((_ADDRESS_BYTES, of_count, of_total))
        pointer = sum(widths[-1])
        most = max((node - empty - pointer) // (size + pointer), 0)
        total = (most + 1) * total + most
        of_total = bytes_for(total)
    return widths


def bytes_for(number: int) -> int:
    """How many bytes HDF5 gives a field for numbers up to this one."""
    return max(number.bit_length() - 1, 0) // 8 + 1
