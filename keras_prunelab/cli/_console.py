"""What the commands share in talking to a person: errors in one paragraph, progress, tables."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)

SECONDS_BETWEEN_LINES = 10.0
"""How often progress is told where there is no terminal to redraw."""


def say(text: str) -> None:
    """One line, plain: what the program does now, or where it has put something."""
    console.print(escape(text), soft_wrap=True)


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


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar with the time left on a terminal, a line now and then elsewhere; call it with (done, total, what)."""
    if not console.is_terminal:
        yield _plain(title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def advance(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=f"{title}: {escape(what)}" if what else title)

        yield advance


def _plain(title: str) -> Callable[[int, int, str], None]:
    begun = told = monotonic()

    def advance(done: int, total: int, what: str) -> None:
        nonlocal told
        now = monotonic()
        if done < total and now - told < SECONDS_BETWEEN_LINES:
            return
        told = now
        left = (now - begun) * (total - done) / max(done, 1)
        say(
            f"{title}: {done} of {total}"
            + (f" ({what})" if what else "")
            + (f", {left:.0f} s left" if done < total else "")
        )

    return advance
