"""From one sparsity to another along a curve."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, final

from keras_prunelab._errors import InvalidScheduleError
from keras_prunelab._model._numbers import real_number

from ._base import Schedule, check_frequency, check_rise, check_span, span, store
from ._step import Step, StepLike


class _Gradual(Schedule):
    """A curve from `initial_sparsity` at `begin_step` to `final_sparsity` at `end_step`, held between updates.

    The weights are dense before `begin_step`. Updates are `frequency` apart, and there is one at `end_step`.
    """

    def __init__(
        self,
        initial_sparsity: float,
        final_sparsity: float,
        *,
        end_step: StepLike,
        begin_step: StepLike = 0,
        frequency: StepLike = 100,
    ) -> None:
        self.initial_sparsity, self.final_sparsity = check_rise(initial_sparsity, final_sparsity)
        self.begin_step, self.end_step = Step(begin_step), Step(end_step)
        self.frequency = check_frequency(frequency)
        check_span(self.begin_step, self.end_step)

    @abstractmethod
    def curve(self, progress: float) -> float:
        """The sparsity when a share `progress` of the way, in [0, 1), is behind."""

    def at(self, step: int, steps_per_epoch: float | None) -> float:
        """Say which sparsity is in force; see `Schedule.__call__`."""
        first, last = span(self.begin_step, self.end_step, steps_per_epoch)
        if step < first:
            return 0.0
        if step >= last:
            return self.final_sparsity
        frequency = max(1, self.frequency.steps(steps_per_epoch))
        return self.curve((step - first) // frequency * frequency / (last - first))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {
            "initial_sparsity": self.initial_sparsity,
            "final_sparsity": self.final_sparsity,
            "begin_step": store(self.begin_step),
            "end_step": store(self.end_step),
            "frequency": store(self.frequency),
        }


@final
class Polynomial(_Gradual):
    """Fast at first, then slower: s(t) = s_f + (s_i - s_f) (1 - t)^power, where t goes from 0 to 1.

    Zhu and Gupta, To prune, or not to prune, 2017, https://arxiv.org/abs/1710.01878, with power 3.

    Args:
        initial_sparsity: s_i, in [0, 1).
        final_sparsity: s_f, in [0, 1), not lower.
        end_step: when s_f is reached: 3000 or "3000" for optimizer steps, "5ep" for epochs.
        begin_step: when pruning begins. The weights are dense before.
        frequency: how far updates of the masks are apart, 100 steps by default.
        power: the exponent, positive; 1 is a straight line.

    Raises:
        InvalidSparsityError: a sparsity is outside [0, 1).
        InvalidScheduleError: the schedule goes down, or ends before it begins.

    Examples:
        >>> from keras_prunelab import schedules
        >>> schedule = schedules.Polynomial(0.0, 0.8, end_step=2000)
        >>> [round(schedule(step), 6) for step in (0, 1000, 1099, 2000)]
        [0.0, 0.7, 0.7, 0.8]
    """

    name = "polynomial"

    def __init__(
        self,
        initial_sparsity: float,
        final_sparsity: float,
        *,
        end_step: StepLike,
        begin_step: StepLike = 0,
        frequency: StepLike = 100,
        power: float = 3.0,
    ) -> None:
        super().__init__(
            initial_sparsity, final_sparsity, end_step=end_step, begin_step=begin_step, frequency=frequency
        )
        exponent = real_number(power)
        if exponent is None or not 0 < exponent < math.inf:
            raise InvalidScheduleError(f"power={power!r}; it is positive: 3 as in the paper, 1 for a straight line.")
        self.power = exponent

    def curve(self, progress: float) -> float:
        """The sparsity at a share of the way."""
        return float(self.final_sparsity + (self.initial_sparsity - self.final_sparsity) * (1 - progress) ** self.power)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {**super().get_config(), "power": self.power}


@final
class Cosine(_Gradual):
    """Slow, fast, slow: half a wave of a cosine, s(t) = s_f + (s_i - s_f) (1 + cos(pi t)) / 2.

    Args:
        initial_sparsity: s_i, in [0, 1).
        final_sparsity: s_f, in [0, 1), not lower.
        end_step: when s_f is reached: 3000 or "3000" for optimizer steps, "5ep" for epochs.
        begin_step: when pruning begins. The weights are dense before.
        frequency: how far updates of the masks are apart, 100 steps by default.

    Raises:
        InvalidSparsityError: a sparsity is outside [0, 1).
        InvalidScheduleError: the schedule goes down, or ends before it begins.

    Examples:
        >>> from keras_prunelab import schedules
        >>> round(schedules.Cosine(0.0, 0.8, end_step=2000)(1000), 6)
        0.4
    """

    name = "cosine"

    def curve(self, progress: float) -> float:
        """The sparsity at a share of the way."""
        return (
            self.final_sparsity + (self.initial_sparsity - self.final_sparsity) * (1 + math.cos(math.pi * progress)) / 2
        )


@final
class Exponential(_Gradual):
    """The same share of what remains, at each update: 1 - s(t) = (1 - s_i) ((1 - s_f) / (1 - s_i))^t.

    The density falls as in the rounds of Tanaka et al., 2020, https://arxiv.org/abs/2006.05467.

    Args:
        initial_sparsity: s_i, in [0, 1).
        final_sparsity: s_f, in [0, 1), not lower.
        end_step: when s_f is reached: 3000 or "3000" for optimizer steps, "5ep" for epochs.
        begin_step: when pruning begins. The weights are dense before.
        frequency: how far updates of the masks are apart, 100 steps by default.

    Raises:
        InvalidSparsityError: a sparsity is outside [0, 1).
        InvalidScheduleError: the schedule goes down, or ends before it begins.

    Examples:
        >>> from keras_prunelab import schedules
        >>> round(schedules.Exponential(0.0, 0.96, end_step=2000)(1000), 6)
        0.8
    """

    name = "exponential"

    def curve(self, progress: float) -> float:
        """The sparsity at a share of the way."""
        first, last = 1 - self.initial_sparsity, 1 - self.final_sparsity
        return float(1 - first * (last / first) ** progress)
