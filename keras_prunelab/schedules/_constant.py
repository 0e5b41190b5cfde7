"""One sparsity, at once."""

from __future__ import annotations

from typing import Any, final

from ._base import Schedule, check_sparsity, store
from ._step import Step, StepLike


class _AtOnce(Schedule):
    """Dense before a step, one sparsity from there on."""

    sparsity: float
    _from: Step

    def at(self, step: int, steps_per_epoch: float | None) -> float:
        """Say which sparsity is in force; see `Schedule.__call__`."""
        return self.sparsity if step >= self._from.steps(steps_per_epoch) else 0.0


@final
class Constant(_AtOnce):
    """One sparsity from the beginning.

    Args:
        sparsity: the share of the weights to prune, in [0, 1).
        begin_step: the step from which it holds.

    Raises:
        InvalidSparsityError: the sparsity is outside [0, 1).

    Examples:
        >>> from keras_prunelab import schedules
        >>> schedules.Constant(0.8)(0)
        0.8
    """

    name = "constant"

    def __init__(self, sparsity: float, begin_step: StepLike = 0) -> None:
        self.sparsity = check_sparsity(sparsity, "sparsity")
        self.begin_step = self._from = Step(begin_step)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {"sparsity": self.sparsity, "begin_step": store(self.begin_step)}


@final
class OneShot(_AtOnce):
    """Dense training, then one sparsity from one step on.

    Args:
        sparsity: the share of the weights to prune, in [0, 1).
        step: when: 1000 or "1000" for optimizer steps, "2ep" for epochs.

    Raises:
        InvalidSparsityError: the sparsity is outside [0, 1).

    Examples:
        >>> from keras_prunelab import schedules
        >>> schedule = schedules.OneShot(0.8, step="2ep")
        >>> schedule(99, steps_per_epoch=50), schedule(100, steps_per_epoch=50)
        (0.0, 0.8)
    """

    name = "one_shot"

    def __init__(self, sparsity: float, step: StepLike) -> None:
        self.sparsity = check_sparsity(sparsity, "sparsity")
        self.step = self._from = Step(step)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {"sparsity": self.sparsity, "step": store(self.step)}
