"""What is left of each layer at every point of a sweep: counts that a file of results keeps in place of masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_prunelab._evaluate._by_class import PointKey

from ._outline import Left

_NONE = "-"


@dataclass(frozen=True)
class ByLayer:
    """The counts of each point; one that was measured by an earlier version is missing."""

    points: Mapping[PointKey, Left]

    def joined(self, other: ByLayer | None) -> ByLayer:
        """These and the points of another sweep of the same network."""
        return self if other is None else ByLayer({**self.points, **other.points})

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON values: those of a point on one line each."""
        paths = list(dict.fromkeys(path for left in self.points.values() for path in left.zeros))
        points = [
            [*key, _line(left.zeros.get(path) for path in paths), _line(left.removed)]
            for key, left in self.points.items()
        ]
        return {"variables": paths, "points": points}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ByLayer:
        """The counts from what `to_json` made."""
        paths = [str(path) for path in values["variables"]]
        points = {}
        for score, scope, training, seed, level, zeros, removed in values["points"]:
            counts = dict(zip(paths, _counts(zeros), strict=True))
            left = Left({path: count for path, count in counts.items() if count is not None}, _counts(removed))
            points[str(score), str(scope), str(training), int(seed), float(level)] = left
        return cls(points)


def _line(counts: Any) -> str:
    return " ".join(_NONE if count is None else str(count) for count in counts)


def _counts(line: str) -> tuple[int | None, ...]:
    return tuple(None if word == _NONE else int(word) for word in line.split())
