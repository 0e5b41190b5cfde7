"""The first four questions of a lab sheet, each with its sentences, figures and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from keras_prunelab._evaluate._metric import percent

from . import _answers, _curves
from ._document import Block, Bullets, Definitions, Figure, Heading, Paragraph, See, Table
from ._findings import Findings
from ._groups import group_blocks
from ._plots import EXTREMES, MAX_BARS, figures
from ._works import TERMS

NO_LAYERS = (
    "This result is of an earlier version, which did not keep how many weights of each layer are zero. Nothing can be "
    "said of layers and blocks; sweep the network again for that."
)
MAX_CLASSES = 12
"""Classes up to which each has a row; of more, those that lose most."""


def fall_section(findings: Findings, table: str) -> Iterator[Block]:
    """Question 1: how the metric falls with sparsity.

    Args:
        findings: the sweep and its choice.
        table: the file that has all points; empty for none.
    """
    result, choice, metric = findings.result, findings.choice, findings.result.metric
    label, sparsity, drawn = capital(metric.label), result.table["sparsity"], figures(findings)
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
        f"{label} against sparsity, {count_text(len(result.table), 'point')}; the ring marks the choice.",
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
    where = f"All {len(result.table)} points are in {table}." if table else "`result.to_csv` writes all points."
    yield Paragraph(" ".join([*further, where.replace("`", "")]))


def trade_off_section(findings: Findings) -> Iterator[Block]:
    """Question 2: the choice, its reason, and the alternatives."""
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


def methods_section(findings: Findings) -> Iterator[Block]:
    """Question 3: the methods compared."""
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


def zeros_section(findings: Findings) -> Iterator[Block]:
    """Question 4: where the zeros are, layer by layer."""
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


def _rule(findings: Findings) -> str:
    return capital(str(findings.blocks.attrs["rule"])) + "." if findings.unit == "block" else ""


def _points(change: float) -> str:
    return f"{100 * change:+.1f} points".replace("-", "\N{MINUS SIGN}")


def _as_numbers(table: pd.DataFrame, *texts: str) -> dict[str, Callable[[Any], str]]:
    """Columns that hold numbers as they are printed."""
    return {str(name): str for name in table.columns if name not in texts}


def _of(part: pd.Series, whole: pd.Series) -> list[str | None]:
    pairs = zip(part, whole, strict=True)
    return [None if pd.isna(count) else f"{count:,} of {total:,}" for count, total in pairs]


def _pairs(groups: pd.DataFrame, name: str, values: str) -> str:
    texts = [f"{group} {percent(value)}" for group, value in zip(groups[name], groups[values], strict=True)]
    return listed(texts, 2 * MAX_BARS)


def count_text(number: int, what: str) -> str:
    """A number of things: `"1 point"`, `"1,200 points"`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def capital(text: str) -> str:
    """A text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def listed(names: list[str], most: int) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
