"""What the commands share in talking to a person: errors in one paragraph, progress, tables."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_prunelab._progress import Advance, shown

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line, plain: what the program does now, or where it has put something."""
    console.print(escape(text), soft_wrap=True)


def warn(text: str) -> None:
    """Something that a person should know before believing what follows."""
    console.print(f"[bold red]Warning:[/] {escape(text)}", soft_wrap=True)


def complain(error: BaseException, *, debug: bool) -> None:
    """An error as one readable paragraph on the error stream, and the traceback before it when asked for."""
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    text = str(error) or type(error).__name__
    if (
        isinstance(error, OSError) and error.filename and error.strerror
    ):  # without the number that Python puts before it
        text = f"{error.strerror}: {error.filename}"
    stderr.print(f"[bold red]Error:[/] {escape(text)}", soft_wrap=True)


def table(title: str, columns: dict[str, str], rows: Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]) -> None:
    """A table; `columns` maps each heading to its side, `"left"` or `"right"`."""
    out = Table(title=escape(title), title_justify="left", title_style="bold", header_style="bold")
    for heading, side in columns.items():
        out.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for row in rows:
        out.add_row(*(escape(str(cell)) for cell in row))
    console.print(out)


@contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Keep what compiled libraries print on the error stream, such as TensorFlow on a missing graphics card, off it.

    They write to the file descriptor, past Python's `sys.stderr`. Python's own errors come after, and are seen.
    """
    try:
        descriptor = sys.stderr.fileno()
        kept = os.dup(descriptor)
    except (OSError, ValueError, AttributeError):  # no real stream, as in a notebook or a test
        yield
        return
    sys.stderr.flush()
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, descriptor)
        os.close(kept)


def progress(title: str) -> AbstractContextManager[Advance]:
    """A bar with rate and time left on a terminal, a line now and then elsewhere; call it with (done, total, what)."""
    return shown(title, console)
