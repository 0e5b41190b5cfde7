"""What the commands share in talking to a person: errors in one paragraph, progress, tables."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_prunelab._text import one_line, visible
from keras_prunelab._util._progress import Advance, show_progress

from ._words import in_options

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line, plain: what the program does now, or where it has put something."""
    console.print(escape(visible(text)), soft_wrap=True)


def warn(text: str) -> None:
    """Something that a person should know before believing what follows."""
    console.print(f"[bold red]Warning:[/] {escape(visible(text))}", soft_wrap=True)


def complain(error: BaseException, *, debug: bool) -> None:
    """An error as one readable paragraph on the error stream, and the traceback before it when asked for."""
    if debug:
        sys.stderr.write(visible("".join(traceback.format_exception(error))))
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:  # without the number that Python puts before it
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    stderr.print(f"[bold red]Error:[/] {escape(visible(in_options(text)))}", soft_wrap=True)


def table(title: str, columns: dict[str, str], rows: Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]) -> None:
    """A table; `columns` maps each heading to its side, `"left"` or `"right"`."""
    out = Table(title=escape(visible(title)), title_justify="left", title_style="bold", header_style="bold")
    for heading, side in columns.items():
        out.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for row in rows:
        out.add_row(*(escape(one_line(str(cell))) for cell in row))
    console.print(out)


def shell_word(text: str) -> str:
    """A path or a name as a word of a command line to copy: whatever a name holds, no shell runs any of it."""
    return f'"{text}"' if re.fullmatch(r"[\w.{}(), :/\\-]+", text) else shlex.quote(visible(text))


class _Output:
    """A standard stream that goes on where nobody reads any more, as after `| head`: the rest is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._unread_is_dropped():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._unread_is_dropped():
            self._stream.flush()

    @contextmanager
    def _unread_is_dropped(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with Path(os.devnull).open("wb") as nowhere:  # where Python itself flushes what is left at the end
                os.dup2(nowhere.fileno(), self._stream.fileno())
            # Windows says EINVAL of a pipe that is closed.
            if not isinstance(error, BrokenPipeError) and not (os.name == "nt" and error.errno == errno.EINVAL):
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def streams() -> Iterator[None]:
    """Let the body write to standard streams that may be closed, that lack characters, and that obey no warning."""
    out, err, formatted = sys.stdout, sys.stderr, warnings.formatwarning
    for stream in (out, err):
        if hasattr(stream, "reconfigure"):  # a Windows console may lack a character of a file's name or a plot's title
            stream.reconfigure(errors="replace")
    sys.stdout, sys.stderr = cast("TextIO", _Output(out)), cast("TextIO", _Output(err))
    warnings.formatwarning = lambda *given, **options: visible(formatted(*given, **options))
    try:
        yield
    finally:
        sys.stdout, sys.stderr, warnings.formatwarning = out, err, formatted


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
    return show_progress(title, console)
