"""Results go to a temporary file beside their target, which replaces the target only when it is whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, and put what was written there in its place.

    The temporary file is there, and empty, when the body starts. When the body succeeds it replaces `path`
    in one step; when the body fails it is removed, and `path` is as it was. Handles on it must be closed
    before the body ends: Windows does not rename an open file.

    Args:
        path: the target, whether or not it exists. Its folder must exist.

    Yields:
        A path in the same folder, with the same suffix as `path`.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: `path` is a folder.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with replacing(target) as temporary:
        ...     _ = temporary.write_text("1 2 3", encoding="utf-8")
        >>> target.read_text(encoding="utf-8")
        '1 2 3'
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; give the path of a file to write.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"The folder {target.parent} does not exist; make it before writing {target.name}.")
    temporary = _empty_file_beside(target)
    try:
        yield temporary
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _empty_file_beside(target: Path) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
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
