"""Progress on a terminal, in a notebook and in a log."""

from __future__ import annotations

import io
import re
import sys
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from keras_prunelab._util import _progress
from keras_prunelab._util._progress import show_progress


class Display:
    """What a notebook shows: the content of each output, as displayed and updated."""

    def __init__(self) -> None:
        self.outputs: list[list[dict[str, str]]] = []

    def display(self, content: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        shown = [content]
        self.outputs.append(shown)
        handle = ModuleType("handle")
        handle.update = lambda content, raw: shown.append(content)  # type: ignore[attr-defined]
        return handle


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Display:
    shown = Display()
    module = ModuleType("IPython.display")
    module.display = shown.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


def test_a_notebook_has_one_bar_that_moves(notebook: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.1, 0.3, 0.4, 2.0])
    monkeypatch.setattr(_progress, "monotonic", lambda: next(clock))
    console = Console(file=io.StringIO(), force_jupyter=True)
    with show_progress("Sweep", console) as advance:
        for done in range(1, 5):
            advance(done, 4, "<b>")
    (bar,) = notebook.outputs
    assert [re.findall(r'value="(\d)" max="4"', content["text/html"]) for content in bar] == [["2"], ["4"]]
    assert bar[-1]["text/plain"] == "Sweep: 4 of 4 (<b>), 2.0/s"
    assert "&lt;b&gt;" in bar[-1]["text/html"], "a name is no HTML"
    assert "left" in bar[0]["text/plain"]


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 11.0, 12.0, 16.0])
    monkeypatch.setattr(_progress, "monotonic", lambda: next(clock))
    log = io.StringIO()
    with show_progress("Sweep", Console(file=log, width=100)) as advance:
        for done in range(1, 5):
            advance(done, 4, "[red]")
    assert log.getvalue().splitlines() == [
        "Sweep: 2 of 4 ([red]), 5.5 s each, 11 s left",
        "Sweep: 4 of 4 ([red]), 4.0 s each",
    ]


def test_a_terminal_has_a_bar() -> None:
    terminal = io.StringIO()
    with show_progress("Sweep", Console(file=terminal, force_terminal=True, width=100)) as advance:
        advance(3, 4, "magnitude")
    assert "Sweep: magnitude" in terminal.getvalue()
    assert "3/4" in terminal.getvalue()
