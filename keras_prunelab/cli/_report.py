"""`prunelab report`: a report of a sweep that was measured before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _console, _options

EXAMPLES = """\
Examples:

    prunelab report report/sweep.json --out again --title "Lab 5" --format docx,pdf

    prunelab report sweep.db --max-drop 0.02 --out loose

    prunelab report sweep.parquet --knee --force --out report
"""


def command(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="STORE|RESULT", help="The store of a sweep (--store), or a .json or .parquet file of its result."
        ),
    ],
    max_drop: _options.MaxDrop = None,
    min_metric: _options.MinMetric = None,
    knee: _options.Knee = False,
    format: _options.Format = None,  # noqa: A002  # the name of the option
    title: _options.Title = "Pruning report",
    author: _options.Author = "",
    course: _options.Course = "",
    notes: _options.Notes = None,
    paper: _options.Paper = "a4",
    force: _options.Force = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the reports.")] = Path("report"),
) -> None:
    """Write the report of a sweep that was measured before, in any format, without measuring.

    The choice is the one that was written with the result, or the one of the condition that is given here. A result of
    an earlier version gives a report without the parts that it has no numbers for, and the report says so. Of a sweep
    that was ended from outside, its store gives a report of the levels measured until then, with the command that goes
    on from there.
    """
    from ._outputs import check_sources, make_folder
    from ._reports import Reports, check_condition, choose

    condition = _options.condition(max_drop, min_metric, knee=knee)
    if source.is_dir():
        inside = str(source / "sweep.json")
        raise IsADirectoryError(f"{str(source)!r} is a folder; name the result in it, such as {inside!r}.")
    if not source.is_file():
        raise FileNotFoundError(f"There is no file {str(source)!r}.")
    about = {"title": title, "author": author, "course": course, "paper": paper}
    reports = Reports.of(out, format, notes, replaces=force, **about)
    check_sources([source, notes], reports.paths.values())

    import keras_prunelab as kpl

    result = kpl.SweepResult.load(source)
    check_condition(condition, is_share=result.metric.is_fraction)
    choice, failure = (
        (result.choice, None) if result.choice is not None and not condition else choose(result, condition)
    )
    if not result.complete:
        _console.warn(f"This sweep was stopped before its end, after {len(result.table)} measured points.")
        if result.metadata.get("resume"):
            _console.say(f"This goes on from where it was:\n{result.metadata['resume']}")
    for doubt in result.doubts(choice):
        _console.warn(doubt)
    if choice is not None:
        _console.say(f"Choice: {choice.reason}")
    make_folder(out)
    reports.write(
        result,
        choice,
        {str(source): "the measured points"},
        [] if failure is None else [str(failure)],
        command=str(context.find_root().obj or ""),
    )
    if failure is not None:
        raise failure
