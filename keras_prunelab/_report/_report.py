"""`report`: a sweep and its choice as an HTML page, a Word file or a PDF that follows a lab sheet."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pandas as pd

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._result._files import load_from
from keras_prunelab._result._style import default_style
from keras_prunelab._util._atomic import refuse_to_overwrite, replace_whole

from . import _html, _pdf, _word
from ._compose import Given, compose
from ._document import Document, Paper
from ._files import Files, Notes, one_or_several, read_notes

if TYPE_CHECKING:
    from keras_prunelab._result._choice import Choice
    from keras_prunelab._result._result import SweepResult

WRITERS: dict[str, Callable[[Document], bytes]] = {".html": _html.write, ".docx": _word.write, ".pdf": _pdf.write}
"""What makes a file of a document, by the ending of its name."""
TITLE = "Pruning report"


def report(
    result: SweepResult,
    choice: Choice | None,
    path: str | os.PathLike[str],
    *,
    title: str = TITLE,
    author: str = "",
    course: str = "",
    date: dt.date | str | None = None,
    notes: Notes = (),
    files: Files = (),
    paper: Paper = "a4",
    network_summary: str | pd.DataFrame | None = None,
    loading: str = "",
    command: str = "",
) -> Path:
    """Write a report of a sweep as a Word file, a PDF, or one HTML page that needs nothing else.

    All three say the same: the network, the data and the files; how the metric falls with sparsity, and why; the choice
    with its reason, its standard error and its alternatives; the accuracy of each class; the methods compared layer by
    layer; where the zeros are; open questions, answered as far as the data goes; what was done, as a command line and
    as Python; versions and references. The Word file has real headings, captions and a table of contents, and can be
    edited; the PDF is tagged (PDF/UA-1), with vector figures; the page follows the screen's light or dark setting.

    Args:
        result: a sweep.
        choice: a point of it, from `result.choose`; None where no level is chosen: the report then has the graph, and
            where no level is meaningful, the reason.
        path: the file to write: `.html`, `.docx` or `.pdf`; replaced only when the new one is whole. Its folder is made
            where needed.
        title: the heading.
        author: who hands it in.
        course: what for.
        date: when, a date or any text in the form `"2026-05-31"`; None for today.
        notes: text of your own, one or several, in Markdown: paragraphs, headings, lists and code; or a path of such a
            file, in UTF-8.
        files: the files that belong to it, listed with their sizes: a path, several, or what each is by its path.
        paper: the format of the pages, `"a4"` or `"letter"`.
        network_summary: the layers of the network, as text or as a table.
        loading: Python that makes `model` and `data`, to stand before the call that repeats the sweep.
        command: the command line that made the report, to stand beside it.

    Returns:
        The path.

    Raises:
        OverwriteError: `path` is the file that the result was loaded from.
        FileNotFoundError: there is no such file of notes.
        InvalidDataError: the notes are no text in UTF-8.
        UnknownNameError: there is no such format or paper, a title, author or course is no text, `date` is none, or
            `choice` is no point of `result`.
        MissingBackendError: the format needs a package that is not installed.

    Examples:
        `kpl.report(result, result.choose(max_drop=0.01), "lab.docx", title="Lab 5", author="A. Student")`
    """
    target = Path(path)
    refuse_to_overwrite(load_from(result), target)
    write = WRITERS.get(target.suffix.lower())
    if write is None:
        raise UnknownNameError(f"A report is a {', '.join(WRITERS)} file, but got {os.fspath(path)!r}.")
    if paper not in get_args(Paper):
        raise UnknownNameError(f"paper is 'a4' or 'letter', but got {paper!r}.")
    title, author, course = (_text(*pair) for pair in (("title", title), ("author", author), ("course", course)))
    given = Given(
        title or TITLE,
        author,
        course,
        _date(date),
        tuple(read_notes(notes)),
        files if isinstance(files, Mapping) else tuple(one_or_several(files)),
        paper,
        network_summary,
        loading=loading,
        command=command,
    )
    with default_style():
        content = write(compose(result, choice, given))
    target.parent.mkdir(parents=True, exist_ok=True)
    with replace_whole(target) as temporary:
        temporary.write_bytes(content)
    return target


def _text(name: str, given: str | None) -> str:
    if given is not None and not isinstance(given, str):
        raise UnknownNameError(f"{name} is text, but got {given!r}.")
    return (given or "").strip()


def _date(date: dt.date | str | None) -> dt.date:
    if date is None:
        return dt.date.today()
    if isinstance(date, dt.date):
        return date
    try:
        return dt.date.fromisoformat(str(date))
    except ValueError as error:
        raise UnknownNameError(f"date is a date, or text such as '2026-05-31', but got {date!r}.") from error
