"""A sweep and its choice as a document that follows a lab sheet question by question."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from keras_prunelab._evaluate._metric import percent
from keras_prunelab._result._measurements import own_choice
from keras_prunelab._result._plot import accuracy_figure
from keras_prunelab._result._repeat import preceded_by

from . import _answers
from ._document import (
    Block,
    Code,
    Document,
    Figure,
    Heading,
    KeyNumbers,
    Paper,
    Paragraph,
    Sources,
    Table,
)
from ._exploration import exploration
from ._files import file_table, named, note_blocks
from ._findings import Findings
from ._quantized import quantized
from ._questions import questions
from ._sections import capital, count_text, fall_section, listed, methods_section, trade_off_section, zeros_section
from ._works import works

if TYPE_CHECKING:
    from keras_prunelab._result._choice import Choice
    from keras_prunelab._result._result import SweepResult


@dataclass(frozen=True)
class Given:
    """What a report is told beside the sweep: the arguments of `report`."""

    title: str
    author: str = ""
    course: str = ""
    date: dt.date = field(default_factory=dt.date.today)
    notes: Sequence[str] = ()
    files: Sequence[str | os.PathLike[str]] | Mapping[str, str] = ()
    paper: Paper = "a4"
    network_summary: str | pd.DataFrame | None = None
    loading: str = ""
    command: str = ""


def compose(result: SweepResult, choice: Choice | None, given: Given) -> Document:
    """Fill the document.

    Args:
        result: a sweep.
        choice: a point of it; None where no level is chosen: there is then the graph, and no question that needs one.
        given: title, author and the like.
    """
    choice = None if choice is None else own_choice(result, choice)
    parts = _without_choice(result, given) if choice is None else _with_choice(Findings.of(result, choice), given)
    return Document(
        title=given.title,
        author=given.author,
        course=given.course,
        date=given.date,
        about=_about(result),
        paper=given.paper,
        blocks=tuple(parts),
        exploration=exploration(result, choice),
    )


def _with_choice(findings: Findings, given: Given) -> Iterator[Block]:
    yield Heading("Summary")
    yield from _doubts(findings.result, findings.choice)
    yield _headline(findings)
    yield from note_blocks(given.notes)
    yield from _setting(findings.result, given)
    yield from fall_section(findings, named(given.files, ".csv"))
    yield from trade_off_section(findings)
    yield from methods_section(findings)
    yield from zeros_section(findings)
    yield from quantized(findings)
    yield Heading("Question 5. Open questions")
    yield from questions(findings)
    yield from _done(findings.result, given)


def _without_choice(result: SweepResult, given: Given) -> Iterator[Block]:
    yield Heading("Summary")
    yield from _doubts(result, None)
    yield Paragraph("No level is chosen, so this report has the graph and no answers about a choice.")
    yield from note_blocks(given.notes)
    yield from _setting(result, given)
    label = capital(result.metric.label)
    yield Heading(f"{label} against sparsity")
    alternative = f"Line plot of {result.metric.label} against sparsity for {', '.join(result.scores)}."
    yield Figure(
        "accuracy",
        lambda: accuracy_figure(result),
        f"{label} against sparsity, {count_text(len(result.table), 'point')}.",
        alternative,
    )
    yield from _done(result, given)


def _about(result: SweepResult) -> str:
    facts = result.metadata
    about = [f"network {facts['model']}"] if "model" in facts else []
    about += [f"{int(facts['samples']):,} observations"] if "samples" in facts else []
    about += [f"{len(result.class_names)} classes"] if result.class_names else []
    about += [f"{result.convention} convention"] if result.convention else []
    return ", ".join(about)


def _doubts(result: SweepResult, choice: Choice | None) -> Iterator[Block]:
    if not result.complete:
        stopped = f"This sweep was stopped before its end, after {len(result.table)} measured points."
        yield Paragraph(stopped, "warning")
        if result.metadata.get("resume"):
            yield Code(str(result.metadata["resume"]), "This goes on from where it was:")
    for doubt in result.doubts(choice):
        yield Paragraph(doubt, "warning")


def _headline(findings: Findings) -> Block:
    result, choice, metric = findings.result, findings.choice, findings.result.metric
    numbers = {
        f"sparsity, by {choice.curve}": percent(choice.sparsity),
        f"{metric.label} (dense {metric.text(choice.dense_accuracy)})": metric.text(choice.accuracy),
        "fewer weights": f"{result.table['compression_ratio'].iloc[choice.index]:.3g} times",
    }
    total, kept, _ = findings.macs
    if total:
        numbers["of the multiply-adds remain"] = percent(kept / total)
    return KeyNumbers(numbers, choice.reason)


def _setting(result: SweepResult, given: Given) -> Iterator[Block]:
    yield Heading("Network, data and files")
    yield Table("setting", _facts(result), "The network, the data, and what was measured.")
    if given.network_summary is not None:
        if isinstance(given.network_summary, str):
            yield Code(given.network_summary)
        else:
            yield Table("network", given.network_summary, "The layers of the network.")
    if given.files:
        yield Table("files", file_table(given.files), "The files, with their sizes.")


def _facts(result: SweepResult) -> pd.DataFrame:
    facts, metric = result.metadata, result.metric
    layers = [layer for layer in result.outline.layers if layer.variables]
    weights = sum(variable.size for layer in layers for variable in layer.variables)
    rows = {"network": f"{facts.get('model', 'without a name')}: {len(layers)} layers with {weights:,} weights"}
    if "samples" in facts:
        rows["data"] = f"{int(facts['samples']):,} observations"
        if result.class_names:
            rows["data"] += f" of {len(result.class_names)} classes: {listed(list(result.class_names), 12)}"
    dense = metric.text(result.dense)
    if "trivial" in facts:
        what = "naming the most frequent class" if metric.is_fraction else "answering the mean"
        dense += f"; always {what} has {metric.text(float(facts['trivial']))}"
    rows["dense network"] = f"{metric.label} {dense}"
    table = result.table
    if len(table):
        levels = np.unique(table["sparsity_target"].to_numpy(dtype=float))
        rows["methods"] = f"{', '.join(result.scores)}; scope {', '.join(dict.fromkeys(table['scope'].astype(str)))}"
        reach = f"from {percent(levels[0])} to {percent(levels[-1])}" if len(levels) > 1 else f"of {percent(levels[0])}"
        rows["levels"] = f"{len(levels)} {reach}; {count_text(len(table), 'point')} measured" + (
            f" in {float(facts['seconds']):,.0f} s" if "seconds" in facts else ""
        )
        if "total" in table:
            rows["weights that count"] = f"{int(table['total'].iloc[0]):,} ({result.convention} convention)"
    rows |= {what: str(facts[name]) for name, what in _PREPARED.items() if name in facts}
    return pd.DataFrame(list(rows.items()), columns=["what", "value"])


_PREPARED = {
    "calibration": "calibration data",
    "damping": "damping of the reconstruction",
    "file_lengths": "length of what files take",
    "traces": "traces of obs",
    "sequential": "one layer after the other",
    "trained": "training after pruning",
}
"""What the setting says of how weights were solved anew and trained, by what the metadata call it."""


def _done(result: SweepResult, given: Given) -> Iterator[Block]:
    facts = result.metadata
    yield Heading("What was done")
    convention = _answers.CONVENTIONS.get(result.convention, f"The sweep used the {result.convention} convention.")
    source = f" Source: {facts['convention_source']}." if facts.get("convention_source") else ""
    yield Paragraph(convention + source)
    call = str(facts.get("repeat", ""))
    if given.command:
        yield Code(given.command, "On the command line:")
    if call:
        yield Code(preceded_by(given.loading, call) if given.loading else call, "In Python:")
    elif not given.command:
        yield Paragraph("This result is of an earlier version, which did not note the call.", "note")
    versions = [f"{name} {facts[name]}" for name in _VERSIONS if name in facts]
    if versions:
        yield Paragraph(f"Versions: {', '.join(versions)}.")
    yield Heading("References")
    yield Sources(works(result))


_VERSIONS = ("keras-prunelab", "keras", "tensorflow", "jax", "torch", "numpy", "python", "system")
