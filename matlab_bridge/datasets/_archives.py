"""Zip archives from elsewhere: every member is checked, and none is read beyond the size that it states."""

from __future__ import annotations

import contextlib
import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from matlab_bridge._errors import DatasetError, UnsafeArchiveError

from ._values import shorten

MAX_BYTES = 4 << 30
"""The most that an archive may take, inflated, unless somebody allows more."""
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError, LookupError, ArithmeticError),
    *(RuntimeError, NotImplementedError),  # of passwords, and of versions and compressions that zipfile does not know
)
"""What `zipfile` raises where bytes are not what it expects."""

_CHUNK = 1 << 20
# Deflate cannot do better than about 1 : 1,032; a nested or overlapping archive can.
_LARGEST_RATIO = 1100
_MOST_NAMED = 5


@contextlib.contextmanager
def open_container(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive, open while the body runs.

    Raises:
        FileNotFoundError, PermissionError: as Python raises them.
        DatasetError: it is no zip archive, or a broken one.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, *DAMAGE) as error:
        raise DatasetError(f"{path} cannot be read, it is no zip archive, or a broken one: {error}.") from error
    with archive:
        yield archive


def members_of(archive: zipfile.ZipFile, max_bytes: int) -> dict[tuple[str, ...], zipfile.ZipInfo]:
    """The files in an archive by the parts of their paths.

    Args:
        archive: an open archive.
        max_bytes: the most that its members may take, inflated.

    Raises:
        UnsafeArchiveError: for members with absolute paths or `..`, for symbolic links, and for too much data.
        DatasetError: a member is encrypted, or two have one name.
    """
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    for member in members:
        _check(member)
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise UnsafeArchiveError(
            f"{archive.filename} would grow to {total} bytes, more than the {max_bytes} that are allowed. If "
            "you trust it, pass max_bytes=."
        )
    found = {PurePosixPath(_path(member)).parts: member for member in members}
    if len(found) < len(members):
        counts = Counter(PurePosixPath(_path(member)).parts for member in members)
        twice = ["/".join(parts) for parts, count in counts.items() if count > 1]
        raise DatasetError(
            f"{archive.filename} has several members named {shorten(twice, _MOST_NAMED)}, and which of them is "
            "meant cannot be told. Make the archive anew with each file once."
        )
    return found


def bytes_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's bytes, counted while they are inflated: the size that an archive claims need not be true."""
    chunks, total = [], 0
    try:
        with archive.open(member) as stream:
            while chunk := stream.read(_CHUNK):
                total += len(chunk)
                if total > member.file_size:
                    raise UnsafeArchiveError(f"The archive's member {member.filename!r} is larger than it claims.")
                chunks.append(chunk)
    except UnsafeArchiveError:
        raise
    except (OSError, *DAMAGE) as error:
        raise DatasetError(f"The archive's member {member.filename!r} cannot be read: {error}") from error
    return b"".join(chunks)


def _path(member: zipfile.ZipInfo) -> str:
    return member.filename.replace("\\", "/")


def _check(member: zipfile.ZipInfo) -> None:
    name = _path(member)
    reason = None
    if not name:
        reason = "has no name"
    elif name.startswith("/") or re.match(r"[A-Za-z]:", name):
        reason = "has an absolute path"
    elif ".." in PurePosixPath(name).parts:
        reason = "leaves the folder of the archive"
    elif stat.S_ISLNK(member.external_attr >> 16):
        reason = "is a symbolic link"
    elif member.file_size > _LARGEST_RATIO * max(member.compress_size, 1):
        reason = f"claims to grow from {member.compress_size} to {member.file_size} bytes"
    if reason:
        raise UnsafeArchiveError(
            f"The archive's member {member.filename!r} {reason}. Make the archive anew without it."
        )
    if member.flag_bits & 1:
        raise DatasetError(
            f"The archive's member {member.filename!r} is encrypted. Make the archive without a password."
        )
