"""The plots of a choice: what is left of each layer and block; and the files of all plots."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from keras_prunelab._evaluate._metric import percent
from keras_prunelab._result._measurements import own_choice
from keras_prunelab._result._placement import place_legend
from keras_prunelab._result._plot import accuracy_figure, draw_accuracy, write_figure
from keras_prunelab._result._style import (
    FONT,
    LIGHT,
    MARKERS,
    MORE,
    NO_TEX,
    Theme,
    default_style,
    line_style,
    new_figure,
    percent_axis,
    plain,
    plain_names,
)

from ._degradation import breaking_range
from ._findings import Findings

if TYPE_CHECKING:
    from keras_prunelab._result._choice import Choice
    from keras_prunelab._result._result import SweepResult

MAX_BARS = 22
"""Bars of one chart; of more layers or blocks the most and the least pruned are drawn, and a table has them all."""
EXTREMES = 7
"""Bars for the most pruned, and as many for the least pruned, where not all are drawn: two such charts fit a page."""
SMALL = FONT - 1.5
"""Points: the smallest letters of a figure."""
_BAR = 0.23
"""Inches for each bar."""
_LEGEND = 90
"""Letters of one line of a legend, the samples of its lines included."""
_AXIS = 0.75
"""Inches for the axis below the bars."""


@NO_TEX
def bar_figure(groups: pd.DataFrame, what: str, theme: Theme = LIGHT) -> Figure:
    """The sparsity of each layer or block as bars, early ones on top.

    Args:
        groups: a per-layer or per-block table.
        what: `"layer"` or `"block"`, the column with the names.
        theme: the colours.
    """
    groups, left_out = extremes(groups, "sparsity")
    figure, axes = new_figure(theme, _height(len(groups)))
    values = groups["sparsity"].to_numpy(dtype=float)
    axes.barh(np.arange(len(values)), values, color=theme.series[0])
    _label_bars(axes, values, ["" if np.isnan(value) else percent(value) for value in values], theme)
    _name_bars(axes, groups[what])
    percent_axis(axes, "x")
    axes.set_xlim(0, 1.14)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel(f"sparsity of each {what} (%), {_order(what, left_out)}")
    return _make_room(figure)


@NO_TEX
def filter_figure(layers: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """Removed and remaining filters (units in fully connected layers) of each layer as stacked bars."""
    layers = layers[layers["filters"].notna()]
    share = layers["filters_removed"].astype(float) / layers["filters"].astype(float)
    layers, left_out = extremes(layers.assign(share=share), "share")
    removed = layers["filters_removed"].to_numpy(dtype=float, na_value=0.0)
    remaining = layers["filters"].to_numpy(dtype=float, na_value=0.0) - removed
    figure, axes = new_figure(theme, _height(len(layers)) + 0.25)
    place = np.arange(len(layers))
    axes.barh(place, remaining, color=theme.series[0], label="remaining")
    axes.barh(
        place,
        removed,
        left=remaining,
        color=theme.faint,
        hatch="///",
        edgecolor=theme.text,
        linewidth=0.5,
        label="removed",
    )
    counts = zip(layers["filters_removed"], layers["filters"], strict=True)
    texts = ["" if pd.isna(gone) else f"{gone:,} of {all_of_them:,} removed" for gone, all_of_them in counts]
    _label_bars(axes, removed + remaining, texts, theme)
    _name_bars(axes, layers["layer"])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(f"filters or units; {_order('layer', left_out)}")
    axes.set_xlim(0, 1.36 * max((removed + remaining).max(initial=0), 1))
    _legend_above(axes, theme, 2)
    return _make_room(figure)


@NO_TEX
def compared_figure(compared: pd.DataFrame, what: str, theme: Theme = LIGHT) -> Figure:
    """The sparsity of each block or layer by several methods: bars, or of many the curves from early to late.

    Args:
        compared: `Findings.compared`.
        what: `"layer"` or `"block"`, the column with the names.
        theme: the colours.
    """
    curves = [name for name in compared.columns if name != what]
    if len(compared) * len(curves) > 1.5 * MAX_BARS:
        return _depth_figure(compared, what, curves, theme)
    thickness = 0.8 / len(curves)
    figure, axes = new_figure(theme, _AXIS + 0.2 * len(curves) + len(compared) * max(_BAR, 0.19 * len(curves)))
    place = np.arange(len(compared))
    for number, curve in enumerate(curves):
        values = compared[curve].to_numpy(dtype=float)
        where = place + (number - (len(curves) - 1) / 2) * thickness
        axes.barh(where, values, thickness, color=theme.series[number % len(theme.series)], label=plain(curve))
        _label_bars(axes, values, [percent(value) for value in values], theme, where)
    _name_bars(axes, compared[what])
    percent_axis(axes, "x")
    axes.set_xlim(0, 1.14)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel(f"sparsity of each {what} (%), {_order(what, 0)}")
    if len(curves) > 1:
        is_narrow = sum(map(len, curves)) + 8 * len(curves) <= _LEGEND
        _legend_above(axes, theme, len(curves) if is_narrow else 1)
    return _make_room(figure)


def _depth_figure(compared: pd.DataFrame, what: str, curves: Sequence[str], theme: Theme) -> Figure:
    figure, axes = new_figure(theme)
    place = np.arange(1, len(compared) + 1)
    for number, curve in enumerate(curves):
        axes.plot(
            place,
            compared[curve],
            color=theme.series[number % len(theme.series)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=3,
            linewidth=1.1,
            linestyle=line_style(number),
            label=plain(curve),
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    percent_axis(axes, "y")
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel(f"{what}s, counted from early to late")
    axes.set_ylabel("sparsity (%)")
    place_legend(axes, **_look(theme))
    return figure


@NO_TEX
def break_figure(result: SweepResult, choice: Choice, limits: tuple[float, float], theme: Theme = LIGHT) -> Figure:
    """The part of the curves in which they fall.

    Args:
        result: a sweep.
        choice: the chosen point.
        limits: the lowest and the highest sparsity.
        theme: the colours.
    """
    figure, axes = new_figure(theme)
    is_inside = result.table["sparsity"].between(limits[0] - 1e-9, limits[1] + 1e-9)
    draw_accuracy(axes, replace(result, table=result.table[is_inside]), choice, theme)
    return figure


@default_style()
def export_plots(result: SweepResult, choice: Choice | None, folder: str | os.PathLike[str]) -> list[Path]:
    """Write every plot as a PNG of 200 dots per inch, for a document of your own.

    Args:
        result: a sweep.
        choice: the chosen point; None where no level is meaningful, for the accuracy alone.
        folder: where to write; made where it does not exist.

    Returns:
        The paths: `accuracy.png`, `break.png` (where the curves break in a part of the range), `layers.png`,
        `filters.png` (where there are filters) and `blocks.png`.

    Examples:
        `kpl.export_plots(result, result.choose(max_drop=0.01), "plots")`
    """
    plots = (
        {"accuracy": partial(accuracy_figure, result, None)}
        if choice is None
        else figures(Findings.of(result, own_choice(result, choice)))
    )
    folder, paths = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in plots.items():
        paths.append(folder / f"{name}.png")
        write_figure(draw(), paths[-1])
    return paths


def figures(findings: Findings) -> dict[str, Callable[[], Figure]]:
    """Every plot of a choice, by name, to be drawn."""
    result, choice, layers = findings.result, findings.choice, findings.layers
    plots: dict[str, Callable[[], Figure]] = {"accuracy": lambda: accuracy_figure(result, choice)}
    limits = breaking_range(result, choice.sparsity)
    if limits is not None:
        plots["break"] = lambda: break_figure(result, choice, limits)
    if not findings.has_layers:
        return plots
    plots["layers"] = lambda: bar_figure(layers, "layer")
    if layers["filters"].notna().any():
        plots["filters"] = lambda: filter_figure(layers)
    plots["blocks"] = lambda: compared_figure(findings.compared(findings.unit), findings.unit)
    return plots


def extremes(groups: pd.DataFrame, by: str) -> tuple[pd.DataFrame, int]:
    """The rows that a chart has room for.

    Args:
        groups: a table with one row for each layer or block.
        by: the column that orders them.

    Returns:
        The table, and 0; or of a long one the rows with the largest and the smallest values, descending, with a row of
        missing values named `MORE` between them, and how many were left out.
    """
    if len(groups) <= MAX_BARS:
        return groups, 0
    ordered = groups.sort_values(by, ascending=False, kind="stable", ignore_index=True)
    half, last = EXTREMES, len(groups)
    chosen = ordered.reindex([*range(half), last, *range(last - half, last)])
    names = [name for name in ("layer", "block") if name in chosen]
    chosen.loc[last, names] = MORE
    return chosen.reset_index(drop=True), last - 2 * half


def _order(what: str, left_out: int) -> str:
    return f"the {EXTREMES} highest and lowest" if left_out else f"early {what}s on top"


def _height(bars: int) -> float:
    """Inches: as much as the names need."""
    return max(1.4, _AXIS + _BAR * bars)


def _look(theme: Theme) -> dict[str, object]:
    return {
        "fontsize": FONT - 1,
        "labelcolor": theme.text,
        "facecolor": theme.background,
        "edgecolor": theme.faint,
    }


def _legend_above(axes: Axes, theme: Theme, columns: int) -> None:
    look = {"fontsize": FONT - 1, "frameon": False, "labelcolor": theme.text}
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, **look)


def _name_bars(axes: Axes, names: pd.Series) -> None:
    axes.set_yticks(range(len(names)), plain_names(names), fontsize=FONT - 1)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first layer on top
    axes.grid(visible=False, axis="y")


def _label_bars(
    axes: Axes,
    ends: NDArray[np.float64],
    texts: Sequence[str],
    theme: Theme,
    places: NDArray[Any] | None = None,
) -> None:
    for at, end, text in zip(np.arange(len(ends)) if places is None else places, ends, texts, strict=True):
        if not text:
            continue
        axes.annotate(
            text, (end, at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=SMALL, color=theme.text
        )


def _make_room(figure: Figure) -> Figure:
    """Shorten the bars until the labels at their ends fit into the axes."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    left, width = axes.bbox.x0, axes.bbox.width
    shrink = 1.0
    for label in axes.texts:
        end = float(axes.transData.transform(label.xy)[0]) - left if isinstance(label, Annotation) else 0.0
        if end > 0:
            shrink = min(shrink, (width - (label.get_window_extent().x1 - left - end)) / end)
    axes.set_xlim(0, axes.get_xlim()[1] / max(shrink, 0.2))
    return figure
