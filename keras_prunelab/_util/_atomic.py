"""Results go to a temporary file beside their target, which replaces the target only when it is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from keras_prunelab._errors import DiskFullError, OverwriteError

_MARK = ".prunelab-"
_NAME = re.compile(re.escape(_MARK) + r"(?P<machine>[0-9a-f]{8})-(?P<process>\d{1,10})-")
_OLD = 24 * 3600.0
"""Seconds after which a temporary file belongs to no run that still writes it."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_folder(target: Path) -> None:
    """Make sure that a file can be written where it is to be, before any work.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: the file is a folder.
    """
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; give the path of a file to write.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"The folder {target.parent} does not exist; make it before writing {target.name}.")


@contextlib.contextmanager
def replace_whole(path: str | os.PathLike[str], *, sources: Iterable[str | os.PathLike[str]] = ()) -> Iterator[Path]:
    """Give a temporary path beside `path`, and put what was written there in its place.

    The temporary file is there, and empty, when the body starts. When the body succeeds it is flushed to the disk and
    replaces `path` in one step; when the body fails it is removed, and `path` is as it was. Handles on it must be
    closed before the body ends: Windows does not rename an open file. What runs that were killed have left in the
    folder is removed.

    Args:
        path: the target, whether or not it exists. Its folder must exist.
        sources: the files that the result is made from; none of them is replaced.

    Yields:
        A path in the same folder, with the same suffix as `path`.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: `path` is a folder.
        OverwriteError: `path` is one of the sources.
        DiskFullError: the disk has no room for what is written.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with replace_whole(target) as temporary:
        ...     _ = temporary.write_text("1 2 3", encoding="utf-8")
        >>> target.read_text(encoding="utf-8")
        '1 2 3'
    """
    target = Path(path)
    check_folder(target)
    refuse_to_overwrite(sources, target)
    _remove_leftovers(target.parent)
    with _room_for(f"{target}"):
        temporary = _empty_file_beside(target)
        try:
            yield temporary
            with temporary.open("rb+") as whole:
                os.fsync(whole.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def refuse_to_overwrite(sources: Iterable[str | os.PathLike[str]], *targets: str | os.PathLike[str]) -> None:
    """Make sure that no target is a file that the result is made from, by whatever path or link it is named.

    Args:
        sources: files, whether or not they exist.
        targets: the files to write.

    Raises:
        OverwriteError: naming the first that is.
    """
    for source in map(Path, sources):
        for target in map(Path, targets):
            if target.exists() and source.exists() and target.samefile(source):
                other = target.with_stem(f"{target.stem}_pruned")
                raise OverwriteError(
                    f"{target} is {_same(source, target)}what the result is made from, and is never written. Write to "
                    f"another path, such as {str(other)!r}, and rename that file if it is to take the place."
                )


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, a quota or a file system has no room; HDF5 says it in its message alone."""
    return getattr(error, "errno", None) in _FULL or any(os.strerror(code) in str(error) for code in _FULL)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give an empty folder among the system's temporary files; it is removed, and so are those of killed runs."""
    place = tempfile.gettempdir()
    _remove_leftovers(Path(place))
    with _room_for(f"temporary files in {place}"), tempfile.TemporaryDirectory(prefix=_tag()) as name:
        yield Path(name)


@contextlib.contextmanager
def _room_for(what: str) -> Iterator[None]:
    """Say it when a disk is full."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, DiskFullError) or not is_full(error):
            raise
        reason = os.strerror(getattr(error, "errno", None) or errno.ENOSPC)
        raise DiskFullError(
            f"There is no room for {what}: {reason}. Nothing was replaced; make room, or write elsewhere."
        ) from error


def _same(source: Path, target: Path) -> str:
    return "" if source == target else f"the same file as {source}, "


def _empty_file_beside(target: Path) -> Path:
    # Names may have 255 bytes, and a character up to four.
    descriptor, name = tempfile.mkstemp(f"{target.suffix[:10]}", f".{target.stem[:30]}{_tag()}", target.parent)
    os.close(descriptor)
    temporary = Path(name)
    # mkstemp makes files that only their owner reads; a result has the rights that any new file would have,
    # or those of the file that it replaces.
    temporary.chmod(target.stat().st_mode if target.exists() else 0o666 & ~_umask())
    return temporary


def _umask() -> int:
    # The only way to ask for the mask is to set it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _tag() -> str:
    """The part of a temporary name that says which process of which machine it belongs to."""
    return f"{_MARK}{_machine()}-{os.getpid()}-"


def _machine() -> str:
    """This machine; a container whose processes have numbers of their own is a machine as well."""
    try:
        numbers = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        numbers = ""
    return f"{zlib.crc32((platform.node() + numbers).encode()):08x}"


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of runs that are over: those of dead processes of this machine, and old ones."""
    for path in folder.glob(f"*{_MARK}*"):
        name = _NAME.search(path.name)
        with contextlib.suppress(OSError):  # another run removes it, or it is another user's
            if name and (_is_over(name) or time.time() - path.lstat().st_mtime > _OLD):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _is_over(name: re.Match[str]) -> bool:
    if name["machine"] != _machine() or os.name == "nt":  # Windows cannot be asked without ending the process
        return False
    try:
        os.kill(int(name["process"]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False
