"""Levels that are found while the curve is measured: coarse where it is flat, fine where it bends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from keras_prunelab._errors import InvalidSparsityError
from keras_prunelab._evaluate._metric import Metric
from keras_prunelab._model._numbers import real_number

_COARSE = 32  # steps of the grid between two levels of the first round


@dataclass(frozen=True)
class AutoLevels:
    """Sparsities on a grid, of which only those are measured that the curve needs.

    It begins with every 32nd level of the grid, and halves each gap between neighbours over which the metric changes by
    more than `tolerance`, until none does or the gap is one step of the grid. Where the curve leaves what `max_drop`
    allows, and wherever beyond that it comes within `tolerance` of it, all levels of the grid are measured: the
    trade-off with that drop is the one of the whole grid.

    Args:
        low: the lowest level.
        high: the highest level, below 1.
        tolerance: the change of the metric between neighbours that is small enough: for accuracy an absolute fraction
            (0.005 is half a point), for an error relative to that of the dense network.
        step: the step of the grid.
        max_drop: the loss of the trade-off that is to be found exactly, as in `SweepResult.choose`.

    Raises:
        InvalidSparsityError: the levels are not in [0, 1), or the others are not above 0.

    Examples:
        >>> levels = AutoLevels(0.5, 0.98)
        >>> levels.coarse[:3], len(levels.grid)
        ((0.5, 0.564, 0.628), 241)
    """

    low: float = 0.0
    high: float = 0.998
    tolerance: float = 0.005
    step: float = 0.002
    max_drop: float = 0.01

    def __post_init__(self) -> None:
        for name in ("low", "high", "tolerance", "step", "max_drop"):
            number = real_number(getattr(self, name))
            if number is None:
                raise InvalidSparsityError(f"{name}={getattr(self, name)!r} is to be a number.")
            object.__setattr__(self, name, number)
        if not (0 <= self.low < self.high < 1 and self.tolerance > 0 and self.step > 0 and self.max_drop >= 0):
            raise InvalidSparsityError(
                f"{self!r} cannot be searched: 0 <= low < high < 1, and tolerance and step are above 0."
            )

    @property
    def grid(self) -> tuple[float, ...]:
        """Every level that may be measured."""
        count = int((self.high - self.low) / self.step + 1e-6)
        return tuple(np.round(self.low + self.step * np.arange(count + 1), 10).tolist())

    @property
    def coarse(self) -> tuple[float, ...]:
        """The levels of the first round."""
        grid = self.grid
        return tuple(dict.fromkeys([*grid[::_COARSE], grid[-1]]))

    def next(self, measured: Mapping[float, float], dense: float, metric: Metric) -> tuple[float, ...]:
        """The levels of the next round.

        Args:
            measured: the metric at the levels measured so far.
            dense: the metric of the dense network.
            metric: what was measured.

        Returns:
            The levels, ascending; none once the curve is known well enough.
        """
        grid = self.grid
        place = {level: index for index, level in enumerate(grid)}
        known = sorted(measured)
        limit = metric.limit(dense, self.max_drop)
        small = self.tolerance if metric.higher_is_better else self.tolerance * abs(dense)
        last = max((level for level in known if metric.meets(measured[level], limit)), default=known[0])
        wanted = []
        for left, right in pairwise(known):
            low, high = place[left], place[right]
            if high - low < 2:
                continue
            is_steep = abs(measured[left] - measured[right]) > small
            best = max(metric.goodness(measured[left]), metric.goodness(measured[right]))
            is_near = left >= last and best >= metric.goodness(limit) - small
            if is_steep or is_near:
                wanted.append(grid[(low + high) // 2])
        return tuple(wanted)

    def __str__(self) -> str:
        return (
            f"halfway where the metric changes by more than {self.tolerance:g} or passes a drop of {self.max_drop:g}, "
            f"down to steps of {self.step:g}"
        )
