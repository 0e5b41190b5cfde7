"""What one file may cost in memory, whatever sizes it states."""

from __future__ import annotations

from typing import final

from matlab_bridge._errors import TruncatedFileError

FREE_BYTES = 60 * 2**20
"""What every file may take, however small it is: 64 MiB, but for 4 of what is not counted, and there meanwhile."""

BYTES_PER_BYTE = 8
"""What each byte that is really in the file, inflated, allows on top."""


@final
class Budget:
    """The memory that the values of one file may take, shared by all its variables and objects.

    A reader calls `earn` when bytes of the file have been read or inflated, once for the same bytes, and `spend`
    before it allocates: on every visit, also of what was visited before; `free` is for what is known to be freed before
    anything else is allocated. What a header states, and what a reference
    repeats, earns nothing.
    """

    def __init__(self) -> None:
        self._left = FREE_BYTES

    @property
    def left(self) -> int:
        """The bytes that may yet be allocated."""
        return self._left

    def earn(self, nbytes: int) -> None:
        """Count bytes that are present: 0 or more, after inflating them."""
        self._left += BYTES_PER_BYTE * nbytes

    def free(self, nbytes: int) -> None:
        """Count bytes that were spent, and are not needed any more: 0 or more."""
        self._left += nbytes

    def spend(self, nbytes: int, what: str) -> None:
        """Count bytes that are about to be allocated.

        Args:
            nbytes: how many; fewer than none, as a damaged count may have it, are refused.
            what: what takes them, for the error: a plural, such as `"the elements of a cell"`.

        Raises:
            TruncatedFileError: the file holds too few bytes for so many; nothing is counted then.
        """
        if not 0 <= nbytes <= self._left:
            raise TruncatedFileError(
                f"{what} would take {nbytes} bytes of memory, and what the file holds allows {self._left} more"
            )
        self._left -= nbytes
