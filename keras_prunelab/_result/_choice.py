"""The trade-off: one point of a sweep, chosen by a condition, with the reason in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from keras_prunelab._errors import InvalidSparsityError, NoTradeOffError, UnknownNameError
from keras_prunelab._evaluate._metric import Metric, percent
from keras_prunelab._text import suggest
from keras_prunelab._util._notebook import paragraph


@dataclass(frozen=True)
class Choice:
    """One point of a sweep, and why it was chosen.

    Attributes:
        score: the name of the score.
        sparsity: the fraction of the prunable weights that are zero, as measured.
        sparsity_target: the level that was asked for; it differs where the convention prunes ties.
        accuracy: the metric's value at this point: a fraction of right answers, or the RMSE in regression, or
            whatever the sweep measured first; of several seeds the mean.
        dense_accuracy: the same of the network before pruning.
        reason: one or two sentences, ready for a report.
        index: the row of `SweepResult.table`, of several seeds the first one's.
        scope: among which weights they were ranked.
        training: how the weights that are left were solved anew and trained, in words, such as `"reconstruction"` or
            `"3 epochs"`; `"none"` where they were not.
        seed: the seed of that row.
        std: the sample standard deviation of the metric over the seeds; 0 for a single one.
        curve: the name of the curve, as in `SweepResult.scores`; by default that of the score.
        metric_name: what was measured, as the column of `SweepResult.table` is called.
    """

    score: str
    sparsity: float
    sparsity_target: float
    accuracy: float
    dense_accuracy: float
    reason: str
    index: int
    scope: str = "global"
    training: str = "none"
    seed: int = 0
    std: float = 0.0
    curve: str = ""
    metric_name: str = "accuracy"

    def __post_init__(self) -> None:
        object.__setattr__(self, "curve", self.curve or self.score)

    @property
    def metric(self) -> float:
        """The metric's value at this point, whatever was measured: the same number as `accuracy`."""
        return self.accuracy

    @property
    def dense_metric(self) -> float:
        """The metric of the network before pruning: the same number as `dense_accuracy`."""
        return self.dense_accuracy

    def __repr__(self) -> str:
        return (
            f"<Choice: {self.curve} at sparsity {self.sparsity:.4g}, {self.metric_name} {self.metric:.4g} "
            f"(dense {self.dense_metric:.4g})>"
        )

    def _repr_html_(self) -> str:
        """The point and its reason, for notebooks."""
        return paragraph(self.reason, strong=f"{self.curve} at {percent(self.sparsity)}.")


