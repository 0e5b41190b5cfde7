"""The sums that the structures of newer layouts end with: Bob Jenkins' lookup3."""

from __future__ import annotations

import struct

from matlab_bridge._errors import TruncatedFileError

SUM_BYTES = 4
"""What a sum takes."""

_MASK = 2**32 - 1
_BLOCK = struct.Struct("<3I")


def check_sum(data: bytes, what: str) -> None:
    """Refuse a structure whose last four bytes are not the sum of the others.

    Args:
        data: the whole structure.
        what: what it is, for the error.

    Raises:
        TruncatedFileError: it is damaged.
    """
    if lookup3(data[:-SUM_BYTES]).to_bytes(SUM_BYTES, "little") != data[-SUM_BYTES:]:
        raise TruncatedFileError(f"the sum of {what} is wrong")


def lookup3(data: bytes) -> int:
    """The sum of some bytes, as HDF5 starts it."""
    one: int
    two: int
    three: int
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    if not data:
        return c
    last = (len(data) - 1) // _BLOCK.size * _BLOCK.size
    for one, two, three in _BLOCK.iter_unpack(data[:last]):
        a, b, c = a + one & _MASK, b + two & _MASK, c + three & _MASK
        a = (a - c & _MASK) ^ (c << 4 & _MASK | c >> 28)
        c = c + b & _MASK
        b = (b - a & _MASK) ^ (a << 6 & _MASK | a >> 26)
        a = a + c & _MASK
        c = (c - b & _MASK) ^ (b << 8 & _MASK | b >> 24)
        b = b + a & _MASK
        a = (a - c & _MASK) ^ (c << 16 & _MASK | c >> 16)
        c = c + b & _MASK
        b = (b - a & _MASK) ^ (a << 19 & _MASK | a >> 13)
        a = a + c & _MASK
        c = (c - b & _MASK) ^ (b << 4 & _MASK | b >> 28)
        b = b + a & _MASK
    one, two, three = _BLOCK.unpack(data[last:].ljust(_BLOCK.size, b"\x00"))
    a, b, c = a + one & _MASK, b + two & _MASK, c + three & _MASK
    c = (c ^ b) - (b << 14 & _MASK | b >> 18) & _MASK
    a = (a ^ c) - (c << 11 & _MASK | c >> 21) & _MASK
    b = (b ^ a) - (a << 25 & _MASK | a >> 7) & _MASK
    c = (c ^ b) - (b << 16 & _MASK | b >> 16) & _MASK
    a = (a ^ c) - (c << 4 & _MASK | c >> 28) & _MASK
    b = (b ^ a) - (a << 14 & _MASK | a >> 18) & _MASK
    return (c ^ b) - (b << 24 & _MASK | b >> 8) & _MASK
