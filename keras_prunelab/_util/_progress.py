"""How far something is, for a person.

A bar with rate and time left on a terminal and in a notebook, a line now and then elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from keras_prunelab._text import one_line, visible

Advance: TypeAlias = Callable[[int, int, str], None]
"""Called with what is done, of how much, and what happens now."""

SECONDS_BETWEEN_LINES = 10.0
"""How often progress is told where there is no terminal to redraw."""
SECONDS_BETWEEN_UPDATES = 0.2
"""How often a bar in a notebook moves: each time is a message to the browser."""


class _Rate(ProgressColumn):
    """How much is done in a second, or how many seconds one takes."""

    def render(self, task: Task) -> Text:
        return Text(rate(task.completed, task.elapsed or 0.0))


def rate(done: float, seconds: float) -> str:
    """How fast something goes: `"12.5/s"`, or where one takes longer than a second, `"3.2 s each"`."""
    if not done or not seconds:
        return ""
    return f"{done / seconds:.1f}/s" if done >= seconds else f"{seconds / done:.1f} s each"


def is_watched() -> bool:
    """Whether somebody sees the standard output as it is written: on a terminal, or in a notebook."""
    console = Console()
    return console.is_terminal or console.is_jupyter


@contextmanager
def show_progress(title: str, console: Console | None = None) -> Iterator[Advance]:
    """Show progress while the body runs; it calls what it is given.

    Args:
        title: what is going on.
        console: where to write; by default the standard output.
    """
    console = Console(highlight=False) if console is None else console
    if console.is_jupyter:
        yield _in_notebook(title)
        return
    if not console.is_terminal:
        yield _plain(title, console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def advance(done: int, total: int, what: str) -> None:
            bar.update(
                task, completed=done, total=total, description=f"{title}: {escape(one_line(what))}" if what else title
            )

        yield advance


def _plain(title: str, console: Console) -> Advance:
    def tell(text: str, *_: int) -> None:
        console.print(escape(visible(text)), soft_wrap=True)

    return _now_and_then(title, SECONDS_BETWEEN_LINES, tell)


def _in_notebook(title: str) -> Advance:
    """A bar that any notebook draws: the one of rich needs ipywidgets, and warns where they are not installed."""
    from IPython.display import display

    from ._notebook import progress_bar

    shown: list[Any] = []

    def tell(text: str, done: int, total: int) -> None:
        content = {"text/plain": visible(text), "text/html": progress_bar(done, total, text)}
        if shown:
            shown[0].update(content, raw=True)
        else:
            shown.append(display(content, raw=True, display_id=True))

    return _now_and_then(title, SECONDS_BETWEEN_UPDATES, tell)


def _now_and_then(title: str, seconds: float, tell: Callable[[str, int, int], None]) -> Advance:
    """Call `tell` with the words, what is done, and of how much: at the end, and before it every so many seconds."""
    begun = told = monotonic()

    def advance(done: int, total: int, what: str) -> None:
        nonlocal told
        now = monotonic()
        if done < total and now - told < seconds:
            return
        told = now
        taken = now - begun
        parts = [f"{title}: {done} of {total}" + (f" ({what})" if what else ""), rate(done, taken)]
        if 0 < done < total:
            parts.append(f"{taken * (total - done) / done:.0f} s left")
        tell(", ".join(part for part in parts if part), done, total)

    return advance
