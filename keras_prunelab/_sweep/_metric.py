"""What a sweep measures: accuracy for classifiers, the root-mean-square error for regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ROUNDING = 1e-9
"""Slack in comparisons: 0.98 is within 0.01 of 0.99, whatever the binary fractions say."""


@dataclass(frozen=True)
class Metric:
    """A measure of how good a network is, and how to compare and print its values.

    Attributes:
        name: `"accuracy"`, a fraction from 0 to 1, or `"rmse"`, in the units of the responses. The column of
            `SweepResult.table` that holds the values has this name.
    """

    name: Literal["accuracy", "rmse"]

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is a better one."""
        return self.name == "accuracy"

    @property
    def label(self) -> str:
        """The name in a sentence or on an axis."""
        return "accuracy" if self.name == "accuracy" else "RMSE"

    def limit(self, dense: float, max_drop: float) -> float:
        """The worst value that is within `max_drop` of the dense network's.

        For accuracy the drop is absolute (0.01 is one point of accuracy); an error has no natural scale, so
        for RMSE it is relative (0.01 allows an error that is one hundredth larger).
        """
        return dense - max_drop if self.higher_is_better else dense * (1 + max_drop)

    def meets(self, value: float, limit: float) -> bool:
        """Whether `value` is at least as good as `limit`."""
        slack = ROUNDING * max(1.0, abs(limit))
        return value >= limit - slack if self.higher_is_better else value <= limit + slack

    def goodness(self, value: float) -> float:
        """A number that is larger for better values."""
        return value if self.higher_is_better else -value

    def text(self, value: float) -> str:
        """The value as it is printed: `"98.74 %"`, or four significant digits of an error."""
        return percent(value, 2) if self.name == "accuracy" else f"{value:.4g}"


ACCURACY = Metric("accuracy")
RMSE = Metric("rmse")


def percent(fraction: float, decimals: int = 1) -> str:
    """A fraction as a percentage, with the space that SI asks for.

    Examples:
        >>> percent(0.914)
        '91.4 %'
    """
    return f"{100 * fraction:.{decimals}f} %"
