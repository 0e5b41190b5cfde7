"""What a sweep has measured, as a value: the table of points, the network's outline, and the masks behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import pandas as pd

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._evaluate._by_class import ByClass
from keras_prunelab._evaluate._by_group import ByGroup
from keras_prunelab._evaluate._metric import ACCURACY, Metric

from ._by_layer import ByLayer
from ._choice import Choice, TradeOffs, curve_points
from ._mask_source import MaskSource
from ._outline import Outline

CurveKey: TypeAlias = "tuple[str, str, str, int]"
"""The score, the scope, the training and the seed of a curve, as in the columns of the table."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """The points of a sweep and what is behind them; `SweepResult` says what each attribute is."""

    table: pd.DataFrame
    dense: float
    outline: Outline = field(repr=False)
    sources: Mapping[CurveKey, MaskSource] = field(repr=False)
    metric: Metric = ACCURACY
    class_names: tuple[str, ...] = ()
    metadata: Mapping[str, str | int | float] = field(default_factory=dict)
    complete: bool = True
    by_class: ByClass | None = field(default=None, repr=False)
    by_layer: ByLayer | None = field(default=None, repr=False)
    by_group: tuple[ByGroup, ...] = field(default=(), repr=False)
    choice: Choice | None = field(default=None, repr=False)
    _last: list[pd.DataFrame] = field(default_factory=list, init=False, repr=False, compare=False)
    """A table, and the curves made of it."""

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of the curves that have points: their scores, with scope and training where there are several."""
        return tuple(dict.fromkeys(self.curves["curve"]))

    @property
    def curves(self) -> pd.DataFrame:
        """The table with one row for all seeds of a point.

        Returns:
            The columns of `table`, the metric as its mean over the seeds, the others of the first seed; `curve`, its
            name as in `scores`; `seeds`, their number; `std`, the sample standard deviation of the metric.
        """
        # A report asks for them hundreds of times. The table can be edited, so what it was is compared.
        if not self._last or not self._last[0].equals(self.table):
            self._last[:] = self.table.copy(), curve_points(self.table, self.metric.name)
        return self._last[1].copy()

    def summary(self) -> pd.DataFrame:
        """Mean and sample standard deviation of every measure over the seeds.

        Returns:
            One row for each score, scope, training and level. Columns: these; `sparsity`; `seeds`, their number; and
            for each measure `<name>_mean` and `<name>_std`, in its units; the deviation of a single seed is missing.
        """
        keys = ["score", "scope", "training", "sparsity_target"]
        names = list(self.table.columns)
        measures = names[names.index("sparsity") + 1 : names.index("zeros")]
        groups = self.table.groupby(keys, sort=False)
        columns = {"sparsity": groups["sparsity"].mean(), "seeds": groups.size()}
        for name in measures:
            columns |= {f"{name}_mean": groups[name].mean(), f"{name}_std": groups[name].std()}
        return pd.DataFrame(columns).reset_index()

    @property
    def convention(self) -> str:
        """The convention by which sparsity was counted and weights were chosen."""
        return str(self.metadata.get("convention", ""))

    @property
    def trade_offs(self) -> TradeOffs:
        """The points as candidates for a choice, whether or not any is meaningful."""
        return TradeOffs(self.curves, self.dense, self.metric)


def own_choice(result: Measurements, choice: Choice) -> Choice:
    """A choice with the row and the name of the curve that it has in a result by now, sorted or joined as that may be.

    Raises:
        UnknownNameError: it is no point of this result.
    """
    if not isinstance(choice, Choice):
        raise UnknownNameError(f"A choice is what result.choose(...) gives, but got {choice!r:.60}.")
    points, same = result.curves, ["score", "scope", "training", "sparsity_target"]
    points = points[(points[same] == [getattr(choice, name) for name in same]).all(axis=1)]
    is_measured = choice.metric_name == result.metric.name  # files have metrics of their own
    if points.empty or (is_measured and not _is_same(points[result.metric.name].iloc[0], choice.accuracy)):
        raise UnknownNameError(
            f"{choice!r} is no point of {result!r}: it was chosen from another sweep, or before this one was changed. "
            "Choose again, from this one: result.choose(...)."
        )
    point = points.iloc[0]
    return replace(choice, index=int(point["row"]), curve=str(point["curve"]))


def _is_same(value: float, other: float) -> bool:
    return math.isclose(value, other, rel_tol=1e-9) or (math.isnan(value) and math.isnan(other))