@dataclass(frozen=True)
class TradeOffs:
    """The points of a sweep, seen as candidates for a choice.

    Attributes:
        table: what `curve_points` makes of the table of a `SweepResult`.
        dense: the metric of the network before pruning.
        metric: what was measured.
    """

    table: pd.DataFrame
    dense: float
    metric: Metric

    def within_drop(self, max_drop: float, score: str | None = None) -> Choice:
        """The end of the unbroken range in which the metric is within `max_drop` of the dense network's.

        A level is within it where its loss exceeds `max_drop` by one standard error at most, that of the difference
        of both networks on the same observations.
        """
        if self.metric.higher_is_better and max_drop == 1:
            raise NoTradeOffError(
                f"max_drop=1 can mean one point of {self.metric.label}, which is max_drop=0.01, or all of it, which "
                "every level meets. For one point pass 0.01; where any loss is allowed, 0.99."
            )
        if not 0 <= max_drop <= (1 if self.metric.higher_is_better else float("inf")):
            raise NoTradeOffError(
                "max_drop is the accuracy that may be lost, as a fraction from 0 to 1 (0.01 is one point), but "
                f"got {max_drop!r}."
            )
        limit = self.metric.limit(self.dense, max_drop)
        allowance = (
            f"{100 * max_drop:g} {'point' if max_drop == 0.01 else 'points'}"
            if self.metric.higher_is_better
            else percent(max_drop)
        )
        condition = f"is within {allowance} of the dense {self.metric.text(self.dense)}"
        return self._end_of_range(limit, condition, score, errors=1)

    def at_least(self, min_metric: float, score: str | None = None) -> Choice:
        """The end of the unbroken range in which the metric is at least `min_metric`."""
        if not self.metric.higher_is_better:
            raise NoTradeOffError(
                f"min_metric asks for a least value, but this sweep measured the {self.metric.label}, which is better "
                "when it is lower. Use max_drop=0.05, which allows an error 5 % above the dense network's."
            )
        if self.metric.is_fraction and not 0 <= min_metric <= 1:
            raise NoTradeOffError(f"min_metric is a fraction from 0 to 1 (0.98 is 98 %), but got {min_metric!r}.")
        return self._end_of_range(min_metric, f"is at least {self.metric.text(min_metric)}", score, errors=0)

    def within_bytes(self, max_bytes: float, score: str | None = None) -> Choice:
        """The point with the best metric among those that take at most `max_bytes`; of equal ones the smallest."""
        points = self._finite(score)
        passing = points[points["bytes"] <= max_bytes]
        if passing.empty:
            row = points.iloc[int(points["bytes"].argmin())]
            raise NoTradeOffError(
                f"No tested level takes at most {max_bytes:,.0f} bytes. The smallest is {row['curve']} at "
                f"{percent(row['sparsity'])} with {row['bytes']:,.0f}. Allow more, or test higher sparsities."
            )
        goodness = passing[self.metric.name].map(self.metric.goodness)
        row = passing.iloc[int(np.lexsort((-passing["bytes"], goodness))[-1])]
        return self._choice(
            row,
            f"{row['curve']} at {percent(row['sparsity'])} takes {row['bytes']:,.0f} bytes, within the "
            f"{max_bytes:,.0f} allowed, and of all such points it is the best, with {self._beside_dense(row)}.",
        )

    def at_knee(self, score: str | None = None) -> Choice:
        """The point where the curve bends most, furthest above the line from dense to worst.

        Sparsity and metric are scaled to [0, 1] over the dense network and all points, as in Satopää et al.
        2011, *Finding a "Kneedle" in a Haystack*; the knee has the largest sum of both. Of equal ones the
        sparsest wins.
        """
        points = self._finite(score)
        goodness = np.array([self.metric.goodness(value) for value in points[self.metric.name]])
        sparsity = points["sparsity"].to_numpy(dtype=float)
        dense = self.metric.goodness(self.dense)
        worst, best = min(goodness.min(), dense), max(goodness.max(), dense)
        height = (goodness - worst) / (best - worst) if best > worst else np.ones_like(goodness)
        bend = height + sparsity / (sparsity.max() or 1.0)
        place = int(np.lexsort((goodness, sparsity, np.round(bend, 12)))[-1])
        row = points.iloc[place]
        return self._choice(
            row,
            f"{row['curve']} at {percent(row['sparsity'])} is the knee of the curve: the point furthest "
            "above the straight "
            f"line from the dense network to the worst point, with {self._beside_dense(row)}.",
        )

    def nearest(self, sparsity: float, score: str | None = None) -> Choice:
        """The point whose measured sparsity is nearest to `sparsity`, chosen by hand."""
        if not 0 <= sparsity < 1:
            raise InvalidSparsityError(f"A sparsity is a fraction from 0 to below 1, but got {sparsity!r}.")
        points = self._of(score)
        distance = (points["sparsity"] - sparsity).abs().round(12)
        goodness = points[self.metric.name].map(self.metric.goodness)
        row = points.iloc[int(np.lexsort((-goodness, distance))[0])]
        return self._choice(
            row,
            f"{row['curve']} at {percent(row['sparsity'])} is the tested level nearest to the wanted "
            f"{percent(sparsity)}, with {self._beside_dense(row)}.",
        )

    def _end_of_range(self, limit: float, condition: str, score: str | None, *, errors: float) -> Choice:
        """The sparsest level of those from which down to the lowest every one passes, of all curves.

        Args:
            limit: the worst value that passes.
            condition: the same in words.
            score: the score or curve to consider, or None.
            errors: by how many of its standard errors a value may miss the limit.
        """
        points = self._of(score).sort_values(["sparsity", "sparsity_target"], kind="stable")
        is_passing = np.array([self._passes(row, limit, errors) for _, row in points.iterrows()])
        is_unbroken = pd.Series(is_passing, points.index).groupby(points["curve"]).cummin().to_numpy(dtype=bool)
        goodness = points[self.metric.name].map(self.metric.goodness).fillna(-np.inf)
        if not is_unbroken.any():
            best = points.iloc[int(np.lexsort((points["sparsity"], goodness))[-1])]
            lucky = points[is_passing]
            if lucky.empty:
                raise NoTradeOffError(
                    f"The {self.metric.label} of no tested level {condition}. The best is {best['curve']} at "
                    f"{percent(best['sparsity'])} with {self.metric.text(best[self.metric.name])}. "
                    "Allow more, or test lower sparsities."
                )
            raise NoTradeOffError(
                f"There is no level up to which the {self.metric.label} {condition} at every tested level. "
                f"{self._named(lucky)} would, but sparser than a level that does not: that is luck, and is not "
                "chosen. Allow more, or test lower sparsities."
            )
        passing = points[is_unbroken]
        row = passing.iloc[int(np.lexsort((goodness[is_unbroken], passing["sparsity"]))[-1])]
        value = self.metric.text(row[self.metric.name])
        if not self.metric.meets(row[self.metric.name], limit):
            error = self.metric.difference(row["loss_error"])
            condition += f" within one standard error of their difference, {error}"
        is_lucky = (is_passing & ~is_unbroken) & (points["curve"] == row["curve"]).to_numpy()
        return self._choice(
            row,
            f"{row['curve']} at {percent(row['sparsity'])} is the sparsest level whose "
            f"{self.metric.label}, {value}, {condition}{self._next(row)}.{self._luck(row, points[is_lucky])}",
        )

    def _next(self, row: pd.Series) -> str:
        """What happens one level further on the same curve."""
        sparser = self._of(row["curve"])
        sparser = sparser[sparser["sparsity"] > row["sparsity"]]
        if sparser.empty:
            return "; it is the sparsest level that was tested"
        following = sparser.iloc[int(sparser["sparsity"].argmin())]
        value = self.metric.text(following[self.metric.name])
        return f"; the next level, {percent(following['sparsity'])}, {self.metric.verb}s to {value}"

    def _luck(self, row: pd.Series, lucky: pd.DataFrame) -> str:
        """The levels beyond the range that pass again."""
        if lucky.empty:
            return ""
        first = self._of(row["curve"])
        first = first[first["sparsity"] > row["sparsity"]].sort_values("sparsity", kind="stable").iloc[0]
        verb = "meets" if len(lucky) == 1 else "meet"
        return (
            f" The curve is not monotonic: {self._named(lucky)} {verb} the condition again, but "
            f"{percent(first['sparsity'])} before it does not: that is luck, and is not chosen."
        )

    def _named(self, points: pd.DataFrame) -> str:
        texts = [
            f"{row['curve']} at {percent(row['sparsity'])} ({self.metric.text(row[self.metric.name])})"
            for _, row in points.iterrows()
        ]
        more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
        return ", ".join(texts[:3]) + more

    def _passes(self, row: pd.Series, limit: float, errors: float) -> bool:
        error = row.get("loss_error", np.nan)
        allowed = errors * (0.0 if pd.isna(error) else float(error))
        goodness = self.metric.goodness(row[self.metric.name]) + allowed
        return bool(self.metric.meets(self.metric.goodness(goodness), limit))

    def _beside_dense(self, row: pd.Series) -> str:
        value = self.metric.text(row[self.metric.name])
        return f"{self.metric.label} {value} (dense {self.metric.text(self.dense)})"

    def _of(self, score: str | None) -> pd.DataFrame:
        is_its = self.table["curve"] == score
        if not is_its.any():  # a name that is a curve's means that curve, and not all curves of its score
            is_its = self.table["score"] == score
        if score is not None and not is_its.any():
            known = list(dict.fromkeys(self.table["curve"]))
            names = ", ".join(known)
            raise UnknownNameError(
                f"The sweep has no score {score!r}; it has {names or 'no points'}.{suggest(str(score), known)}"
            )
        points = self.table if score is None else self.table[is_its]
        if points.empty:
            raise NoTradeOffError("The sweep was stopped before its first point: there is nothing to choose from.")
        return points

    def _finite(self, score: str | None) -> pd.DataFrame:
        """The points whose metric is a number; a network that overflows answers with none."""
        points = self._of(score)
        points = points[np.isfinite(points[self.metric.name].astype(float))]
        if points.empty:
            raise NoTradeOffError(f"The {self.metric.label} of no tested level is a number. Test lower sparsities.")
        return points

    def _choice(self, row: pd.Series, reason: str) -> Choice:
        seeds, std = int(row["seeds"]), float(row["std"])
        if seeds > 1:
            spread = self.metric.difference(std)
            reason += f" Values are means over {seeds} seeds; the standard deviation here is {spread}."
        return Choice(
            score=str(row["score"]),
            sparsity=float(row["sparsity"]),
            sparsity_target=float(row["sparsity_target"]),
            accuracy=float(row[self.metric.name]),
            dense_accuracy=float(self.dense),
            reason=reason,
            index=int(row["row"]),
            scope=str(row["scope"]),
            training=str(row["training"]),
            seed=int(row["seed"]),
            std=std,
            curve=str(row["curve"]),
            metric_name=self.metric.name,
        )


