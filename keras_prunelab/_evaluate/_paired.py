"""What each observation adds to a metric, so that two networks are compared on the same observations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._by_class import counts_by_class
from ._by_group import Grouping
from ._metric import ACCURACY, Metric

Array = NDArray[Any]
_DIGITS = 6  # outputs that agree so far, of the largest one, are the same answer


@dataclass(frozen=True, eq=False)
class Answers:
    """One network's answers to all observations.

    Attributes:
        metric: accuracy or RMSE.
        labels: class indices or responses, one observation after the other.
        values: whether each answer is right, or its squared error, in the order of the labels.
        totals: the sum of `values` for each observation.
        sizes: how many labels each observation has.
        distinct: how many different answers the network gives.
    """

    metric: Metric
    labels: Array
    values: Array
    totals: Array
    sizes: Array
    distinct: int

    @property
    def value(self) -> float:
        """The metric over all observations."""
        share = float(self.totals.sum()) / float(self.sizes.sum())
        return share if self.metric == ACCURACY else math.sqrt(share)

    def by_group(self, groups: Sequence[Grouping]) -> dict[str, tuple[float, ...]]:
        """The metric over the observations of each group."""
        found = {}
        for group in groups:
            totals, sizes = (np.bincount(group.codes, each, len(group.values)) for each in (self.totals, self.sizes))
            shares = totals / sizes
            found[group.name] = tuple((shares if self.metric == ACCURACY else np.sqrt(shares)).tolist())
        return found

    @property
    def influence(self) -> Array:
        """How much each observation moves the metric, to first order: of a ratio of sums, or of its square root."""
        share = self.totals.sum() / self.sizes.sum()
        slope = 1.0 if self.metric == ACCURACY else (0.5 / math.sqrt(share) if share else 0.0)
        return np.asarray(slope * (self.totals - share * self.sizes) / self.sizes.mean())

    @property
    def by_class(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """How many labels each class has, and how many are answered right; empty in regression."""
        return counts_by_class(self.labels, self.values) if self.metric == ACCURACY else ((), ())

    def against(self, baseline: Answers) -> dict[str, float]:
        """The columns of `PAIRED`, for this network after pruning and a baseline before it.

        Data that comes in another order at each pass cannot be paired: all but `answers` are missing then.
        """
        found = {"answers": float(self.distinct)}
        if not np.array_equal(self.labels, baseline.labels):
            return found
        if self.metric == ACCURACY:
            found["lost"] = float(np.count_nonzero(baseline.values & ~self.values))
            found["gained"] = float(np.count_nonzero(self.values & ~baseline.values))
        return found | {"loss_error": self.error_beside(baseline)}

    @np.errstate(invalid="ignore", over="ignore")  # a network that overflows has no error
    def error_beside(self, other: Answers) -> float:
        """The standard error of the difference of two networks' metrics, over the same observations."""
        count = len(self.totals)
        if count < 2:
            return 0.0
        return float(np.std(self.influence - other.influence, ddof=1) / math.sqrt(count))

    def trivial(self) -> Answers:
        """What the best constant answer gets: the most frequent class, or the mean response."""
        if self.metric == ACCURACY:
            classes, counts = np.unique(self.labels[self.labels >= 0], return_counts=True)
            values = self.labels == (classes[counts.argmax()] if len(classes) else 0)
        else:
            values = np.square(self.labels - self.labels.mean(axis=0, keepdims=True))
        edges = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.intp)
        totals = np.add.reduceat(np.asarray(values, np.float64).reshape(-1), edges)
        return Answers(self.metric, self.labels, np.asarray(values), totals, self.sizes, 1)


PAIRED = ["lost", "gained", "loss_error", "answers"]
"""The columns of `Answers.against`."""


class AnswerLog:
    """Collects answers batch by batch.

    Args:
        metric: accuracy or RMSE.
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._labels: list[Array] = []
        self._values: list[Array] = []
        self._totals: list[Array] = []
        self._sizes: list[Array] = []
        self._distinct: set[Any] = set()

    @np.errstate(invalid="ignore", over="ignore")  # a network that overflows is measured as any other
    def add(self, answers: Array, labels: Array) -> None:
        """Note a batch.

        Args:
            answers: class indices or outputs, in the shape of `labels`.
            labels: class indices or responses, with one observation for each index of the first axis.
        """
        is_class = self.metric == ACCURACY
        if not is_class:
            answers, labels = (
                array.astype(np.float64).reshape(len(labels), -1, _width(labels)) for array in (answers, labels)
            )
        values = answers == labels if is_class else np.square(answers - labels)
        count = len(labels)
        self._labels.append(labels.reshape(-1) if is_class else labels.reshape(-1, labels.shape[-1]))
        self._values.append(values.reshape(-1))
        self._totals.append(values.reshape(count, -1).sum(axis=1, dtype=np.float64))
        self._sizes.append(np.full(count, values.size / count))
        if len(self._distinct) < 1000:  # enough to tell that they are many
            self._distinct.update(np.unique(answers).tolist() if is_class else _round(answers))

    def result(self) -> Answers | None:
        """All of it; None without a batch."""
        if not self._totals:
            return None
        labels, values, totals, sizes = map(np.concatenate, (self._labels, self._values, self._totals, self._sizes))
        return Answers(self.metric, labels, values, totals, sizes, len(self._distinct))


def _width(labels: Array) -> int:
    return int(labels.shape[-1]) if labels.ndim > 1 else 1


def _round(answers: Array) -> set[tuple[float, ...]]:
    flat = answers.reshape(-1, answers.shape[-1])
    scale = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(flat).max() or 1.0)))
    return {tuple(row) for row in np.unique(np.round(flat * scale) / scale, axis=0).tolist()}
