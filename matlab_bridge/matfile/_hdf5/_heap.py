"""Texts of variable length: they are in heaps for the whole file (section III.E)."""

from __future__ import annotations

import struct

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._characters import decode_bytes
from matlab_bridge.matfile._raw import Array

from ._bytes import FileBytes

_HEAP = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HH4xQ")


def texts_at(file: FileBytes, places: Array) -> list[str]:
    """The texts at some places.

    Args:
        file: its bytes.
        places: of `HEAP_PLACE`.

    Raises:
        TruncatedFileError: there are none, or more than the file holds.
    """
    file.budget.spend(int(places["length"].sum(dtype="u8")), "names")
    wanted: dict[int, set[int]] = {}
    for _, address, number in places.reshape(-1).tolist():
        wanted.setdefault(address, set()).add(number)
    heaps = {address: _objects(file, address, numbers) for address, numbers in wanted.items()}
    found = []
    for length, address, number in places.reshape(-1).tolist():
        text = heaps[address].get(number, b"")
        if len(text) < length:
            raise TruncatedFileError(f"a name has {len(text)} bytes instead of {length}")
        found.append(decode_bytes(text[:length]))
    return found


def _objects(file: FileBytes, address: int, wanted: set[int]) -> dict[int, bytes]:
    signature, version, nbytes = _HEAP.unpack(file.few(address, _HEAP.size))
    if signature != b"GCOL" or version != 1:
        raise TruncatedFileError(f"no texts begin at address {address}")
    data = file.structure(address, nbytes)
    found = {}
    at = _HEAP.size
    while at + _OBJECT.size <= nbytes:
        number, _, size = _OBJECT.unpack_from(data, at)
        if number == 0:  # the space that is left
            break
        at += _OBJECT.size
        if number in wanted:
            found[number] = data[at : at + size]
        at += -(-size // 8) * 8
    return found
