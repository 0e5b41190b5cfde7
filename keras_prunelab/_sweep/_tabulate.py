"""What was measured as rows of a table, with what is left of the network at each point."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_prunelab._evaluate._by_class import ByClass, PointKey
from keras_prunelab._evaluate._by_group import ByGroup
from keras_prunelab._evaluate._paired import PAIRED
from keras_prunelab._result._by_layer import ByLayer
from keras_prunelab._result._outline import Left, Outline, outline

from ._accounting import Accounting
from ._bench import Dense, Outcome, Task
from ._plan import Curve, Point
from ._pruning import Pruning


@dataclass(frozen=True)
class Tabulated:
    """Points of a sweep.

    Attributes:
        rows: of the table.
        by_class: right answers by class; None where they are not known.
        by_layer: what is left of each layer.
        by_group: the metric of each group.
    """

    rows: list[dict[str, Any]]
    by_class: ByClass | None
    by_layer: ByLayer
    by_group: tuple[ByGroup, ...]

    def to_json(self) -> str:
        """The points as text, which `_stored_result.read` puts into the result of a sweep that was killed."""
        parts = {
            "points": self.rows,
            "by_class": None if self.by_class is None else self.by_class.to_json()["points"],
            "by_layer": self.by_layer.to_json()["points"],
            "by_group": [group.to_json()["points"] for group in self.by_group],
        }
        return json.dumps(parts)


@dataclass
class Tabulator:
    """Makes rows of points, and counts what is left of the network at each once.

    Attributes:
        outline: the layers of the network.
    """

    outline: Outline
    _task: Task
    _account: Accounting
    _left: dict[tuple[Curve, float], Left] = field(default_factory=dict)

    @classmethod
    def of(cls, model: keras.Model, task: Task) -> Tabulator:
        """Look at a network, whatever its weights are."""
        layers = outline(model)
        return cls(layers, task, Accounting.of(model, task.pruning.prunables, layers))

    def __call__(self, dense: Dense, points: Iterable[tuple[Point, Point, Outcome]], sources: Any) -> Tabulated:
        """Make the rows.

        Args:
            dense: the dense network.
            points: each with the point that stands for it, and what was measured.
            sources: what holds the masks of a curve that is measured, by its key.
        """
        rows, right, left = [], {}, {}
        groups = self._task.data.groups if dense.groups else ()
        grouped: dict[str, dict[PointKey, tuple[float, ...]]] = {group.name: {} for group in groups}
        for point, its, outcome in points:
            key, counted = (*point.curve.key, point.level), (its.curve, its.level)
            if counted not in self._left:
                self._left[counted] = self.outline.left(sources[its.curve.key].masks(its.level))
            left[key] = self._left[counted]
            rows.append(_row(point, outcome, self._task.pruning, left[key].zeros, self._account))
            if outcome.right:
                right[key] = outcome.right
            for name, values in outcome.groups.items():
                grouped[name][key] = values
        return Tabulated(
            rows,
            ByClass(dense.observations, dense.right, right) if dense.observations else None,
            ByLayer(left),
            tuple(
                ByGroup(one.name, one.values, one.sizes, dense.groups[one.name], grouped[one.name]) for one in groups
            ),
        )


def _row(
    point: Point, outcome: Outcome, pruning: Pruning, zeros: Mapping[str, int], account: Accounting
) -> dict[str, Any]:
    return {
        "score": point.curve.score.name,
        "convention": pruning.convention.name,
        "scope": str(point.curve.scope),
        "granularity": str(pruning.granularity),
        "training": point.curve.training,
        "seed": point.curve.seed,
        "sparsity_target": point.level,
        "sparsity": sum(zeros.values()) / account.total,
        **outcome.measures,
        **account.row(zeros),
        **{name: outcome.paired.get(name, float("nan")) for name in PAIRED},
    }
