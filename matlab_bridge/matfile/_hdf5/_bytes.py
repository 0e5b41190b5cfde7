"""The bytes of a file at any place."""

from __future__ import annotations

import io
import os
import threading

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._raw import Array

from ._checksum import check_sum

_WINDOW = 2**16
# What is spent for the time that something takes: a visit, and the sum of each byte.
_VISIT_COST, _SUM_COST = 512, 3
_HAS_PREAD = hasattr(os, "pread")


class FileBytes:
    """The bytes of an open file, for several threads; what is small is seen through a window that moves.

    Args:
        file: opened without a buffer.
        base: where in it address 0 is, behind MATLAB's header.
        budget: of the file.
        inflated: addresses of chunks that have earned it already.

    Attributes:
        file, base, budget, inflated: the same.
        nbytes: the size of the file.
    """

    def __init__(self, file: io.FileIO, base: int, budget: Budget, inflated: set[int]) -> None:
        self.file = file
        self.base = base
        self.budget = budget
        self.inflated = inflated
        self.nbytes = os.fstat(file.fileno()).st_size
        self._window = b""
        self._start = 0
        self._lock = threading.Lock()
        self._checked: set[tuple[int, int]] = set()

    def few(self, address: int, nbytes: int) -> bytes:
        """A few bytes, for one thread at a time.

        Raises:
            TruncatedFileError: the file ends before them.
        """
        within = address - self._start
        if within < 0 or within + nbytes > len(self._window):
            self._check(address, nbytes)
            self._start = address
            self._window = self.read(address, min(max(nbytes, _WINDOW), self.nbytes - self.base - address))
            within = 0
        return self._window[within : within + nbytes]

    def read(self, address: int, nbytes: int) -> bytes:
        """Some bytes.

        Raises:
            TruncatedFileError: the file ends before them.
        """
        self._check(address, nbytes)
        if _HAS_PREAD:
            data = os.pread(self.file.fileno(), nbytes, self.base + address)
        else:
            with self._lock:
                self.file.seek(self.base + address)
                data = self.file.read(nbytes)
        if len(data) != nbytes:  # the system may give fewer, at most 2 GiB at once
            target = bytearray(nbytes)
            self.read_into(memoryview(target), address)
            data = bytes(target)
        return data

    def structure(self, address: int, nbytes: int) -> bytes:
        """Some bytes, for one thread at a time, that say where other bytes are: they spend the budget on every visit.

        Raises:
            TruncatedFileError: the file ends before them, or holds too few bytes to read so many.
        """
        data = self.few(address, nbytes) if nbytes <= _WINDOW else self.read(address, nbytes)
        self.budget.spend(nbytes + _VISIT_COST, "what says where values are")
        return data

    def check(self, address: int, data: bytes, what: str) -> None:
        """Refuse a structure whose sum is wrong; it is computed once, for it takes long.

        Args:
            address: of the structure.
            data: its bytes, which end with the sum.
            what: what it is, for the error.

        Raises:
            TruncatedFileError: it is damaged.
        """
        if (address, len(data)) not in self._checked:
            self.budget.spend(_SUM_COST * len(data), "sums")
            check_sum(data, what)
            self._checked.add((address, len(data)))

    def read_into(self, target: memoryview, address: int) -> None:
        """Fill a buffer of bytes with those of the file.

        Raises:
            TruncatedFileError: the file ends before them.
        """
        self._check(address, len(target))
        with self._lock:
            self.file.seek(self.base + address)
            filled = 0
            while filled < len(target):
                count = self.file.readinto(target[filled:])
                if not count:
                    raise TruncatedFileError("the file became shorter while it was read")
                filled += count

    def array_into(self, target: Array, address: int) -> None:
        """Fill an array, whose elements lie one after the other, with the bytes of the file."""
        self.read_into(target.reshape(-1).view("u1").data, address)

    def _check(self, address: int, nbytes: int) -> None:
        if address < 0 or nbytes < 0 or self.base + address + nbytes > self.nbytes:
            raise TruncatedFileError(f"{nbytes} bytes at address {address} are beyond the file's {self.nbytes}")