def _parts(training: pd.Series) -> tuple[pd.Series, pd.Series]:
    """How the weights of each point were solved anew, or nothing; and how they were trained."""
    found = training.astype(str).str.extract(r"^((?:sequential )?reconstruction)?(?:, )?(.*)$")
    return found[0].fillna(""), found[1].where(found[1] != "", "none")


def curve_points(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The points of a sweep, those of several seeds as one.

    Args:
        table: the table of a `SweepResult`.
        metric: the column of the metric.

    Returns:
        The columns of the table, the metric and its `loss_error` as means; `curve`, the name of the score, with scope
        and training where there are several; `seeds`, their number; `std`, the sample standard deviation of the metric;
        `row`, the row of the first seed.
    """
    points = table.assign(row=np.arange(len(table)))
    solved, trained = _parts(points["training"])
    # What obs chooses is meant to be solved anew: its name alone says so, unless it is there without that too.
    implied = points["score"] == "obs"
    implied &= bool((solved[implied] != "").all())
    suffix = (" + " + solved).where(solved != "", "")
    suffix = suffix.where(~implied, solved.map({"sequential reconstruction": ", sequential"}).fillna(""))
    points["curve"] = points["score"].astype(str) + suffix
    for column in (points["scope"], trained):
        if len(set(column)) > 1:
            points["curve"] += ", " + column.astype(str)
    groups = points.groupby(["curve", "sparsity_target"], sort=False)
    values = groups[metric].agg(["mean", "std", "count"]).reset_index(drop=True)
    # A mean of equal numbers may differ from them in the last digit.
    first = groups.head(1).reset_index(drop=True)
    mean = np.where(values["count"] > 1, values["mean"], first[metric])
    first[metric] = mean
    if "loss_error" in first:  # of the mean, at most the mean: the observations are the same for all seeds
        first["loss_error"] = groups["loss_error"].mean().to_numpy()
    return first.assign(std=values["std"].fillna(0.0), seeds=values["count"])
