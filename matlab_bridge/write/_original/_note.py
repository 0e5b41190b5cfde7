"""A line of text beside a network, as a char row of its own in each version of MAT-files."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from matlab_bridge.matfile._header import ByteOrder
from matlab_bridge.matfile._level5._format import CHAR, MATRIX, UINT16

Units = NDArray[np.uint16]
"""The UTF-16 units that MATLAB's char is made of."""

NOTE = "prunelab_note"
"""The name of the variable."""

_INT8, _INT32, _UINT32 = 1, 5, 6
_LEVEL4_TEXT, _LEVEL4_BIG_ENDIAN = 1, 1000  # of doubles, as MATLAB stores it


def level5_note(units: Units, order: ByteOrder) -> bytes:
    """The element of a file of version 5, 6 or 7, not deflated."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)

    content = b"".join(
        [
            element(_UINT32, struct.pack(order + "II", CHAR, 0)),
            element(_INT32, struct.pack(order + "ii", 1, len(units))),
            element(_INT8, NOTE.encode("ascii")),
            element(UINT16, units.astype(order + "u2").tobytes()),
        ]
    )
    return struct.pack(order + "II", MATRIX, len(content)) + content


def level4_note(units: Units, order: ByteOrder) -> bytes:
    """The matrix of a file of version 4."""
    kind = _LEVEL4_TEXT + (_LEVEL4_BIG_ENDIAN if order == ">" else 0)
    name = NOTE.encode("ascii") + b"\0"
    header = struct.pack(order + "5i", kind, 1, len(units), 0, len(name))
    return header + name + units.astype(order + "f8").tobytes()


def units_of(text: str) -> Units:
    """The units of a text in one line: line ends and tabs become blanks."""
    return np.frombuffer(" ".join(text.split()).encode("utf-16-le"), "<u2").astype(np.uint16)
