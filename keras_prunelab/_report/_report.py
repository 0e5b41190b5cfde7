"""`report`: a sweep and its choice as one HTML file that follows a lab sheet question by question."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from keras_prunelab._sweep._call import NEEDED
from keras_prunelab._sweep._files import load_from
from keras_prunelab._sweep._metric import percent
from keras_prunelab._sweep._plot import accuracy_figure
from keras_prunelab._sweep._style import DARK, LIGHT
from keras_prunelab._util._atomic import refuse_to_overwrite, replace_whole

from . import _answers, _html
from ._findings import Findings
from ._plots import MAX_BARS, figures, svg
from ._questions import questions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from keras_prunelab._sweep._choice import Choice
    from keras_prunelab._sweep._result import SweepResult


def report(
    result: SweepResult,
    choice: Choice | None,
    path: str | os.PathLike[str],
    *,
    title: str = "Pruning report",
    network_summary: str | pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    loading: str = "",
    command: str = "",
) -> Path:
    """Write a report of a sweep as one HTML file that needs nothing else: no network, no fonts, no scripts.

    It has the choice and its reason, the graph, the trade-off, a comparison of the scores, the sparsity of
    each layer and block with sentences computed from them, open questions with the numbers that bear on them,
    and an appendix with all tables. It prints on A4 and follows the screen's light or dark setting.

    Args:
        result: a sweep.
        choice: a point of it, from `result.choose`; None where no level is chosen: the report then has the graph and
            the points, and where no level is meaningful, the reason.
        path: the file to write; replaced only when the new one is whole. Its folder is made where needed.
        title: the heading.
        network_summary: the layers of the network for the appendix, as text or as a table.
        notes: paragraphs of your own, such as where the data comes from.
        loading: Python that makes `model` and `data`, to stand before the call that repeats the sweep.
        command: the command line that made the report, to stand beside it.

    Returns:
        The path.

    Raises:
        OverwriteError: `path` is the file that the result was loaded from.

    Examples:
        `kpl.report(result, result.choose(max_drop=0.01), "lab.html", title="Lab 5", notes=["Group 7"])`
    """
    target = Path(path)
    refuse_to_overwrite(load_from(result), target)
    target.parent.mkdir(parents=True, exist_ok=True)
    repeat = _repeat(result, loading, command)
    sections: tuple[str, ...]
    if choice is None:
        sections = (
            *_title(result, None, title),
            *map(_html.paragraph, notes),
            *_graph(result),
            *_appendix(result, None, network_summary, repeat),
        )
    else:
        findings = Findings.of(result, choice)
        sections = (
            *_title(result, choice, title),
            *_headline(findings),
            *map(_html.paragraph, notes),
            *_graph_and_trade_off(findings),
            *_inside(findings),
            *_appendix(result, findings, network_summary, repeat),
        )
    with replace_whole(target) as temporary:
        temporary.write_text(_html.page(title, sections), encoding="utf-8")
    return target


def _title(result: SweepResult, choice: Choice | None, title: str) -> Iterator[str]:
    facts = result.metadata
    yield _html.heading(title, 1)
    about = [f"network {facts['model']}"] if "model" in facts else []
    about += [f"{int(facts['samples']):,} observations"] if "samples" in facts else []
    about += [f"{len(result.class_names)} classes"] if result.class_names else []
    about += [f"{result.convention} convention", f"scope {facts.get('scope', 'global')}"]
    yield _html.paragraph(", ".join(about), "meta")
    if not result.complete:
        yield _html.paragraph(
            f"This sweep was stopped before its end, after {len(result.table)} measured points.",
            "warning",
        )
    for doubt in result.doubts(choice):
        yield _html.paragraph(doubt, "warning")


def _headline(findings: Findings) -> Iterator[str]:
    result, choice, metric = findings.result, findings.choice, findings.result.metric
    numbers = {
        f"sparsity, by {choice.curve}": percent(choice.sparsity),
        f"{metric.label} (dense {metric.text(choice.dense_accuracy)})": metric.text(choice.accuracy),
        "fewer weights": f"{result.table['compression_ratio'].iloc[choice.index]:.3g} times",
    }
    total, kept, _ = findings.macs
    if total:
        numbers["of the multiply-adds remain"] = percent(kept / total)
    yield _html.headline(numbers, choice.reason)


def _graph(result: SweepResult) -> Iterator[str]:
    """The graph of a sweep without a choice."""
    label = result.metric.label[0].upper() + result.metric.label[1:]
    yield _html.heading(f"{label} against sparsity")
    light, dark = (svg(accuracy_figure(result, None, theme)) for theme in (LIGHT, DARK))
    alternative = f"Line plot of {result.metric.label} against sparsity for {', '.join(result.scores)}."
    yield _html.plot(light, dark, alternative, f"{label} against sparsity, {len(result.table)} points.")


def _graph_and_trade_off(findings: Findings) -> Iterator[str]:
    result, choice, metric = findings.result, findings.choice, findings.result.metric
    label = metric.label[0].upper() + metric.label[1:]
    sparsity = result.table["sparsity"]
    yield _html.heading(f"1. {label} against sparsity")
    yield _plot(
        findings,
        "accuracy",
        f"Line plot of {metric.label} against sparsity for {', '.join(result.scores)}, from "
        f"{percent(sparsity.min())} to {percent(sparsity.max())}; the dense network has "
        f"{metric.text(result.dense)}. {choice.reason}",
        f"{label} against sparsity, {len(result.table)} points; the ring marks the choice.",
    )
    yield _html.heading("2. The trade-off")
    yield _html.paragraph(choice.reason)
    yield _html.bullets(_answers.trade_off(findings))
    yield _html.heading("3. A second method")
    yield _html.paragraph(_answers.comparison_sentence(findings))
    yield from map(_html.paragraph, _answers.collapses(findings))
    if len(result.scores) > 1:
        yield _html.table(
            _answers.comparison(findings), f"The scores at the level nearest to {percent(choice.sparsity)}."
        )


def _inside(findings: Findings) -> Iterator[str]:
    layers, blocks = findings.layers, findings.blocks
    yield _html.heading("4. Inside the network at the choice")
    yield _html.bullets(
        [
            _answers.depth_trend(blocks, "block"),
            _answers.family_sentence(findings),
            _answers.extremes_sentence(layers),
            _answers.filter_sentence(findings),
            _answers.macs_sentence(findings),
        ]
    )
    rule = str(blocks.attrs["rule"])
    yield _html.heading("Sparsity of each block", 3)
    yield _plot(
        findings,
        "blocks",
        f"Bar chart of the sparsity of each block: {_listed(blocks, 'block')}.",
        f"Early blocks are on top. {rule[0].upper()}{rule[1:]}.",
    )
    yield _html.table(_block_table(blocks), "The blocks, early to late.", {"sparsity": percent})
    yield _html.heading("Sparsity of each layer", 3)
    yield _plot(
        findings,
        "layers",
        f"Bar chart of the sparsity of each layer: {_listed(layers, 'layer')}.",
        "Early layers are on top" + (", without normalizations." if len(layers) > MAX_BARS else "."),
    )
    if layers["filters"].notna().any():
        yield _html.heading("Whole filters", 3)
        yield _plot(
            findings,
            "filters",
            f"Stacked bar chart of filters for each layer. {_answers.filter_sentence(findings)}",
            "Remaining and removed filters of each layer (units in fully connected layers).",
        )
    yield _html.heading("5. Open questions")
    yield _html.questions(questions(findings))


def _appendix(
    result: SweepResult, findings: Findings | None, network_summary: str | pd.DataFrame | None, repeat: Iterable[str]
) -> Iterator[str]:
    metric, facts = result.metric, result.metadata
    yield _html.heading("Appendix")
    yield _html.heading("How sparsity was counted", 3)
    yield _html.paragraph(
        _answers.CONVENTIONS.get(result.convention, f"The sweep used the {result.convention} convention.")
    )
    if facts.get("convention_source"):
        yield _html.paragraph(f"Source: {facts['convention_source']}.", "meta")
    if findings is not None:
        yield _html.heading("Layers at the choice", 3)
        yield _html.table(findings.layers, "", {"sparsity": percent})
        yield _html.paragraph(
            "parameters: weights that the convention counts; zeros: those of them that are zero; macs: "
            "multiply-adds for one observation.",
            "meta",
        )
    if network_summary is not None:
        yield _html.heading("The network", 3)
        if isinstance(network_summary, str):
            yield _html.preformat(network_summary)
        else:
            yield _html.table(network_summary)
    yield _html.heading("All points", 3)
    points = result.table.drop(columns=["convention", "granularity", "total", *_constant(result.table)])
    formats: dict[str, Callable[[float], str]] = {
        "sparsity_target": percent,
        "sparsity": lambda value: percent(value, 2),
        metric.name: metric.text,
    }
    yield _html.details(f"{len(points)} measured points", _html.table(points, "", formats))
    yield _html.heading("How to repeat this", 3)
    yield from repeat
    run = [(name.replace("_", " "), str(value)) for name, value in facts.items() if name not in _SAID_ELSEWHERE]
    yield _html.table(pd.DataFrame(run, columns=["run", "value"]))
    if result.class_names:
        yield _html.paragraph(f"Classes, in the order of the outputs: {', '.join(result.class_names)}.", "meta")


_SAID_ELSEWHERE = ("convention_source", "repeat")


def _constant(table: pd.DataFrame) -> list[str]:
    """What all points have in common, which the report says elsewhere."""
    return [name for name in ("scope", "training", "seed") if len(set(table[name])) <= 1]


def _repeat(result: SweepResult, loading: str, command: str) -> Iterator[str]:
    """The call that made the sweep, and the command line where there was one."""
    call = str(result.metadata.get("repeat", ""))
    if not call and not command:
        yield _html.paragraph("This result is of an earlier version, which did not note the call.", "meta")
    if call:
        yield _html.preformat(f"{loading.rstrip()}\n\n{call.replace(NEEDED, '')}" if loading else call)
    if command:
        yield _html.paragraph("On the command line:", "meta")
        yield _html.preformat(command)


def _block_table(blocks: pd.DataFrame) -> pd.DataFrame:
    """The blocks with their counts put together, so that the table fits a page."""
    table = blocks[["block", "layers", "parameters", "zeros", "sparsity"]].copy()
    table["layers"] = table["layers"].map(_abridge)
    for heading, part, whole in (
        ("filters removed", blocks["filters_removed"], blocks["filters"]),
        ("multiply-adds kept", blocks["macs_kept"], blocks["macs"]),
    ):
        table[heading] = [
            pd.NA if pd.isna(count) else f"{count:,} of {total:,}" for count, total in zip(part, whole, strict=True)
        ]
    return table


def _abridge(names: str) -> str:
    """The names of a block's layers, or of many its first and last."""
    several = names.split(", ")
    return names if len(several) <= 3 else f"{several[0]} to {several[-1]} ({len(several)} layers)"


def _listed(groups: pd.DataFrame, name: str) -> str:
    pairs = zip(groups[name], groups["sparsity"], strict=True)
    return ", ".join(f"{group} {percent(sparsity)}" for group, sparsity in pairs)


def _plot(findings: Findings, name: str, alternative: str, caption: str) -> str:
    draw = figures(findings)[name]
    return _html.plot(svg(draw(LIGHT)), svg(draw(DARK)), alternative, caption)
