"""How many observations of each class a network gets right, at each point of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MAX_CLASSES = 2000
"""Labels with more classes, such as the words of a vocabulary, are not counted by class."""
PointKey: TypeAlias = "tuple[str, str, str, int, float]"
"""Score, scope, training, seed and the level asked for: which row of the table a point is."""
COLUMNS = ["class", "observations", "dense", "accuracy", "change"]


@dataclass(frozen=True)
class ByClass:
    """Right answers by class, in the order of the classes' indices.

    Attributes:
        observations: how many labels each class has.
        dense: how many of them the dense network gets right.
        points: the same of each point; a point that was measured by an earlier version is missing.
    """

    observations: tuple[int, ...]
    dense: tuple[int, ...]
    points: Mapping[PointKey, tuple[int, ...]]

    def table(self, keys: Sequence[PointKey], names: Sequence[str]) -> pd.DataFrame:
        """Accuracy by class of one point, or the mean over several, with `COLUMNS`; empty where one is missing."""
        if not keys or any(key not in self.points for key in keys):
            return pd.DataFrame(columns=COLUMNS)
        counts = np.array(self.observations, dtype=float)
        right = np.mean([self.points[key] for key in keys], axis=0)
        named = [names[index] if index < len(names) else f"{index}" for index in range(len(counts))]
        with np.errstate(invalid="ignore"):  # a class without observations has no accuracy
            dense, accuracy = np.array(self.dense) / counts, right / counts
        columns = {"class": named, "observations": list(self.observations), "dense": dense, "accuracy": accuracy}
        return pd.DataFrame(columns | {"change": accuracy - dense})

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        points = [[*key, list(right)] for key, right in self.points.items()]
        return {"observations": list(self.observations), "dense": list(self.dense), "points": points}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ByClass:
        """The counts from what `to_json` made."""
        points = {(str(a), str(b), str(c), int(d), float(e)): counted(f) for a, b, c, d, e, f in values["points"]}
        return cls(counted(values["observations"]), counted(values["dense"]), points)

    def joined(self, other: ByClass | None) -> ByClass | None:
        """These and the points of another sweep of the same network on the same data."""
        return None if other is None else ByClass(self.observations, self.dense, {**self.points, **other.points})


def counts_by_class(labels: NDArray[Any], values: NDArray[Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Count labels and right answers by class.

    Args:
        labels: class indices; negative ones are of no class.
        values: whether each answer is right.

    Returns:
        How many labels each class has, and how many answers to them are right; empty where classes are too many.
    """
    known = labels >= 0
    labels, values = labels[known].astype(np.int64), values[known]
    if not len(labels) or labels.max() >= MAX_CLASSES:
        return (), ()
    length = int(labels.max()) + 1
    return counted(np.bincount(labels, minlength=length)), counted(np.bincount(labels[values], minlength=length))


def counted(values: Any) -> tuple[int, ...]:
    """Counts as a tuple, from arrays and JSON values.

    Raises:
        TypeError: they are no whole numbers.
    """
    numbers = np.asarray(values).tolist()
    if not isinstance(numbers, list) or not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise TypeError(f"{values!r:.60} are no counts")
    return tuple(numbers)
