"""How a curve falls: where it starts to, where it is down, how large its steps are, and how noisy it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from keras_prunelab._result._measurements import Measurements

EARLY, LATE = 0.1, 0.9
"""The shares of its whole fall at which a curve starts to fall, and is down."""
ABRUPT = 0.1
"""A curve is abrupt where it goes from the one to the other within this much sparsity."""

SHALLOW = 0.2
"""A curve that falls less than this share of the deepest fall does not break."""


@dataclass(frozen=True)
class Step:
    """Two neighbouring levels of a curve, as sparsities and values of the metric."""

    before: float
    after: float
    value_before: float
    value_after: float


@dataclass(frozen=True)
class Degradation:
    """The fall of one curve.

    Attributes:
        curve: its name.
        start: the sparsest level up to which less than a tenth of the whole fall is lost; 0 where there is none.
        middle: the first level at which half is lost.
        end: the first level at which nine tenths are lost.
        depth: how much better the dense network is than the worst level.
        largest: the step between neighbouring levels that loses most.
        rises: at how many levels the curve is better than at the one before.
        levels: how many levels it has.
        error: the standard error of the loss about the middle of the fall, in the metric's units; NaN if unknown.
    """

    curve: str
    start: float
    middle: float
    end: float
    depth: float
    largest: Step
    rises: int
    levels: int
    error: float

    @property
    def is_abrupt(self) -> bool:
        """Whether it falls at once, or within a tenth of the range of sparsities."""
        return self.end - self.start <= ABRUPT + 1e-9

    @property
    def loss(self) -> float:
        """The size of the largest step."""
        return abs(self.largest.value_after - self.largest.value_before)


def degradation(result: Measurements, curve: str) -> Degradation | None:
    """Look at the fall of a curve.

    Args:
        result: a sweep.
        curve: the name of a curve, as in `scores`.

    Returns:
        What was found; None where the curve has fewer than three levels or is nowhere worse than the dense network.
    """
    points = result.curves[result.curves["curve"] == curve].sort_values("sparsity", kind="stable")
    points = points[np.isfinite(points[result.metric.name].astype(float))]
    sparsity, values = (points[name].to_numpy(dtype=float) for name in ("sparsity", result.metric.name))
    if len(points) < 3:
        return None
    goodness = np.array([result.metric.goodness(value) for value in values])
    dense = result.metric.goodness(result.dense)
    depth = float(dense - goodness.min())
    if depth <= 0:
        return None
    lost = (dense - goodness) / depth
    first, middle, last = (int(np.argmax(lost >= share)) for share in (EARLY, 0.5, LATE))
    at = int(np.diff(goodness).argmin())
    errors = points["loss_error"].to_numpy(dtype=float) if "loss_error" in points else np.full(len(points), np.nan)
    return Degradation(
        curve=curve,
        start=float(sparsity[first - 1]) if first else 0.0,
        middle=float(sparsity[middle]),
        end=float(sparsity[last]),
        depth=depth,
        largest=Step(float(sparsity[at]), float(sparsity[at + 1]), float(values[at]), float(values[at + 1])),
        rises=int((np.diff(goodness) > 0).sum()),
        levels=len(points),
        error=float(errors[middle]),
    )


def breaking_range(result: Measurements, *also: float) -> tuple[float, float] | None:
    """The sparsities between which the curves break.

    Args:
        result: a sweep.
        also: sparsities that belong into it, such as that of the choice.

    Returns:
        From a little before the first curve falls to where the last one is down; None where that is all there is, or
        where fewer than four levels lie in it.
    """
    falls = [fall for curve in result.scores if (fall := degradation(result, curve)) is not None]
    if not falls:
        return None
    falls = [fall for fall in falls if fall.depth >= SHALLOW * max(each.depth for each in falls)]
    sparsity = result.curves["sparsity"].to_numpy(dtype=float)
    low, high = min(sparsity), max(sparsity)
    start = min([*(fall.start for fall in falls), *also])
    end = max([*(fall.end for fall in falls), *also])
    margin = 0.08 * (end - start)
    start, end = max(low, start - margin), min(high, end + margin)
    inside = np.unique(sparsity[(sparsity >= start) & (sparsity <= end)])
    return (float(start), float(end)) if len(inside) >= 4 and end - start < 0.75 * (high - low) else None
