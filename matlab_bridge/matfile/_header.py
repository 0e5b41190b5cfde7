"""What kind of MAT-file a file is, told from its first bytes."""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matlab_bridge._errors import NotAMatFileError, TruncatedFileError

from ._characters import decode_bytes

Version = Literal["v4", "v7", "v7.3"]
ByteOrder = Literal["<", ">"]

HEADER_BYTES = 128

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SIGNATURES = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"PK\x03\x04": "a zip archive (a .keras, .mlx or .slx file is one as well)",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"\x93NUMPY": "a NumPy .npy array",
    b"Octave-1-L": "GNU Octave's own binary format; in Octave, save with `save -v7 file.mat`",
    b"# Created by Octave": "GNU Octave's own text format; in Octave, save with `save -v7 file.mat`",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file itself with `git lfs pull`",
    b"%YAML": "a YAML document",
    b"<!DOCTYPE": "a web page; the download may have failed",
    b"<html": "a web page; the download may have failed",
    _HDF5_SIGNATURE: "an HDF5 file without MATLAB's header; it may be read with h5py",
}


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a MAT-file.

    Attributes:
        version: `"v4"`, `"v7"` (all versions of the Level 5 format: v5, v6 and v7) or `"v7.3"`.
        byte_order: of the numbers in the file, as `struct` writes it.
        text: what the writer says about itself; empty in v4.
        subsystem_offset: where the contents of objects begin (Level 5); 0 where there are none.
    """

    version: Version
    byte_order: ByteOrder
    text: str = ""
    subsystem_offset: int = 0

    @property
    def created(self) -> str:
        """The date in the text, in the writer's own words and language."""
        date = self.text.partition("Created on")[2].removeprefix(":")
        return re.split("HDF5 schema|by matio", date)[0].strip()

    @property
    def platform(self) -> str:
        """The platform in the text, such as `PCWIN64`; SciPy writes `posix` or `nt`, Octave names itself."""
        if "written by Octave" in self.text:
            return "Octave"
        if "by matio" in self.text:
            return "mat-io"
        match = re.search(r"Platform:?\s*([^\s,.]+)", self.text)
        return match[1] if match else ""


def read_header(path: Path) -> Header:
    """Read the header of a MAT-file of any version.

    Raises:
        NotAMatFileError: the bytes are something else; the message says what they look like.
        TruncatedFileError: the file ends within its header.
        FileNotFoundError, IsADirectoryError, PermissionError: as Python raises them.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the path of a .mat file.")
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
        size = file.seek(0, os.SEEK_END)
        if not start:
            raise NotAMatFileError(
                f"{path} is empty (0 bytes). It may not have been written, or not fetched, to its end."
            )
        file.seek(512)
        block_at_512 = file.read(len(_HDF5_SIGNATURE))

    order = _level5_byte_order(start)
    if order is not None:
        return _level5_header(path, start, order, block_at_512, size)
    if start.startswith(b"MATLAB ") and size < HEADER_BYTES:
        raise TruncatedFileError(
            f"{path} ends after {size} bytes, within the header of a MAT-file ({HEADER_BYTES} bytes). "
            "Fetch or save it again."
        )
    order = level4_byte_order(start)
    if order is not None:
        return Header("v4", order)
    raise NotAMatFileError(
        f"{path} is not a MAT-file: it looks like {_looks_like(start)}. Expected a file that MATLAB's `save` wrote."
    )


def _level5_byte_order(start: bytes) -> ByteOrder | None:
    return {b"IM": "<", b"MI": ">"}.get(start[126:128])  # type: ignore[return-value]


def _level5_header(path: Path, start: bytes, order: ByteOrder, block_at_512: bytes, size: int) -> Header:
    major = struct.unpack(order + "H", start[124:126])[0] >> 8
    text = decode_bytes(start[:116].rstrip(b"\x00 "))
    if major == 2:
        if block_at_512 != _HDF5_SIGNATURE:
            raise TruncatedFileError(
                f"{path} has the header of a v7.3 file, but no HDF5 data after it. Fetch or save it again."
            )
        return Header("v7.3", order, text)
    if major != 1:
        raise NotAMatFileError(f"{path} has a MAT-file header of version {major}; known are 1 (v5 to v7) and 2 (v7.3).")
    # Writers that have no objects leave the field zero, fill it with spaces, or let their text run into it.
    raw_offset = start[116:124]
    offset = struct.unpack(order + "Q", raw_offset)[0]
    is_text = offset >= size and all(byte == 0 or 32 <= byte < 127 for byte in raw_offset)
    return Header("v7", order, text, 0 if is_text else offset)


def level4_byte_order(start: bytes) -> ByteOrder | None:
    """The byte order in which `start` is the header of a v4 variable, or None if it is in neither."""
    if len(start) < 20:
        return None
    orders: tuple[ByteOrder, ...] = ("<", ">")
    for order in orders:
        kind, rows, columns, imaginary, name_length = struct.unpack(order + "5i", start[:20])
        # The thousands say the byte order (0 little, 1 big), the hundreds are always 0.
        endian, zero, precision, matrix = kind // 1000, kind // 100 % 10, kind // 10 % 10, kind % 10
        if (
            0 <= kind <= 1052
            and endian == (order == ">")
            and zero == 0
            and precision <= 5
            and matrix <= 2
            and rows >= 0
            and columns >= 0
            and imaginary in (0, 1)
            and 1 <= name_length <= 4096
        ):
            return order
    return None


def _looks_like(start: bytes) -> str:
    for signature, description in _SIGNATURES.items():
        if start.startswith(signature):
            return description
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        # The 128th byte may fall within a character.
        text = start[: error.start].decode("utf-8") if error.start > 100 else ""
    if text and all(character.isprintable() or character in "\r\n\t\f" for character in text):
        return f"text, beginning {text.splitlines()[0].strip()[:40]!r}"
    return "binary data of an unknown kind"
