"""Every point of a sweep, listed and checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from numpy.typing import ArrayLike

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._selection import checked_sparsities
from keras_prunelab.scores import Score, get
from keras_prunelab.scores._registry import ScoreLike


@dataclass(frozen=True)
class Plan:
    """What a sweep will measure: each score at each level.

    Attributes:
        scores: the scores by name, in the order in which they were given.
        levels: the sparsities, ascending, each once.
    """

    scores: Mapping[str, Score]
    levels: tuple[float, ...]

    @property
    def points(self) -> tuple[tuple[str, float], ...]:
        """Every (score, level), in the order of measurement."""
        return tuple((score, level) for score in self.scores for level in self.levels)


def plan(sparsities: float | ArrayLike, scores: ScoreLike | Iterable[ScoreLike]) -> Plan:
    """Make the plan of a sweep.

    Args:
        sparsities: fractions in [0, 1), in any order.
        scores: one or several scores, as `keras_prunelab.scores.get` takes them.

    Returns:
        The plan.

    Raises:
        InvalidSparsityError: there is no level, or one is outside [0, 1).
        UnknownNameError: there is no score, none of that name, or one twice.
    """
    # Ranges carry the noise of their sums: 0.8060000000000001 is meant as 0.806, and is not a level beside
    # it.
    levels = checked_sparsities([round(level, 12) for level in checked_sparsities(sparsities)])
    found = [get(score) for score in _several(scores)]
    names = [score.name for score in found]
    if not names:
        raise UnknownNameError("scores is empty; name at least one, such as ('magnitude', 'synflow').")
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UnknownNameError(f"Each score is swept once, under its name, but got {', '.join(map(repr, names))}.")
    return Plan(dict(zip(names, found, strict=True)), levels)


def _several(scores: ScoreLike | Iterable[ScoreLike]) -> Iterable[ScoreLike]:
    if isinstance(scores, str | Score | Mapping | type) or callable(scores):
        return [scores]
    return scores
