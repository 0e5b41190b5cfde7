"""The plots of a choice: what is left of each layer and block; and the files of all plots."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from keras_prunelab._sweep._metric import percent
from keras_prunelab._sweep._plot import accuracy_figure, write_figure
from keras_prunelab._sweep._style import FONT, HEIGHT, LIGHT, NO_TEX, Theme, new_figure, percent_axis, plain

from ._findings import Findings

if TYPE_CHECKING:
    import pandas as pd

    from keras_prunelab._sweep._choice import Choice
    from keras_prunelab._sweep._result import SweepResult

MAX_BARS = 60
"""Bars up to which each is labelled with its value; with more layers, normalizations are left out first."""


@NO_TEX
def bar_figure(groups: pd.DataFrame, what: str, theme: Theme = LIGHT) -> Figure:
    """The sparsity of each layer or block as bars, early ones on top.

    Args:
        groups: a per-layer or per-block table.
        what: `"layer"` or `"block"`, the column with the names.
        theme: the colours.
    """
    figure, axes = new_figure(theme, _height(len(groups)))
    values = groups["sparsity"].to_numpy(dtype=float)
    axes.barh(np.arange(len(values)), values, color=theme.series[0])
    _label_bars(axes, values, [percent(value) for value in values], theme)
    _name_bars(axes, groups[what])
    percent_axis(axes, "x")
    axes.set_xlim(0, 1.14)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel(f"sparsity of each {what} (%), early {what}s on top")
    return figure


@NO_TEX
def filter_figure(layers: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """Removed and remaining filters (units in fully connected layers) of each layer as stacked bars."""
    layers = layers[layers["filters"].notna()]
    removed = layers["filters_removed"].to_numpy(dtype=float)
    remaining = layers["filters"].to_numpy(dtype=float) - removed
    figure, axes = new_figure(theme, _height(len(layers)))
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
    _label_bars(axes, removed + remaining, [f"{gone} of {all_of_them} removed" for gone, all_of_them in counts], theme)
    _name_bars(axes, layers["layer"])
    axes.set_xlabel("filters of convolutions, units of fully connected layers")
    axes.set_xlim(0, 1.32 * max((removed + remaining).max(initial=0), 1))
    legend = axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
        fontsize=FONT - 1,
        frameon=False,
        labelcolor=theme.text,
    )
    legend.set_in_layout(True)
    return figure


def export_plots(result: SweepResult, choice: Choice | None, folder: str | os.PathLike[str]) -> list[Path]:
    """Write every plot as a PNG of 200 dots per inch, for a document of your own.

    Args:
        result: a sweep.
        choice: the chosen point; None where no level is meaningful, for the accuracy alone.
        folder: where to write; made where it does not exist.

    Returns:
        The paths: `accuracy.png`, `layers.png`, `filters.png` (where there are filters) and `blocks.png`.

    Examples:
        `kpl.export_plots(result, result.choose(max_drop=0.01), "plots")`
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    plots = (
        {"accuracy": partial(accuracy_figure, result, None)} if choice is None else figures(Findings.of(result, choice))
    )
    for name, draw in plots.items():
        paths.append(folder / f"{name}.png")
        write_figure(draw(LIGHT), paths[-1])
    return paths


def figures(findings: Findings) -> dict[str, Callable[[Theme], Figure]]:
    """Every plot of a choice, by name, to be drawn in a theme."""
    layers, blocks = findings.layers, findings.blocks
    plots: dict[str, Callable[[Theme], Figure]] = {
        "accuracy": lambda theme: accuracy_figure(findings.result, findings.choice, theme),
        "layers": lambda theme: bar_figure(_worth_a_bar(layers), "layer", theme),
        "filters": lambda theme: filter_figure(layers, theme),
        "blocks": lambda theme: bar_figure(blocks, "block", theme),
    }
    if not layers["filters"].notna().any():
        del plots["filters"]
    return plots


def _worth_a_bar(layers: pd.DataFrame) -> pd.DataFrame:
    return layers if len(layers) <= MAX_BARS else layers[~layers["type"].str.endswith("Normalization")]


@NO_TEX
def svg(figure: Figure) -> bytes:
    """The figure as SVG, with its letters as outlines, so that it looks the same everywhere."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def _height(bars: int) -> float:
    """Inches: as much as the names need, up to a page."""
    return min(max(HEIGHT * 0.5, 1.1 + 0.27 * bars), 9.5)


def _font(bars: int) -> float:
    """Points: as large as the space of a bar allows."""
    return min(FONT - 2, 0.75 * 72 * (_height(bars) - 1.1) / bars)


def _name_bars(axes: Axes, names: pd.Series) -> None:
    axes.set_yticks(range(len(names)), [plain(_shorten(name)) for name in names], fontsize=_font(len(names)))
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first layer on top
    axes.grid(visible=False, axis="y")


def _label_bars(axes: Axes, ends: NDArray[np.float64], texts: Sequence[str], theme: Theme) -> None:
    if len(texts) > MAX_BARS:
        return
    for at, (end, text) in enumerate(zip(ends, texts, strict=True)):
        axes.annotate(
            text,
            (end, at),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=_font(len(texts)),
            color=theme.text,
        )


def _shorten(name: str, length: int = 28) -> str:
    return name if len(name) <= length else f"{name[: length // 2]}…{name[-length // 2 + 1 :]}"
