"""A sweep and its choice as a document that follows a lab sheet question by question."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keras_prunelab._evaluate._metric import percent
from keras_prunelab._result._measurements import own_choice
from keras_prunelab._result._plot import accuracy_figure
from keras_prunelab._result._repeat import preceded_by

from . import _answers, _curves
from ._document import (
    Block,
    Bullets,
    Code,
    Definitions,
    Document,
    Figure,
    Heading,
    KeyNumbers,
    Paper,
    Paragraph,
    See,
    Sources,
    Table,
)
from ._exploration import exploration
from ._files import file_table, named, note_blocks
from ._findings import Findings
from ._groups import group_blocks
from ._plots import EXTREMES, MAX_BARS, figures
from ._quantized import quantized
from ._questions import questions
from ._works import TERMS, works

if TYPE_CHECKING:
    from keras_prunelab._result._choice import Choice
    from keras_prunelab._result._result import SweepResult

NO_LAYERS = (
    "This result is of an earlier version, which did not keep how many weights of each layer are zero. Nothing can be "
    "said of layers and blocks; sweep the network again for that."
)
MAX_CLASSES = 12
"""Classes up to which each has a row; of more, those that lose most."""


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
    yield from _degradation(findings, given)
    yield from _trade_off(findings)
    yield from _methods(findings)
    yield from _inside(findings)
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
    label = _capital(result.metric.label)
    yield Heading(f"{label} against sparsity")
    alternative = f"Line plot of {result.metric.label} against sparsity for {', '.join(result.scores)}."
    yield Figure(
        "accuracy",
        lambda: accuracy_figure(result),
        f"{label} against sparsity, {_count(len(result.table), 'point')}.",
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
            rows["data"] += f" of {len(result.class_names)} classes: {_listed(list(result.class_names), 12)}"
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
        rows["levels"] = f"{len(levels)} {reach}; {_count(len(table), 'point')} measured" + (
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


def _degradation(findings: Findings, given: Given) -> Iterator[Block]:
    result, choice, metric = findings.result, findings.choice, findings.result.metric
    label, sparsity, drawn = _capital(metric.label), result.table["sparsity"], figures(findings)
    yield Heading(f"Question 1. How does the {metric.label} {metric.verb} with sparsity?")
    shown: tuple[str | See, ...] = (See("accuracy"), f" shows the {metric.label} against the sparsity")
    if "break" in drawn:
        shown += (", and ", See("break"), " the part of it where the curves break")
    rest = len(result.scores) - len(findings.beside)
    others = f" The other {rest} methods are in the figure and in question 3." if rest else ""
    yield Paragraph((*shown, ". ", " ".join(_curves.falls(findings)) + others, f" {_curves.cause(findings)}".rstrip()))
    yield Figure(
        "accuracy",
        drawn["accuracy"],
        f"{label} against sparsity, {_count(len(result.table), 'point')}; the ring marks the choice.",
        f"Line plot of {metric.label} against sparsity for {', '.join(result.scores)}, from {percent(sparsity.min())} "
        f"to {percent(sparsity.max())}; the dense network has {metric.text(result.dense)}. {choice.reason}",
    )
    if "break" in drawn:
        yield Figure(
            "break",
            drawn["break"],
            f"The same where the curves break: every level that was measured there. The dense network has "
            f"{metric.text(result.dense)}.",
            f"Line plot of the part of the curves where the {metric.label} breaks. {' '.join(_curves.falls(findings))}",
        )
    further = [text for text in (_curves.sampling(findings), _curves.roughness(findings)) if text]
    table = named(given.files, ".csv")
    where = f"All {len(result.table)} points are in {table}." if table else "`result.to_csv` writes all points."
    yield Paragraph(" ".join([*further, where.replace("`", "")]))


def _trade_off(findings: Findings) -> Iterator[Block]:
    yield Heading("Question 2. Which trade-off, and why?")
    yield Paragraph(findings.choice.reason)
    yield Bullets(tuple(_answers.trade_off(findings)))
    table = _answers.alternatives(findings)
    what = "The choice, and the sparsest level of all methods for other losses that may be allowed; the standard error "
    yield Table("alternatives", table, f"{what}is that of the loss.", _as_numbers(table, "allowed loss", "method"))
    yield Definitions(TERMS)
    yield from _classes(findings)
    yield from group_blocks(findings)


def _classes(findings: Findings) -> Iterator[Block]:
    result = findings.result
    classes = result.classes(findings.choice)
    classes = classes[classes["observations"] > 0]
    if classes.empty:
        if result.metric.is_fraction:
            yield Paragraph("How many observations of each class are right was not kept in this result.", "note")
        return
    weighed = (classes["observations"].max(), classes["observations"].min())
    worst, best = classes.iloc[int(classes["change"].argmin())], classes.iloc[int(classes["change"].argmax())]
    text = (
        f" has the accuracy of each class, dense and at the choice. “{worst['class']}” changes most for the worse, by "
        f"{_points(worst['change'])} to {percent(worst['accuracy'])}; “{best['class']}” is at the other end with "
        f"{_points(best['change'])}. One observation of a class weighs "
        f"{' to '.join(dict.fromkeys(f'{100 / count:.2g}' for count in weighed))} points."
    )
    yield Paragraph((See("classes"), text))
    caption = "Accuracy of each class."
    if len(classes) > MAX_CLASSES:
        caption = f"Accuracy by class: the {MAX_CLASSES} of {len(classes):,} classes that lose most."
        classes = classes.sort_values("change", kind="stable").head(MAX_CLASSES)
    formats: dict[str, Callable[[Any], str]] = {"dense": percent, "accuracy": percent, "change": _points}
    yield Table("classes", classes, caption, formats)


def _methods(findings: Findings) -> Iterator[Block]:
    result, what = findings.result, findings.unit
    yield Heading("Question 3. How does a second method compare?")
    yield Paragraph(" ".join([_answers.comparison_sentence(findings), *_answers.collapses(findings)]))
    if len(result.scores) < 2:
        return
    table = _answers.comparison(findings)
    near = percent(findings.choice.sparsity)
    caption = f"The methods near the sparsity of the choice, {near}, and how far each goes within a loss."
    yield Table("methods", table, caption, _as_numbers(table, "method"))
    if not findings.has_layers:
        return
    compared = findings.compared(what)
    some = "" if len(findings.beside) == len(result.scores) else f" Compared are {'; '.join(findings.beside)}."
    sentence = _answers.difference_sentence(compared, what)
    yield Paragraph((f"{sentence}{some} ", See("compared"), f" shows every {what}."))
    yield Figure(
        "compared",
        figures(findings)["blocks"],
        f"Sparsity of each {what} by each method near {near}. {_rule(findings)}".rstrip(),
        f"Sparsity of each {what}: "
        + "; ".join(f"{name}: {_pairs(compared, what, name)}" for name in compared.columns if name != what),
    )
    yield from _compared_beyond(findings)


def _compared_beyond(findings: Findings) -> Iterator[Block]:
    """The methods layer by layer, at the choice and where its curve has fallen half its way."""
    what = "layer" if len(findings.layers) <= MAX_BARS else findings.unit
    if not findings.beyond or len(findings.compared(what)) > MAX_BARS:
        return
    table = findings.compared(what)[[what]]
    for among in (findings.beside, findings.beyond):
        for name, values in findings.compared(what, among).drop(columns=what).items():
            table[f"{name} at {percent(among[str(name)].point.sparsity)}"] = values
    formats = dict.fromkeys((str(name) for name in table.columns if name != what), percent)
    caption = f"Sparsity of each {what} by each method, at the choice and where its curve has gone half its way."
    yield Table("compared layers", table, caption, formats)


def _inside(findings: Findings) -> Iterator[Block]:
    layers, what = findings.layers, findings.unit
    yield Heading("Question 4. Where are the zeros?")
    if not findings.has_layers:
        yield Paragraph(NO_LAYERS, "note")
        return
    yield Bullets(
        (
            _answers.depth_trend(findings.units, what),
            _answers.family_sentence(findings),
            _answers.extremes_sentence(layers),
            _answers.filter_sentence(findings),
            _answers.macs_sentence(findings),
        )
    )
    drawn = figures(findings)
    if len(findings.result.scores) < 2 and what == "block":
        caption = f"Sparsity of each block. {_rule(findings)}"
        yield Figure("blocks", drawn["blocks"], caption, f"Bar chart: {_pairs(findings.blocks, what, 'sparsity')}.")
    if len(findings.result.scores) < 2 or what == "block":
        which = f"the {EXTREMES} most and least pruned" if len(layers) > MAX_BARS else "early layers on top"
        caption = f"Sparsity of each layer at the choice, {which}."
        yield Figure("layers", drawn["layers"], caption, f"Bar chart: {_pairs(layers, 'layer', 'sparsity')}.")
    if "filters" in drawn and layers["filters_removed"].sum():
        yield Figure(
            "filters",
            drawn["filters"],
            "Remaining and removed filters of each layer (units in fully connected layers).",
            f"Stacked bar chart of filters for each layer. {_answers.filter_sentence(findings)}",
        )
    table = layers.drop(columns=["filters", "filters_removed", "macs", "macs_kept"])
    table["filters gone"] = _of(layers["filters_removed"], layers["filters"])
    table["multiply-adds kept"] = _of(layers["macs_kept"], layers["macs"])
    caption = "All layers at the choice. Parameters are the weights that count; multiply-adds are for one observation."
    yield Table("all layers", table, caption, {"sparsity": percent} | _as_numbers(table.iloc[:, -2:]))


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


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _rule(findings: Findings) -> str:
    return _capital(str(findings.blocks.attrs["rule"])) + "." if findings.unit == "block" else ""


def _points(change: float) -> str:
    return f"{100 * change:+.1f} points".replace("-", "\N{MINUS SIGN}")


def _as_numbers(table: pd.DataFrame, *texts: str) -> dict[str, Callable[[Any], str]]:
    """Columns that hold numbers as they are printed."""
    return {str(name): str for name in table.columns if name not in texts}


def _of(part: pd.Series, whole: pd.Series) -> list[str | None]:
    pairs = zip(part, whole, strict=True)
    return [None if pd.isna(count) else f"{count:,} of {total:,}" for count, total in pairs]


def _listed(names: list[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _pairs(groups: pd.DataFrame, name: str, values: str) -> str:
    texts = [f"{group} {percent(value)}" for group, value in zip(groups[name], groups[values], strict=True)]
    return _listed(texts, 2 * MAX_BARS)
