"""The least pruning that brings a model within a budget on an NPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_prunelab._errors import InvalidSparsityError, NothingToPruneError, UnknownNameError
from keras_prunelab._model._numbers import real_number

from ._vela import TargetCost, check_target, target_cost

TARGET_GOALS = ("flash", "sram", "cycles")
_ATTRIBUTES = {"flash": "flash_bytes", "sram": "sram_bytes", "cycles": "cycles"}


@dataclass(frozen=True)
class TargetBudget:
    """What a model may take on an NPU.

    Attributes:
        target: the NPU.
        limits: of `"flash"`, `"sram"` and `"cycles"`: bytes or cycles where they are 1 or more, and else shares of
            what the whole model takes.
    """

    target: str
    limits: Mapping[str, float]

    @classmethod
    def checked(cls, budget: Any, target: str) -> TargetBudget:
        """Check what is asked for, before any work.

        Raises:
            InvalidSparsityError: the budget is no dictionary of positive numbers.
            UnknownNameError: there is no such goal or target.
            MissingBackendError: the compiler is not installed.
        """
        if not isinstance(budget, Mapping) or not budget:
            raise InvalidSparsityError(f"budget={budget!r} is to be a dictionary such as {{'flash': 60_000}}.")
        unknown = [goal for goal in budget if goal not in TARGET_GOALS]
        if unknown:
            raise UnknownNameError(
                f"budget={dict(budget)!r}: {', '.join(map(repr, unknown))} is no cost on a target; those are "
                f"{', '.join(map(repr, TARGET_GOALS))}."
            )
        limits = {goal: real_number(limit) for goal, limit in budget.items()}
        wrong = [goal for goal, limit in limits.items() if limit is None or not limit > 0]
        if wrong:
            raise InvalidSparsityError(
                f"budget={dict(budget)!r}: the limits are positive numbers, bytes or cycles from 1 on, and below 1 "
                f"shares of what the whole model takes; that of {', '.join(map(repr, wrong))} is not."
            )
        check_target(target)
        return cls(target, {goal: float(limit or 0) for goal, limit in limits.items()})

    def search(
        self,
        model: keras.Model,
        levels: Sequence[float],
        make: Callable[[float], keras.Model],
        finish: Callable[[float], keras.Model],
    ) -> keras.Model:
        """The model of the lowest level that stays within the budget.

        Args:
            model: the whole model.
            levels: ascending, from 0: how much goes.
            make: a model for a level, in which that many weights are zero or gone.
            finish: the same with what takes its time: weights solved anew, training.

        Returns:
            A model that `finish` made, after it was compiled once more; the next level where that one is beyond.

        Raises:
            NothingToPruneError: the last level is beyond the budget.
        """
        limits = self._absolute(target_cost(model, self.target) if min(self.limits.values()) < 1 else None)

        def is_within(found: keras.Model) -> bool:
            return not _beyond(target_cost(found, self.target), limits)

        left, right = -1, self._within(levels, make, limits)
        while right - left > 1:
            middle = (left + right) // 2
            if is_within(make(levels[middle])):
                right = middle
            else:
                left = middle
        # Weights that were solved anew pack a little worse or better; each step is twice the one before.
        for place in range(len(levels).bit_length()):
            found = finish(levels[min(right + 2**place - 1, len(levels) - 1)])
            if is_within(found):
                return found
        raise NothingToPruneError(
            f"budget={dict(self.limits)!r} was reached on {self.target} at {levels[right]:.1%}, but not once weights "
            "were solved anew or trained. Allow more."
        )

    def _within(
        self, levels: Sequence[float], make: Callable[[float], keras.Model], limits: Mapping[str, float]
    ) -> int:
        """The place of a high level that is within the limits, before anything is solved or trained.

        The highest one may take more than those below it: Vela packs a layer without any weight worse than one with a
        few. So others are tried, in steps that double.
        """
        costs: dict[float, TargetCost] = {}
        for power in range(len(levels).bit_length()):
            place = len(levels) - (1 << power)
            if place < 0:
                break
            cost = target_cost(make(levels[place]), self.target)
            costs[levels[place]] = cost
            if not _beyond(cost, limits):
                return place
        nearest = min(costs, key=lambda level: _excess(costs[level], limits))
        raise NothingToPruneError(
            f"budget={dict(self.limits)!r} cannot be reached on {self.target}: of the levels from "
            f"{min(costs):.1%} to {max(costs):.1%}, the model comes nearest at {nearest:.1%}, where it still takes "
            f"{'; '.join(_beyond(costs[nearest], limits))}. Allow more, or begin with a smaller model."
        )

    def _absolute(self, whole: TargetCost | None) -> dict[str, float]:
        return {
            goal: limit if whole is None or limit >= 1 else limit * getattr(whole, _ATTRIBUTES[goal])
            for goal, limit in self.limits.items()
        }


def _excess(cost: TargetCost, limits: Mapping[str, float]) -> float:
    """How many times the limit that is missed most is taken."""
    return max(float(getattr(cost, _ATTRIBUTES[goal])) / limit for goal, limit in limits.items())


def _beyond(cost: TargetCost, limits: Mapping[str, float]) -> list[str]:
    """What is more than allowed, in words."""
    found = {goal: getattr(cost, _ATTRIBUTES[goal]) for goal in limits}
    units = {"flash": "bytes of flash", "sram": "bytes of SRAM", "cycles": "cycles"}
    return [
        f"{found[goal]:,} {units[goal]} ({limit:,.0f} are allowed)"
        for goal, limit in limits.items()
        if found[goal] > limit
    ]
