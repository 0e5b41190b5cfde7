"""Legends and labels of plots cover no curve, and no letter is too small to be read."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation, Text

from keras_prunelab._report import _plots
from keras_prunelab._report._degradation import breaking_range
from keras_prunelab._report._findings import Findings
from keras_prunelab._result._plot import accuracy_figure

from .results_by_hand import FALLING, result

LEVELS = np.linspace(0, 0.98, 50)
SHAPES = {
    "falling": lambda s: 0.1 + 0.89 / (1 + np.exp(30 * (s - 0.8))),
    "early": lambda s: 0.1 + 0.89 / (1 + np.exp(30 * (s - 0.1))),
    "flat": lambda s: 0.99 - 0.001 * s,
    "line": lambda s: 0.99 - 0.9 * s,
    "zigzag": lambda s: 0.5 + 0.45 * np.sin(40 * s),
    "corner": lambda s: np.where(s < 0.9, 0.99, 0.1),
}


def _swept(*shapes):
    curves = {
        shape: [(float(s), float(v)) for s, v in zip(LEVELS, SHAPES[shape](LEVELS), strict=True)] for shape in shapes
    }
    return result(curves)


def _crossings(figure) -> list[str]:
    """The words that stand over a curve, found on the figure as it is drawn; nothing here is of the package."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = [] if axes.get_legend() is None else [("legend", axes.get_legend().get_window_extent())]
    boxes += [(text.get_text(), Text.get_window_extent(text)) for text in axes.texts if isinstance(text, Annotation)]
    found = []
    for line in axes.get_lines():
        x, y = (np.asarray(values, dtype=float) for values in line.get_data())
        if len(x) < 2 or (line.get_transform() is not axes.transData and len(set(y)) > 1):
            continue
        if line.get_transform() is not axes.transData:  # a line across the axes
            x = np.asarray(axes.get_xlim())
        fine = np.linspace(0, len(x) - 1, 40 * len(x))
        points = axes.transData.transform(
            np.column_stack([np.interp(fine, np.arange(len(x)), x), np.interp(fine, np.arange(len(y)), y)])
        )
        for name, box in boxes:
            if ((points > (box.x0, box.y0)) & (points < (box.x1, box.y1))).all(axis=1).any():
                found.append(f"{name} over {line.get_label()}")
    for (name, box), (other, behind) in [(a, b) for a in boxes for b in boxes if a[0] < b[0]]:
        if box.overlaps(behind):
            found.append(f"{name} over {other}")
    return found


@pytest.mark.parametrize("shapes", [*((shape,) for shape in SHAPES), ("line", "zigzag"), tuple(SHAPES)], ids="-".join)
@pytest.mark.parametrize("place", [0.0, 0.6, 0.98])
def test_no_word_stands_over_a_curve(shapes, place):
    swept = _swept(*shapes)
    figure = accuracy_figure(swept, swept.choose(sparsity=place, score=shapes[0]))
    assert _crossings(figure) == []
    words = [text.get_text() for text in figure.findobj(Text)]
    assert any(f"{shapes[0]}: {100 * place:.1f} % sparse" in word.replace("\n", " ") for word in words)


def test_the_break_is_drawn_with_every_level_in_it():
    swept = _swept("falling", "flat")
    choice = swept.choose(sparsity=0.7, score="falling")
    limits = breaking_range(swept, choice.sparsity)
    assert limits is not None
    figure = _plots.break_figure(swept, choice, limits)
    assert _crossings(figure) == []
    drawn = {line.get_label(): line.get_xdata() for line in figure.axes[0].get_lines()}
    inside = np.array([level for level in LEVELS if limits[0] <= level <= limits[1]])
    np.testing.assert_allclose(drawn["falling"], inside)
    assert 0.7 in inside.round(6)


def test_a_curve_that_breaks_everywhere_has_no_second_plot():
    assert breaking_range(_swept("line")) is None
    assert breaking_range(result({"magnitude": [(0.5, 0.99)]})) is None


@pytest.mark.parametrize("count", [1, 4, 22, 23, 150])
def test_charts_of_many_layers_are_readable(count):
    swept = result(FALLING)
    findings = Findings.of(swept, swept.choose(max_drop=0.01))
    names = [f"stage_{n // 10}_block_{n}_depthwise_convolution" for n in range(count)]
    layers = pd.DataFrame(
        {
            "layer": names,
            "type": "Conv2D",
            "parameters": 100,
            "zeros": 50,
            "sparsity": np.linspace(0, 1, count),
            "filters": pd.array([8] * count, "Int64"),
            "filters_removed": pd.array([n % 9 for n in range(count)], "Int64"),
            "macs": pd.array([100] * count, "Int64"),
            "macs_kept": pd.array([50] * count, "Int64"),
        }
    )
    beside = {
        name: dataclasses.replace(one, layers=layers, blocks=layers.rename(columns={"layer": "block"}))
        for name, one in findings.beside.items()
    }
    findings = dataclasses.replace(findings, layers=layers, blocks=layers.head(1), beside=beside)
    for name in ("layers", "filters", "blocks"):
        figure = _plots.figures(findings)[name]()
        figure.draw_without_rendering()
        width, height = figure.bbox.width, figure.bbox.height
        assert figure.get_figheight() <= 8
        words = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        assert min(text.get_fontsize() for text in words) >= 8, name
        beyond = {
            tick.label1  # of a tick outside the view, which is not drawn
            for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis)
            for tick in axis.get_major_ticks()
            if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        }
        boxes = [text.get_window_extent() for text in words if text not in beyond]
        assert all(box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1 for box in boxes), (
            name
        )
        ticks = sorted(
            (t.get_window_extent() for t in figure.axes[0].get_yticklabels() if t.get_text()), key=lambda b: b.y0
        )
        assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(ticks)), name
    if count > _plots.MAX_BARS:
        bars = _plots.bar_figure(layers, "layer")
        values = [bar.get_width() for bar in bars.axes[0].patches if np.isfinite(bar.get_width())]
        half = _plots.EXTREMES
        expected = np.linspace(0, 1, count)
        np.testing.assert_allclose(values, [*expected[::-1][:half], *expected[:half][::-1]])
