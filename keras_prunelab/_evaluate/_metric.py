"""What a sweep measures: accuracy for classifiers, the root-mean-square error for regression, or what Keras reports."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_DECIMALS = 6
"""The decimals of a percentage that is nearly 100, at most."""
ROUNDING = 1e-9
"""Slack in comparisons: 0.98 is within 0.01 of 0.99, whatever the binary fractions say."""
_FRACTIONS = ("acc", "accuracy", "auc", "precision", "recall", "iou", "f1_score", "top_k", "fbeta")
_LABELS = {"rmse": "RMSE"}


@dataclass(frozen=True)
class Metric:
    """A measure of how good a network is, and how to compare and print its values.

    Attributes:
        name: `"accuracy"`, a fraction from 0 to 1; `"rmse"`, in the units of the responses; or the name of a metric
            of Keras. The column of `SweepResult.table` that holds the values has this name.
        higher_is_better: whether a larger value is a better one.
    """

    name: str
    higher_is_better: bool = True

    @property
    def label(self) -> str:
        """The name in a sentence or on an axis."""
        return _LABELS.get(self.name, self.name.replace("_", " "))

    @property
    def is_fraction(self) -> bool:
        """Whether the values are shares from 0 to 1, which are printed as percentages."""
        return self.higher_is_better and any(part in self.name.lower() for part in _FRACTIONS)

    @property
    def verb(self) -> str:
        """What the values of a network do that gets worse."""
        return "fall" if self.higher_is_better else "rise"

    def limit(self, dense: float, max_drop: float) -> float:
        """The worst value that is within `max_drop` of the dense network's.

        For accuracy the drop is absolute (0.01 is one point of accuracy); an error has no natural scale, so
        for RMSE it is relative (0.01 allows an error that is one hundredth larger).
        """
        return dense - max_drop if self.higher_is_better else dense + abs(dense) * max_drop

    def meets(self, value: float, limit: float) -> bool:
        """Whether `value` is at least as good as `limit`."""
        slack = ROUNDING * max(1.0, abs(limit))
        return value >= limit - slack if self.higher_is_better else value <= limit + slack

    def goodness(self, value: float) -> float:
        """A number that is larger for better values."""
        return value if self.higher_is_better else -value

    def difference(self, value: float) -> str:
        """A difference of two values as it is printed: `"0.31 points"`, or two significant digits of an error."""
        return f"{100 * value:.2f} points" if self.is_fraction else f"{value:.2g}"

    def text(self, value: float) -> str:
        """The value as it is printed: `"98.74 %"`, or four significant digits of an error."""
        return percent(value, 2) if self.is_fraction else f"{value:.4g}"


ACCURACY = Metric("accuracy")
RMSE = Metric("rmse", higher_is_better=False)
OWN_METRICS = {metric.name: metric for metric in (ACCURACY, RMSE)}
"""The metrics that this package computes itself, by name; all others are those of Keras."""


def percent(fraction: float, decimals: int = 1) -> str:
    """A fraction as a percentage, with the space that SI asks for; what is less than all is never printed as all.

    Examples:
        >>> percent(0.914), percent(0.99962)
        ('91.4 %', '99.96 %')
    """
    if 100 * fraction < 100 - 10**-_MOST_DECIMALS:  # not by rounding alone
        while float(f"{100 * fraction:.{decimals}f}") == 100:
            decimals += 1
    return f"{100 * fraction:.{decimals}f} %"
