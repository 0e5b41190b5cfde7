"""The look of the plots: colours that colour-blind readers tell apart, on paper and on a dark screen."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from matplotlib import rc_context, rcParams, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from keras_prunelab._text import one_line

FONT = 10.0
"""Points; a figure is printed at its own size, which fits A4 and Letter, and nothing in it is smaller than 8."""
WIDTH, HEIGHT = 6.5, 2.9
"""Inches."""
MARKERS = "osD^vPX"
MORE = "⋮"
"""Stands for the bars that a chart leaves out."""


NO_TEX = rc_context({"text.usetex": False})
"""A decorator: names of layers are never given to LaTeX, which can read files, whatever the user's settings say."""


@contextmanager
def default_style() -> Iterator[None]:
    """Matplotlib's own settings, so that texts have the size that a report's figures are laid out for.

    The user's fonts stay: they may have letters that Matplotlib's font lacks, such as Chinese ones.
    """
    fonts = {
        "font.family": rcParams["font.family"],
        "font.sans-serif": rcParams["font.sans-serif"],
        "font.serif": rcParams["font.serif"],
        "axes.unicode_minus": rcParams["axes.unicode_minus"],
    }
    with style.context(["default", fonts]):
        yield


@dataclass(frozen=True)
class Theme:
    """The colours of a figure.

    Attributes:
        background: behind everything.
        text: words, ticks and the frame.
        faint: grid lines, and the share that is not the point of a bar.
        series: one colour for each curve, 3:1 or more against the background. Light: Okabe and Ito 2008, *Color
            Universal Design*, the pale ones darkened; dark: the lighter ones of the same set first.
    """

    background: str
    text: str
    faint: str
    series: tuple[str, ...]


LIGHT = Theme("#ffffff", "#1f2328", "#d0d7de", ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#6f4fa8"))
DARK = Theme("#0d1117", "#e6edf3", "#3d444d", ("#56b4e9", "#e69f00", "#2fc99b", "#e39fc4", "#f0e442", "#d55e00"))


@NO_TEX
def new_figure(theme: Theme = LIGHT, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure with one axes. No pyplot, so nothing is global and no window opens."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor=theme.background)
    axes = figure.subplots()
    dress(axes, theme)
    return figure, axes


def dress(axes: Axes, theme: Theme) -> None:
    """Give axes the colours and font sizes of the theme."""
    axes.set_facecolor(theme.background)
    axes.tick_params(labelsize=FONT - 1, color=theme.text, labelcolor=theme.text)
    for label in (axes.title, axes.xaxis.label, axes.yaxis.label):
        label.set_color(theme.text)
        label.set_fontsize(FONT)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(theme.text)
    axes.grid(visible=True, color=theme.faint, linewidth=0.7)
    axes.set_axisbelow(True)


def line_style(number: int) -> str | tuple[int, tuple[float, float]]:
    """The dashes of a curve by its number: neighbours, and curves of one colour, are told apart by them."""
    is_dashed = (number + number // len(LIGHT.series)) % 2  # a colour that comes again has the other dashes
    return (0, (5, 1.5)) if is_dashed else "-"


def plain(name: str, length: int = 48) -> str:
    """A name for a plot: on one line, its dollar signs no formula, and of a long one both ends."""
    name = one_line(name)
    if len(name) > length:
        name = f"{name[: length // 2]}…{name[-length // 2 + 1 :]}"
    return name.replace("$", r"\$")


def plain_names(names: Iterable[str], length: int = 32) -> list[str]:
    """Names beside bars: as `plain`, and where some would look the same, without what all of them begin with."""
    names = [str(name) for name in names]
    found = [plain(name, length) for name in names]
    if len(set(found)) == len(set(names)):
        return found
    shared = os.path.commonprefix([name for name in names if name != MORE])  # noqa: RUF071  # letters, not folders
    words = 1 + max((place for place, letter in enumerate(shared) if not letter.isalnum()), default=-1)
    return [plain(name if name == MORE else f"…{name[words:]}", length) for name in names]


def percent_axis(axes: Axes, which: str) -> None:
    """Label an axis of fractions in percent."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 6):g}"))
