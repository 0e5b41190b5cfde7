"""Step by step: rounds of pruning with training between them, or any levels at any steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from keras_prunelab._errors import InvalidScheduleError
from keras_prunelab._model._numbers import real_number, whole_number

from ._base import Schedule, check_frequency, check_sparsity, store
from ._step import Step, StepLike


@final
class Iterative(Schedule):
    """Rounds that each prune the same fraction of the weights that remain.

    After r rounds the sparsity is 1 - (1 - fraction)^r: Frankle and Carbin, The lottery ticket hypothesis, ICLR
    2019, https://arxiv.org/abs/1803.03635, prune 20 % a round.

    Args:
        fraction: the share of the remaining weights that goes in each round, in (0, 1).
        rounds: how many rounds, at least 1.
        frequency: how long the training between two rounds is.
        begin_step: when the first round prunes.

    Raises:
        InvalidScheduleError: a fraction or a number of rounds that is none.

    Examples:
        >>> from keras_prunelab import schedules
        >>> schedule = schedules.Iterative(0.5, rounds=3, frequency=100, begin_step=100)
        >>> [schedule(step) for step in (0, 100, 200, 300, 400)]
        [0.0, 0.5, 0.75, 0.875, 0.875]
    """

    name = "iterative"

    def __init__(self, fraction: float, *, rounds: int, frequency: StepLike, begin_step: StepLike = 0) -> None:
        share, count = real_number(fraction), whole_number(rounds)
        if share is None or not 0 < share < 1:
            raise InvalidScheduleError(f"fraction={fraction!r}; it is a share of the remaining weights, in (0, 1).")
        if count is None or count < 1:
            raise InvalidScheduleError(f"rounds={rounds!r}; it is a number of rounds, at least 1.")
        self.fraction, self.rounds = share, count
        self.frequency, self.begin_step = check_frequency(frequency), Step(begin_step)

    def at(self, step: int, steps_per_epoch: float | None) -> float:
        """Say which sparsity is in force; see `Schedule.__call__`."""
        since = step - self.begin_step.steps(steps_per_epoch)
        done = 1 + since // max(1, self.frequency.steps(steps_per_epoch)) if since >= 0 else 0
        return 1 - (1 - self.fraction) ** min(done, self.rounds)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {
            "fraction": self.fraction,
            "rounds": self.rounds,
            "frequency": store(self.frequency),
            "begin_step": store(self.begin_step),
        }


@final
class Piecewise(Schedule):
    """Any levels at any steps, each held until the next.

    Args:
        levels: the sparsity from each step on, such as `{0: 0.5, "2ep": 0.8, "4ep": 0.9}`, not falling. The
            weights are dense before the first.

    Raises:
        InvalidSparsityError: a sparsity is outside [0, 1).
        InvalidScheduleError: there are no levels, or the sparsity falls.

    Examples:
        >>> from keras_prunelab import schedules
        >>> schedule = schedules.Piecewise({100: 0.5, 200: 0.8})
        >>> [schedule(step) for step in (0, 100, 199, 200)]
        [0.0, 0.5, 0.5, 0.8]
    """

    name = "piecewise"

    def __init__(self, levels: Mapping[StepLike, float]) -> None:
        if not isinstance(levels, Mapping) or not levels:
            raise InvalidScheduleError(f"levels={levels!r}; give sparsities by step, such as {{0: 0.5, '2ep': 0.8}}.")
        self.levels = {Step(step): check_sparsity(level, f"the level at {step}") for step, level in levels.items()}
        if len({step.unit for step in self.levels}) == 1:
            self._ordered(1.0)

    def at(self, step: int, steps_per_epoch: float | None) -> float:
        """Say which sparsity is in force; see `Schedule.__call__`."""
        reached = [level for begin, level in self._ordered(steps_per_epoch) if begin <= step]
        return reached[-1] if reached else 0.0

    def _ordered(self, steps_per_epoch: float | None) -> list[tuple[float, float]]:
        """The levels by step, in which they must not fall."""
        counts = [step.count if steps_per_epoch == 1.0 else step.steps(steps_per_epoch) for step in self.levels]
        ordered = sorted(zip(counts, self.levels.values(), strict=True))
        sparsities = [level for _, level in ordered]
        if sparsities != sorted(sparsities):
            raise InvalidScheduleError(
                f"The levels { ({str(step): level for step, level in self.levels.items()}) } fall with time; what is "
                "pruned stays pruned."
            )
        return ordered

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {"levels": {str(step): level for step, level in self.levels.items()}}
