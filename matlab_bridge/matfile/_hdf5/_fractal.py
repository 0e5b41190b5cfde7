"""Fractal heaps: where newer layouts keep the links and attributes of an object that has many (section III.G)."""

from __future__ import annotations

import bisect
import struct

from matlab_bridge._errors import TruncatedFileError

from ._btree2 import bytes_for, records_of
from ._bytes import FileBytes
from ._checksum import SUM_BYTES

_HEADER = struct.Struct("<4sBHHBIQQ80xHQQHHQH4x")
_BLOCK = struct.Struct("<4sBQ")
_HUGE_RECORD = struct.Struct("<QQQ")
_MANAGED, _HUGE, _TINY = range(3)
_HUGE_OBJECTS = 1
_UNDEFINED = 2**64 - 1


class FractalHeap:
    """The objects of a heap.

    Args:
        file: the bytes of the file.
        address: of the header of the heap.

    Raises:
        TruncatedFileError: there is none, or it is damaged.
    """

    def __init__(self, file: FileBytes, address: int) -> None:
        self._file = file
        header = file.structure(address, _HEADER.size)
        signature, version, _, filters, flags, most, _, self._huge_index, *table = _HEADER.unpack(header)
        if signature != b"FRHP" or version != 0:
            raise TruncatedFileError(f"no heap begins at address {address}")
        if filters:
            raise TruncatedFileError("the names or attributes of a group are compressed")
        file.check(address, header, "a heap")
        self._width, self._start, self._most_direct, bits, _, root, rows = table
        if not self._width or not self._start or self._most_direct < self._start:
            raise TruncatedFileError("a heap states sizes that do not fit together")
        self._offset_bytes = -(-bits // 8)
        self._length_bytes = min(-(-(self._most_direct.bit_length() - 1) // 8), bytes_for(most))
        self._sum_bytes = SUM_BYTES * bool(flags & 2)
        self._direct_rows = self._most_direct.bit_length() - self._start.bit_length() + 2
        self._starts: list[int] = []  # where in the heap each block of objects begins
        self._blocks: list[bytes] = []
        self._huge: dict[int, tuple[int, int]] | None = None
        if root != _UNDEFINED:
            self._read_blocks(root, rows)

    def object(self, identifier: bytes) -> bytes:
        """The bytes of an object.

        Args:
            identifier: of the object, as an index gives it.

        Raises:
            TruncatedFileError: the heap has no such object.
        """
        kind = identifier[0] >> 4 & 3
        if identifier[0] >> 6 or kind > _TINY:
            raise TruncatedFileError("a heap has no objects of that kind")
        if kind == _TINY:
            return identifier[1 : 2 + (identifier[0] & 15)]
        if kind == _HUGE:
            place, nbytes = self._huge_objects().get(int.from_bytes(identifier[1:], "little"), (0, 2**63))
            return self._file.structure(place, nbytes)
        end = 1 + self._offset_bytes
        offset = int.from_bytes(identifier[1:end], "little")
        length = int.from_bytes(identifier[end : end + self._length_bytes], "little")
        number = bisect.bisect_right(self._starts, offset) - 1
        within = offset - self._starts[max(number, 0)] if self._starts else 0
        found = self._blocks[number][within : within + length] if number >= 0 else b""
        if len(found) != length:
            raise TruncatedFileError("a heap does not hold an object of its index")
        return found

    def _huge_objects(self) -> dict[int, tuple[int, int]]:
        if self._huge is None:
            _, records = records_of(self._file, self._huge_index, (_HUGE_OBJECTS,))
            self._huge = {n: (place, nbytes) for place, nbytes, n in map(_HUGE_RECORD.unpack, records)}
        return self._huge

    def _read_blocks(self, root: int, rows: int) -> None:
        # Address, rows (0 of a block of objects), size of a block of objects.
        blocks = [(root, rows, self._start)]
        met = {root}
        for address, count, size in blocks:
            start, head, data = self._block(address, count, size)
            if not count:
                at = bisect.bisect(self._starts, start)
                self._starts.insert(at, start)
                self._blocks.insert(at, data)
                continue
            children = struct.unpack_from(f"<{count * self._width}Q", data, head)
            for i, child in enumerate(children):
                if child == _UNDEFINED:
                    continue
                if child in met:
                    raise TruncatedFileError("a heap leads in a circle")
                met.add(child)
                row = i // self._width
                nbytes = self._start << max(row - 1, 0)
                inner = 0
                if row >= self._direct_rows:  # a block of blocks that covers as much as a row so far on
                    inner = nbytes.bit_length() - (self._start * self._width).bit_length() + 1
                    if inner < 1:
                        raise TruncatedFileError("a heap states sizes that do not fit together")
                blocks.append((child, inner, nbytes))

    def _block(self, address: int, rows: int, size: int) -> tuple[int, int, bytes]:
        """Where in the heap a block begins, the bytes of its head, and all of its bytes."""
        head = _BLOCK.size + self._offset_bytes
        nbytes = head + rows * self._width * 8 + SUM_BYTES if rows else size
        data = self._file.structure(address, nbytes)
        signature, version, _ = _BLOCK.unpack_from(data)
        if signature != (b"FHIB" if rows else b"FHDB") or version != 0:
            raise TruncatedFileError(f"no block of a heap begins at address {address}")
        if rows:
            self._file.check(address, data, "a block of a heap")
        elif self._sum_bytes:  # it counts as zeros in itself
            end = head + SUM_BYTES
            whole = data[:head] + bytes(SUM_BYTES) + data[end:] + data[head:end]
            self._file.check(address, whole, "a block of a heap")
        return int.from_bytes(data[_BLOCK.size : head], "little"), head, data
