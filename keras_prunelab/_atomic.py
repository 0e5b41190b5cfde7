"""Results go to a temporary file beside their target, which replaces the target only when it is whole."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `path` to write to, and rename it to `path` once the body has succeeded.

    Handles on the temporary file must be closed before the body ends: Windows does not rename an open file.

    Args:
        path: the target, whether or not it exists. Its folder must exist.

    Yields:
        A path in the same folder, with the same suffix, at which there is no file yet. When the body fails
        it is removed, and `path` is as it was.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: `path` is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; give the path of a file to write.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"The folder {target.parent} does not exist; make it before writing {target.name}.")
    temporary = target.with_name(f".{target.stem}-{uuid.uuid4().hex}{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
