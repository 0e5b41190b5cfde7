"""Accuracy against sparsity, one curve for each score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._evaluate._metric import percent
from keras_prunelab._util._atomic import replace_whole

from ._measurements import own_choice
from ._placement import place_label, place_legend
from ._quantized import Quantized
from ._style import FONT, LIGHT, MARKERS, NO_TEX, Theme, line_style, new_figure, percent_axis, plain

if TYPE_CHECKING:
    from ._choice import Choice
    from ._measurements import Measurements

MAX_MARKERS = 40
"""Points on a curve up to which each gets a marker; beyond that they would run together."""


def accuracy_figure(result: Measurements, choice: Choice | None = None, theme: Theme = LIGHT) -> Figure:
    """Accuracy against sparsity, one curve for each score."""
    figure, axes = new_figure(theme)
    draw_accuracy(axes, result, choice, theme)
    return figure


@NO_TEX
def draw_accuracy(axes: Axes, result: Measurements, choice: Choice | None = None, theme: Theme = LIGHT) -> None:
    """Draw accuracy against sparsity on axes of your own: the dense value as a line, the choice as a ring."""
    choice = None if choice is None else own_choice(result, choice)
    metric = result.metric.name
    curves = result.curves
    for index, score in enumerate(result.scores):
        points = curves[curves["curve"] == score].sort_values("sparsity", kind="stable")
        if (points["seeds"] > 1).any():
            low, high = points[metric] - points["std"], points[metric] + points["std"]
            colour = theme.series[index % len(theme.series)]
            axes.fill_between(points["sparsity"], low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(
            points["sparsity"],
            points[metric],
            color=theme.series[index % len(theme.series)],
            marker=MARKERS[index % len(MARKERS)] if len(points) <= MAX_MARKERS else None,
            markersize=4.5,
            linewidth=1.8,
            linestyle=line_style(index),
            label=plain(score),
        )
    _draw_quantized(axes, result, theme)
    axes.axhline(
        result.dense,
        color=theme.text,
        linewidth=1.2,
        linestyle=":",
        label=plain(f"dense network, {result.metric.text(result.dense)}"),
    )
    percent_axis(axes, "x")
    axes.set_xlabel("sparsity (% of prunable weights that are zero)")
    if result.metric.is_fraction:
        percent_axis(axes, "y")
    unit = "(%)" if result.metric.is_fraction else "(units of the responses)" if metric == "rmse" else ""
    axes.set_ylabel(plain(f"{result.metric.label} {unit}".strip()))
    label = None if choice is None else _mark(axes, result, choice, theme)
    look = {"fontsize": FONT - 1, "labelcolor": theme.text, "facecolor": theme.background, "edgecolor": theme.faint}
    figure = cast("Figure", axes.get_figure(root=True))  # axes that are drawn on have one
    height = figure.get_figheight()
    legend = place_legend(axes, **look)
    if label is not None and not place_label(axes, label, [legend]):
        label.remove()  # no room beside the curves: the legend says it
        axes.get_lines()[-1].set_label(label.get_text().replace("\n", " "))
        figure.set_figheight(height)
        place_legend(axes, **look)


@NO_TEX
def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the ending of `path` says, replacing `path` when it is whole."""
    known = figure.canvas.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in known:
        raise UnknownNameError(f"A plot is a file of {', '.join(known)}, by its ending, but got {str(path)!r}.")
    with replace_whole(path) as temporary:
        figure.savefig(temporary, dpi=200)


def _draw_quantized(axes: Axes, result: Measurements, theme: Theme) -> None:
    """Draw what the exported files answer, beside the networks that they are of."""
    found = Quantized.of(result)
    if found is None:
        return
    for index, curve in enumerate(result.scores):
        points = found.points[found.points["curve"] == curve].sort_values("sparsity", kind="stable")
        if len(points):
            axes.plot(
                points["sparsity"],
                points[found.metric.name],
                color=theme.series[index % len(theme.series)],
                marker="x",
                markersize=5.5,
                linewidth=1.0,
                linestyle=":",
                label=plain(f"{curve}, {found.label} file"),
            )


def _mark(axes: Axes, result: Measurements, choice: Choice, theme: Theme) -> Annotation:
    """A ring around the choice, and its label, which has yet to find its place."""
    axes.plot(
        [choice.sparsity], [choice.accuracy], marker="o", markersize=11, markerfacecolor="none",
        markeredgecolor=theme.text, markeredgewidth=1.8, linestyle="none", label="_choice",
    )  # fmt: skip
    return axes.annotate(
        f"{plain(choice.curve)}: {percent(choice.sparsity)} sparse,\n"
        + plain(f"{result.metric.label} {result.metric.text(choice.accuracy)}"),
        (choice.sparsity, choice.accuracy),
        xytext=(0, 0),
        textcoords="offset points",
        fontsize=FONT - 1,
        color=theme.text,
        bbox={"boxstyle": "round,pad=0.3", "facecolor": theme.background, "edgecolor": theme.faint},
        arrowprops={"arrowstyle": "-", "color": theme.text, "shrinkB": 6},
    )
