"""Curves that collapse at their first level: which, why, and what avoids it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_prunelab._evaluate._metric import percent

if TYPE_CHECKING:
    from ._result import SweepResult

REMEDIES = {"synflow": "linear_synflow"}
"""By the score that collapses in the matlab convention: the one that does not."""
_SAME = 1e-12  # sparsities that differ by less are equal but for rounding


@dataclass(frozen=True)
class Collapse:
    """A curve that empties layers at its lowest level.

    Attributes:
        curve: the name of the curve, as in `SweepResult.scores`.
        score: the name of its score.
        layers: the layers that have no weight left.
        sparsity: the sparsity there, a fraction.
        target: the level asked for, a fraction.
        is_flow: whether it is because the all-ones input of SynFlow does not get through the network as it was built.
    """

    curve: str
    score: str
    layers: tuple[str, ...]
    sparsity: float
    target: float
    is_flow: bool

    def __str__(self) -> str:
        what = (
            f"Layer collapse: {self.curve} has emptied {', '.join(self.layers)} at {percent(self.sparsity)} (level "
            f"{percent(self.target)}); what passes through there no longer depends on the input."
        )
        return what + (_WHY if self.is_flow else "")

    @property
    def remedy(self) -> str | None:
        """The name of a score that avoids it; None where there is none to name."""
        return REMEDIES.get(self.score) if self.is_flow else None


_WHY = (
    " More went than the level asks for, because in the matlab convention weights with a score of zero always go; "
    "SynFlow scores are zero where its all-ones input, normalized like any other, does not get through. To avoid this, "
    "use the score linear_synflow (--scores magnitude,linear_synflow), for which the offset of the input and moving "
    "means do not count, or --convention paper."
)


def find_collapses(result: SweepResult) -> list[Collapse]:
    """Find the curves that leave a layer without any weight at their lowest level.

    Args:
        result: a sweep.

    Returns:
        One finding for each such curve.
    """
    return [found for curve in result.scores if (found := find_collapse(result, curve, None)) is not None]


def find_collapse(result: SweepResult, curve: str, sparsity: float | None) -> Collapse | None:
    """Look at one curve at one level.

    Args:
        result: a sweep.
        curve: the name of a curve.
        sparsity: where to look: the tested level nearest to this fraction; None for the lowest one.

    Returns:
        The finding; None where every layer has a weight left, or where that is not known.
    """
    points = result.curves[result.curves["curve"] == curve]
    point = result.choose(sparsity=points["sparsity"].min() if sparsity is None else sparsity, score=curve)
    if not result.has_layers(point):
        return None
    layers = result.layers(point)
    emptied = tuple(layers.loc[layers["zeros"] == layers["parameters"], "layer"])
    if not emptied:
        return None
    score = str(points["score"].iloc[0])
    went_beyond = point.sparsity > point.sparsity_target + _SAME
    is_flow = result.convention == "matlab" and score in REMEDIES and went_beyond
    return Collapse(curve, score, emptied, point.sparsity, point.sparsity_target, is_flow)
