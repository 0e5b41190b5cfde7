"""Where a legend or a label may stand: tried on the drawing itself, so that it covers no curve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

_Place = Literal[
    "lower left", "upper right", "upper left", "lower right", "center left", "center right", "lower center"
]
_CORNERS: tuple[_Place, ...] = (
    "lower left",
    "upper right",
    "upper left",
    "lower right",
    "center left",
    "center right",
    "lower center",
)
_CLEARANCE = 0.08
"""Inches that stay free around a legend or label."""
_TWO_COLUMNS = 76
"""Letters of the two longest entries up to which a legend above the axes has two columns."""
_OFFSETS = (18, 30, 44)
"""Points between a marked place and its label."""
_SIDES = ((-1, -1), (1, 1), (-1, 1), (1, -1), (-1, 0), (1, 0), (0, -1), (0, 1))


def place_legend(axes: Axes, **look: Any) -> Legend:
    """Give axes a legend in a corner in which it covers no curve; where every one does, above the axes.

    A figure that holds nothing but these axes grows by what the legend above them takes.

    Args:
        axes: with all its curves.
        look: as for `axes.legend`.
    """
    figure = axes.get_figure(root=True)
    legend = axes.legend(loc=_CORNERS[0], **look)
    legend.set_in_layout(False)  # inside the axes, it takes no room from them
    if figure is not None:
        figure.draw_without_rendering()  # lays out the figure
    passed = _passed(axes)
    for corner in _CORNERS:
        legend.set_loc(corner)
        if not _is_covering(legend, passed):
            return legend
    texts = legend.get_texts()
    columns = 2 if sum(sorted(len(text.get_text()) for text in texts)[-2:]) <= _TWO_COLUMNS else 1
    if figure is not None and figure.axes == [axes]:  # the curves keep their room
        lines = -(-len(texts) // columns)
        figure.set_figheight(figure.get_figheight() + lines * 1.5 * float(texts[0].get_fontsize()) / 72)
    return axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, **look)


def place_label(axes: Axes, label: Annotation, among: Iterable[Artist] = ()) -> bool:
    """Move a label around the place that it points at until it covers no curve.

    Args:
        axes: with all its curves.
        label: an annotation whose text is offset in points.
        among: what else it must not cover, such as the legend.

    Returns:
        Whether there is such a place.
    """
    figure = label.get_figure(root=True)
    if figure is None:
        return False
    label.set_in_layout(False)
    figure.draw_without_rendering()
    passed = _passed(axes)
    others = [artist.get_window_extent() for artist in among]
    inside = axes.get_window_extent()
    for offset in _OFFSETS:
        for across, up in _SIDES:
            label.set_position((across * offset, up * offset))
            label.set_horizontalalignment(("center", "left", "right")[across])
            label.set_verticalalignment(("center", "bottom", "top")[up])
            box = _box(label)
            if (
                inside.contains(box.x0, box.y0)
                and inside.contains(box.x1, box.y1)
                and not any(box.overlaps(other) for other in others)
                and not _is_covering(label, passed)
            ):
                return True
    return False


def _curve_points(line: Line2D) -> NDArray[np.float64]:
    """The places that a curve passes, in pixels, no further apart than a letter is wide."""
    path = line.get_transform().transform_path(line.get_path())
    corners: NDArray[np.float64] = np.asarray(path.vertices, dtype=float)
    corners = corners[np.isfinite(corners).all(axis=1)]
    if len(corners) < 2:
        return corners
    steps = np.maximum(1, (np.abs(np.diff(corners, axis=0)).max(axis=1) / 4).astype(int).clip(max=2000))
    pieces = [
        start + (end - start) * np.linspace(0, 1, count, endpoint=False)[:, None]
        for start, end, count in zip(corners[:-1], corners[1:], steps, strict=True)
    ]
    return np.asarray(np.concatenate([*pieces, corners[-1:]]))


def _passed(axes: Axes) -> NDArray[np.float64]:
    return np.concatenate([np.empty((0, 2)), *map(_curve_points, axes.get_lines())])


def _is_covering(artist: Artist, points: NDArray[np.float64]) -> bool:
    box = _box(artist)
    return bool(((points >= (box.x0, box.y0)) & (points <= (box.x1, box.y1))).all(axis=1).any())


def _box(artist: Artist) -> Bbox:
    """Where an artist is, in pixels, with what stays free around it; of a label its text, without the line to it."""
    box = artist.get_window_extent()
    if isinstance(artist, Annotation):
        box = Text.get_window_extent(artist)
    figure = artist.get_figure(root=True)
    return box.padded(_CLEARANCE * (figure.dpi if figure is not None else 100.0))
