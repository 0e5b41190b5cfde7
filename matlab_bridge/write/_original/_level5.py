"""The arrays of a MAT-file of version 5, 6 or 7: a header, then one element a variable, deflated mostly."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast, final

import numpy as np

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._damage import SYMPTOMS
from matlab_bridge.matfile._header import HEADER_BYTES, ByteOrder, Header
from matlab_bridge.matfile._level5._format import COMPRESSED, TAG_BYTES
from matlab_bridge.matfile._level5._places import STORED_AS, NumericArray, numeric_arrays
from matlab_bridge.matfile._level5._walk import Walker

from ._array_file import ArrayFile, Place, Vector
from ._note import NOTE, Units, level5_note

# Weights of which half are zero deflate in half the time of zlib's default level, to 2 % more bytes.
_LEVEL = 4
_SUBSYSTEM_OFFSET = 116  # where in the header the offset of the subsystem stands


@dataclass(frozen=True, slots=True)
class TopLevelElement:
    """A variable, or the subsystem, in the bytes of the file: from its tag at `start` to `stop`."""

    start: int
    stop: int
    is_compressed: bool

    def raw(self, file: BinaryIO) -> bytes:
        """Its bytes as they stand in the file."""
        file.seek(self.start)
        return file.read(self.stop - self.start)

    def content(self, file: BinaryIO) -> bytes:
        """The element itself: tag and data, inflated.

        A deflated stream that lacks its end is accepted here, for MATLAB writes one now and then; numbers
        that are missing are noticed when the content is walked.
        """
        raw = self.raw(file)
        if not self.is_compressed:
            return raw
        try:
            return zlib.decompressobj().decompress(memoryview(raw)[8:])
        except zlib.error as error:
            raise TruncatedFileError(
                f"The MAT-file is damaged: the variable at byte {self.start} does not inflate ({error}). "
                "Copy or download the file again, or save it again in MATLAB."
            ) from error

    def packed(self, content: bytes, order: ByteOrder) -> bytes:
        """Other content in the form of this element."""
        if not self.is_compressed:
            return content
        deflated = zlib.compress(content, _LEVEL)
        return struct.pack(order + "II", COMPRESSED, len(deflated)) + deflated


@dataclass(frozen=True, slots=True)
class Level5Place:
    """An array of a top-level element; offsets of `array` count in the inflated element."""

    element: TopLevelElement
    array: NumericArray


@final
class Level5Arrays(ArrayFile):
    """A MAT-file of version 5, 6 or 7, of either byte order.

    Args:
        path: the file.
        header: what its first bytes say.
    """

    def __init__(self, path: Path, header: Header) -> None:
        super().__init__(path)
        self._order = header.byte_order
        self._subsystem = header.subsystem_offset
        with path.open("rb") as file:
            self._elements = tuple(self._index(file))

    def _index(self, file: BinaryIO) -> Iterator[TopLevelElement]:
        start, end = HEADER_BYTES, self.path.stat().st_size
        while start < end:
            file.seek(start)
            tag = file.read(8)
            kind, nbytes = struct.unpack(self._order + "II", tag) if len(tag) == 8 else (0, 0)
            stop = start + 8 + nbytes
            if len(tag) < 8 or stop > end:
                raise TruncatedFileError(
                    f"{self.path} is cut off: the variable at byte {start} should end at byte {stop}, but "
                    f"the file ends at {end}. Copy or download the file again, or save it again in MATLAB."
                )
            yield TopLevelElement(start, stop, kind == COMPRESSED)
            start = stop

    def arrays(self, sizes: Collection[int]) -> Iterator[tuple[Place, Vector]]:
        with self.path.open("rb") as file:
            for element in self._elements:
                content = element.content(file)
                for array in numeric_arrays(content, self._order, subsystem=element.start == self._subsystem):
                    if array.dtype.kind == "f" and array.size in sizes:
                        yield Level5Place(element, array), array.values(content)

    def write(self, target: Path, changes: Mapping[Place, Vector], note: Units | None = None) -> None:
        changed: defaultdict[TopLevelElement, dict[NumericArray, Vector]] = defaultdict(dict)
        for place, values in cast(Mapping[Level5Place, Vector], changes).items():
            changed[place.element][place.array] = values
        with self.path.open("rb") as source, target.open("wb") as copy:
            copy.write(source.read(HEADER_BYTES))
            added = b"" if note is None else level5_note(note, self._order)
            for element in self._elements:
                if element.start == self._subsystem:
                    copy.write(added)  # the contents of objects come after all variables
                    added = b""
                    _write_at(copy, _SUBSYSTEM_OFFSET, struct.pack(self._order + "Q", copy.tell()))
                elif note is not None and self._name(element, source) == NOTE:
                    continue
                self._write(element, changed.get(element), source, copy)
            copy.write(added)

    def _write(
        self, element: TopLevelElement, changed: Mapping[NumericArray, Vector] | None, source: BinaryIO, copy: BinaryIO
    ) -> None:
        if changed is None:
            copy.write(element.raw(source))
        else:
            copy.write(element.packed(replace_arrays(element.content(source), changed), self._order))

    def _name(self, element: TopLevelElement, file: BinaryIO) -> str:
        """The name of a variable; empty where it cannot be read."""
        content = element.content(file)
        with contextlib.suppress(*SYMPTOMS):
            return Walker(content, self._order).header(TAG_BYTES, len(content)).name
        return ""


def _write_at(file: BinaryIO, offset: int, data: bytes) -> None:
    end = file.tell()
    file.seek(offset)
    file.write(data)
    file.seek(end)


_KINDS = {dtype: kind for kind, dtype in STORED_AS.items()}


def replace_arrays(content: bytes, changes: Mapping[NumericArray, Vector]) -> bytes:
    """The content with other numbers in some of its arrays, and with the sizes that follow from them.

    Args:
        content: the stream in which `numeric_arrays` found the arrays.
        changes: for each array its numbers in column-major order, of its own dtype and size.
    """
    arrays = sorted(changes, key=lambda array: array.tag.start)
    elements = [_element(array, changes[array]) for array in arrays]
    buffer = bytearray(content)
    for array, element in zip(arrays, elements, strict=True):
        growth = len(element) - (array.tag.stop - array.tag.start)
        for counter in array.counters if growth else ():
            (count,) = struct.unpack_from(array.order + "I", buffer, counter)
            struct.pack_into(array.order + "I", buffer, counter, count + growth)
    pieces: list[bytes | memoryview] = []
    done = 0
    for array, element in zip(arrays, elements, strict=True):
        pieces += [memoryview(buffer)[done : array.tag.start], element]
        done = array.tag.stop
    return b"".join([*pieces, memoryview(buffer)[done:]])


def _element(array: NumericArray, values: Vector) -> bytes:
    """The bytes from tag to padding with other numbers, stored in the same type if that is exact."""
    storage = array.storage if _holds(array.storage, values) else array.dtype
    data = values.astype(storage.newbyteorder(array.order)).tobytes()
    kind = _KINDS[storage]
    if array.tag.is_small and len(data) <= 4:
        return struct.pack(array.order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(array.order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def _holds(storage: np.dtype[Any], values: Vector) -> bool:
    """Whether numbers can be stored in this type, and come back as they were."""
    if np.can_cast(values.dtype, storage):
        return True
    if storage.kind == "f":
        with np.errstate(over="ignore"):
            return np.array_equal(values.astype(storage).astype(values.dtype), values, equal_nan=True)
    limits = np.iinfo(storage)
    whole = np.isfinite(values).all() and (values == np.rint(values)).all()
    return bool(whole and values.min(initial=0) >= limits.min and values.max(initial=0) < limits.max + 1)
