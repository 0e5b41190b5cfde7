"""MAT-files of versions 5, 6 and 7: the Level 5 format of MATLAB's "MAT-File Format".

Why not `scipy.io.loadmat`, nor mat-io's copy of it: their compiled parser trusts the type numbers and sizes
that the file states (a damaged file can end the process instead of raising), drops the shape of char arrays
and the fields of empty structs, and lets objects of one file replace each other. The format is small, so it
is read here; SciPy is what the tests compare with.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from matlab_bridge._errors import LostObjectError, TruncatedFileError
from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._characters import distinct
from matlab_bridge.matfile._damage import SYMPTOMS
from matlab_bridge.matfile._header import HEADER_BYTES, ByteOrder, Header
from matlab_bridge.matfile._inflate import DEFLATE_ERRORS, MOST_INFLATION, THREADS, inflate_into, inflater
from matlab_bridge.matfile._info import VariableInfo
from matlab_bridge.matfile._lazy import LARGE, StoredArray, Wanted, stretches
from matlab_bridge.matfile._raw import DTYPES, Array

from ._format import COMPRESSED, MATRIX, TAG_BYTES
from ._matrix import MatrixReader, plain_data
from ._walk import Walker
from ._widen import allocate

# Class, size and name of a variable fit in this many of its first bytes, deflated or not.
_PREFIX_BYTES = 4096
# What the description of a variable takes, with its names and its place in the file.
_VARIABLE_BYTES = 600
# Numbers of a variable up to so many bytes are copied: what holds the bytes they are a view of takes more.
_SMALL = 1024


@dataclass(frozen=True, slots=True)
class _Element:
    """A data element of the file: its kind, and where its bytes are."""

    kind: int
    offset: int
    nbytes: int


class Level5File:
    """The variables of a v5, v6 or v7 file, each read when it is asked for."""

    def __init__(self, path: Path, header: Header, budget: Budget) -> None:
        self._path = path
        self._header = header
        self._budget = budget
        self._elements: dict[str, _Element] = {}
        self._started: dict[str, tuple[Array, Future[None]]] = {}
        found: dict[bytes, tuple[VariableInfo, _Element]] = {}
        with path.open("rb") as file:
            for number, element in enumerate(self._walk(file), start=1):
                budget.spend(_VARIABLE_BYTES, "the variables of a file")
                try:
                    name, info = self._describe(file, element)
                except SYMPTOMS:  # what is wrong with it is told when it is read, and hides no other
                    if element.offset == self._header.subsystem_offset + TAG_BYTES:
                        continue
                    name = f"variable {number}".encode()  # a blank, which no name in MATLAB has
                    info = VariableInfo(name.decode(), "unreadable", (0, 0))
                if name:  # the contents of objects come last, and have no name
                    # A variable that is there twice was saved anew; MATLAB as well takes the last.
                    found[name] = info, element
        names = distinct(info.name for info, _ in found.values())
        self._elements = {name: element for name, (_, element) in zip(names, found.values(), strict=True)}
        self.variables = tuple(replace(info, name=name) for name, (info, _) in zip(names, found.values(), strict=True))

    def read(self, name: str) -> Any:
        """Read a variable in its raw form."""
        element = self._elements[name]
        if name in self._started:
            data, filled = self._started.pop(name)
            if filled.cancel():  # no thread has begun it
                self._fill_alone(data, element)
            else:
                filled.result()
            self._count(data)
        else:
            data = self._data(element)
        found = MatrixReader(data.data, self._header.byte_order, self._budget).contents()
        return found.copy(order="K") if type(found) is np.ndarray and data.size <= _SMALL else found

    def stored(self, name: str) -> StoredArray | None:
        """A large numeric variable that is not deflated, to be read in parts; None for any other."""
        element, order = self._elements[name], self._header.byte_order
        if element.kind == COMPRESSED or element.nbytes < LARGE:
            return None
        with self._path.open("rb") as file:
            file.seek(element.offset)
            place = plain_data(file.read(_PREFIX_BYTES), element.nbytes, order)
        if place is None:
            return None
        header, stored, offset = place
        at, dtype = element.offset + offset, DTYPES[header.class_name]

        def block(axes: tuple[Wanted, ...]) -> Array:
            mapped = np.memmap(self._path, stored, "r", at, header.shape, order="F")
            return np.asarray(stretches(mapped, axes)).astype(dtype, copy=False)

        return StoredArray(header.shape, dtype, block)

    def read_ahead(self, names: Iterable[str]) -> Generator[str, None, None]:
        """Give the names one after the other, while another thread inflates the variables, the largest first."""
        waiting = list(names)
        targets: dict[str, Array] = {}
        with self._path.open("rb", buffering=0) as file:
            for name in waiting:
                if self._elements[name].kind == COMPRESSED:
                    # Memory that this thread allocates and frees is used again; each page of another's would be new.
                    with contextlib.suppress(TruncatedFileError, *DEFLATE_ERRORS):  # told when it is asked for
                        targets[name] = self._target(file, self._elements[name])
        # Whoever reads is one of the threads: what no other has begun is inflated when it is asked for.
        with ThreadPoolExecutor(THREADS - 1) as pool:
            try:
                # A large variable that is begun last keeps one thread busy when all others are done.
                for name in sorted(targets, key=lambda name: -targets[name].size):
                    filled = pool.submit(self._fill_alone, targets[name], self._elements[name])
                    self._started[name] = targets[name], filled
                for name in waiting:
                    yield name
                    self._started.pop(name, None)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                self._started.clear()

    @cached_property
    def subsystem(self) -> Array:
        """The struct that holds the contents of all objects.

        Raises:
            LostObjectError: the file has none.
        """
        offset = self._header.subsystem_offset
        if offset == 0:
            raise LostObjectError(
                "it is an object, and the file holds no more of it than a marker: its writer left the "
                "contents of all objects out (subsystem offset 0). Save the variable again in MATLAB"
            )
        with self._path.open("rb") as file:
            element = self._element(file, offset)
        stream = self._matrix(element)
        if type(stream) is not np.ndarray or stream.dtype != np.uint8:
            raise TruncatedFileError("the contents of its objects are no bytes")
        # A MAT-file within the MAT-file, its header cut down to version, byte order and four more bytes. What several
        # objects share is copied for each: it is read-only.
        content = stream.ravel(order="F").data.toreadonly()
        order: ByteOrder = "<" if content[2:4].tobytes() == b"IM" else ">"
        found: Array = MatrixReader(content[8:], order, self._budget).matrix()
        return found

    def _walk(self, file: BinaryIO) -> Iterator[_Element]:
        size = file.seek(0, os.SEEK_END)
        offset = HEADER_BYTES
        while offset < size:
            element = self._element(file, offset)
            yield element
            offset = element.offset + element.nbytes
        if self._header.subsystem_offset >= size:
            raise TruncatedFileError(
                f"the contents of its objects begin at byte {self._header.subsystem_offset} of {size}"
            )

    def _element(self, file: BinaryIO, offset: int) -> _Element:
        size = file.seek(0, os.SEEK_END)
        file.seek(offset)
        tag = file.read(TAG_BYTES)
        if len(tag) < TAG_BYTES:
            raise TruncatedFileError(f"the file ends at byte {size}, where a variable begins")
        kind, nbytes = struct.unpack(self._header.byte_order + "2I", tag)
        if kind not in (MATRIX, COMPRESSED):
            raise TruncatedFileError(f"no variable begins at byte {offset} of {size}")
        missing = offset + TAG_BYTES + nbytes - size
        if missing > 0:
            raise TruncatedFileError(f"a variable needs {missing} bytes more than the file's {size}")
        return _Element(kind, offset + TAG_BYTES, nbytes)

    def _describe(self, file: BinaryIO, element: _Element) -> tuple[bytes, VariableInfo]:
        """The name of a variable as it is stored, and what its header says."""
        file.seek(element.offset)
        start = file.read(min(element.nbytes, _PREFIX_BYTES))
        if element.kind == COMPRESSED:
            start = inflater().decompress(start, _PREFIX_BYTES)[TAG_BYTES:]
        self._budget.earn(len(start))
        header = Walker(start, self._header.byte_order).header(0, len(start))
        if not header.class_name:
            raise TruncatedFileError(f"its class is stated as number {header.kind}")
        if not header.is_opaque or not header.raw_name:
            return header.raw_name, header.info(header.shape)
        # The size of an array of objects is in its marker, which is small, but may be longer than the prefix.
        return header.raw_name, header.info(self._matrix(element).shape)

    def _matrix(self, element: _Element) -> Any:
        data = self._data(element)
        return MatrixReader(data.data, self._header.byte_order, self._budget).contents()

    def _data(self, element: _Element) -> Array:
        """The bytes of an element, inflated; they may be written to, so that arrays need not copy them."""
        with self._path.open("rb", buffering=0) as file:
            target = self._target(file, element)
            _fill(file, target, element)
        self._count(target)
        return target

    def _count(self, inflated: Array) -> None:
        # What describes a variable was counted when it was described.
        self._budget.earn(max(0, inflated.size - _PREFIX_BYTES))
        self._budget.spend(inflated.size, "the inflated bytes of a variable")

    def _target(self, file: io.RawIOBase, element: _Element) -> Array:
        """Room for the bytes of an element."""
        if element.kind != COMPRESSED:
            return allocate(element.nbytes)
        file.seek(element.offset)
        tag = inflater().decompress(file.read(min(_PREFIX_BYTES, element.nbytes)) or b"", TAG_BYTES)
        if len(tag) < TAG_BYTES:
            raise TruncatedFileError("a compressed variable ends before its contents do")
        kind, nbytes = struct.unpack(self._header.byte_order + "2I", tag)
        if kind != MATRIX:
            raise TruncatedFileError(f"a compressed variable begins with an element of kind {kind}")
        if nbytes > MOST_INFLATION * (element.nbytes + _PREFIX_BYTES):
            raise TruncatedFileError(f"a compressed variable states {nbytes} bytes, which the file cannot hold")
        return allocate(nbytes)

    def _fill_alone(self, target: Array, element: _Element) -> None:
        """Read an element by a thread of its own."""
        with self._path.open("rb", buffering=0) as file:
            _fill(file, target, element)


def _fill(file: io.RawIOBase, target: Array, element: _Element) -> None:
    file.seek(element.offset)
    if element.kind == COMPRESSED:
        _inflate_from(file, element.nbytes, target)
        return
    view, filled = target.data, 0
    while filled < element.nbytes:
        count = file.readinto(view[filled:])
        if not count:
            raise TruncatedFileError("the file became shorter while it was read")
        filled += count


def _inflate_from(file: io.RawIOBase, left: int, target: Array) -> None:
    """Inflate what follows in a file, but for its tag."""

    def take(count: int) -> bytes:
        nonlocal left
        piece = file.read(min(count, left)) or b""
        left -= len(piece)
        return piece

    stream = inflater()
    stream.decompress(take(_PREFIX_BYTES), TAG_BYTES)
    inflate_into(target, take, stream)
