"""What a schedule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from keras_prunelab._errors import InvalidScheduleError, InvalidSparsityError
from keras_prunelab._model._numbers import real_number

from ._step import Step, StepLike


class Schedule(ABC):
    """The sparsity that is in force at each optimizer step of training.

    It is held between two updates, and never falls: what is pruned stays pruned.

    Attributes:
        name: what `get` finds it by once it is registered.

    Examples:
        >>> from keras_prunelab import schedules
        >>> class Half(schedules.Schedule):
        ...     name = "half"
        ...     def at(self, step, steps_per_epoch):
        ...         return 0.5
        ...     def get_config(self):
        ...         return {}
        >>> Half()(0)
        0.5
    """

    name: ClassVar[str]

    @abstractmethod
    def at(self, step: int, steps_per_epoch: float | None) -> float:
        """Say which sparsity is in force; see `__call__`, which checks its arguments and the result."""

    @abstractmethod
    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again, all JSON values."""

    def __call__(self, step: int, steps_per_epoch: float | None = None) -> float:
        """The sparsity in force once an optimizer step is done.

        Args:
            step: how many optimizer steps have been done, from 0.
            steps_per_epoch: optimizer steps of one epoch; needed where the schedule counts epochs.

        Returns:
            The share of the weights that is pruned, in [0, 1).

        Raises:
            InvalidScheduleError: the schedule counts epochs and their length is not known, or it ends before
                it begins.
            InvalidSparsityError: a schedule of one's own gave something else than a sparsity.
        """
        sparsity = self.at(step, steps_per_epoch)
        if type(sparsity) is float and 0 <= sparsity < 1:  # asked at every step, for which the text below is too slow
            return sparsity
        return check_sparsity(sparsity, f"{self!r} at step {step}")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a schedule from what `get_config` returned."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), repr(sorted(self.get_config().items()))))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def check_sparsity(sparsity: Any, what: str) -> float:
    """Make sure that a number is a sparsity.

    Args:
        sparsity: the number.
        what: what it is, for the error.

    Returns:
        The number as a float.

    Raises:
        InvalidSparsityError: it is not a number in [0, 1).
    """
    found = real_number(sparsity)
    if found is None or not 0 <= found < 1:
        raise InvalidSparsityError(f"{what} is {sparsity!r}; a sparsity is in [0, 1): write 0.9 for 90 %.")
    return found


def check_rise(first: float, last: float) -> tuple[float, float]:
    """Make sure that a schedule goes from a sparsity to one that is not lower."""
    first, last = check_sparsity(first, "initial_sparsity"), check_sparsity(last, "final_sparsity")
    if last < first:
        raise InvalidScheduleError(
            f"The schedule would go down, from sparsity {first:g} to {last:g}; what is pruned stays pruned. Exchange "
            "the two, or train on without pruning."
        )
    return first, last


def check_span(begin: Step, end: Step) -> None:
    """Make sure that a schedule ends after it begins, as far as its units can be compared."""
    can_compare = begin.unit == end.unit or begin.count == 0
    if can_compare and end.count <= begin.count:
        raise _ends_too_early(begin, end)


def span(begin: Step, end: Step, steps_per_epoch: float | None) -> tuple[int, int]:
    """The first and last step of a schedule, in optimizer steps."""
    first, last = begin.steps(steps_per_epoch), end.steps(steps_per_epoch)
    if last <= first:
        raise _ends_too_early(begin, end)
    return first, last


def _ends_too_early(begin: Step, end: Step) -> InvalidScheduleError:
    return InvalidScheduleError(
        f"The schedule ends at step {end} and begins at step {begin}; end_step must be later than begin_step."
    )


def check_frequency(frequency: StepLike) -> Step:
    """Make sure that there is time between two updates."""
    step = Step(frequency)
    if step.count <= 0:
        raise InvalidScheduleError(f"frequency={frequency!r}; updates are at least one step apart.")
    return step


def store(step: Step) -> int | str:
    """A step as the shortest JSON value that makes it again."""
    return int(step.count) if step.unit == "steps" else str(step)
