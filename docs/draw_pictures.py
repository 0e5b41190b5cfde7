"""Draws pictures of the documentation with the package itself: `python docs/draw_pictures.py`.

`granularity.svg`: which weights of a matrix go together; `schedules.svg`: how sparsity rises; `compaction.svg`: what is
cut out when channels are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

import keras_prunelab as kpl

IMAGES = Path(__file__).parent / "images"
COLOURS = ("#e8eef4", "#f0b98a", "#0072b2")  # pruned, without effect, left
EDGE = "#ffffff"
GRANULARITIES = {
    "weight": "any weights",
    "2:4": "2:4, two of every four inputs",
    "4x4": "4x4, blocks",
    "channel": "channels, whole columns",
}
SIZE, STEPS = 12, 1000


def granularity() -> Figure:
    """The same matrix, half of it pruned, by what goes as a whole."""
    keras.utils.set_random_seed(3)
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, 4), GRANULARITIES.items(), strict=True):
        model = keras.Sequential([keras.Input((SIZE,)), keras.layers.Dense(SIZE, use_bias=False)])
        model.layers[0].set_weights([np.random.default_rng(37).normal(size=(SIZE, SIZE))])
        scope = "global" if name == "weight" else "layer"
        pruned = kpl.prune(model, 0.5, granularity=name, scope=scope)
        draw_matrix(axes, 2 * (pruned.get_weights()[0] != 0))
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("outputs", fontsize=9)
    figure.axes[0].set_ylabel("inputs", fontsize=9)
    return figure


def schedules() -> Figure:
    """Sparsity against the step of training, by schedule."""
    shown = {
        "Constant(0.9)": kpl.schedules.Constant(0.9),
        "Polynomial(0, 0.9)": kpl.schedules.Polynomial(0.0, 0.9, end_step=STEPS, frequency=10),
        "Cosine(0, 0.9)": kpl.schedules.Cosine(0.0, 0.9, end_step=STEPS, frequency=10),
        "Exponential(0, 0.9)": kpl.schedules.Exponential(0.0, 0.9, end_step=STEPS, frequency=10),
    }
    figure = Figure(figsize=(6.5, 2.9), layout="constrained")
    axes = figure.subplots()
    steps = np.arange(0, STEPS + 101, 5)
    styles = ["-", "--", "-.", ":"]
    for (name, schedule), style in zip(shown.items(), styles, strict=True):
        axes.plot(steps, [schedule.at(int(step), 100) or 0.0 for step in steps], style, label=name, linewidth=1.8)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(xlabel="step of training", ylabel="sparsity", ylim=(-0.03, 1))
    axes.grid(visible=True, color="#d0d7de")
    axes.legend(loc="lower right", fontsize=9)
    return figure


def compaction() -> Figure:
    """Two layers, before and after the channels that are gone are cut out."""
    keras.utils.set_random_seed(5)
    layers = [keras.layers.Dense(12, "relu", name="first"), keras.layers.Dense(6, name="second")]
    model = keras.Sequential([keras.Input((10,)), *layers])
    pruned = kpl.prune(model, 0.5, granularity="channel", scope="layer", include="first")
    small = kpl.compact(pruned)
    figure = Figure(figsize=(8, 3.1), layout="constrained")
    axes = figure.subplots()
    place = 0.0
    for network, when in ((pruned, "pruned"), (small, "compact")):
        first, second = (layer.get_weights()[0] for layer in network.layers)
        left = (first != 0).any(axis=0)
        kinds = (2 * (first != 0), np.where(left[:, None], 2, 1) * (second != 0))
        for kind, layer in zip(kinds, network.layers, strict=True):
            rows, columns = kind.shape
            draw_matrix(axes, kind, place)
            title = f"{layer.name}, {when}\n{rows} x {columns}"
            axes.text(place + columns / 2, -0.4, title, ha="center", va="bottom", fontsize=9)
            place += columns + 3
    axes.set(xlim=(-0.5, place - 2.5), ylim=(12.2, -2.4))
    return figure


def draw_matrix(axes: Axes, kinds: np.ndarray, place: float = 0.0) -> None:
    """A matrix as squares from a place on: 0 where a weight is pruned, 1 where it is left without effect, else 2."""
    rows, columns = kinds.shape
    across, down = place + np.arange(columns + 1), np.arange(rows + 1)
    axes.pcolormesh(across, down, kinds, cmap=ListedColormap(COLOURS), vmin=0, vmax=2, edgecolors=EDGE, linewidth=0.6)
    axes.set(aspect="equal", ylim=(rows, 0))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


PICTURES: dict[str, Callable[[], Figure]] = {
    "granularity": granularity,
    "schedules": schedules,
    "compaction": compaction,
}


def main(folder: Path = IMAGES) -> None:
    """Write all pictures."""
    for name, draw in PICTURES.items():
        with rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}):
            draw().savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
