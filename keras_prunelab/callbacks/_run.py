"""One `fit` with masks: what is known of it, what it may not be, and what its schedule has not done."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from keras_prunelab._errors import InvalidMaskError, InvalidModelError
from keras_prunelab._model._optimizers import StepCount
from keras_prunelab._model._variables import Prunables
from keras_prunelab._select._masks import Masks, MaskSet
from keras_prunelab._training._enforcement import Enforcement
from keras_prunelab._training._oversight import Oversight
from keras_prunelab._training._record import Record
from keras_prunelab.schedules import Schedule
from keras_prunelab.scores import ScoreContext

FOREVER = 1 << 62  # a step that no training comes to


@dataclass
class FitRun:
    """One `fit` with masks.

    Attributes:
        model: the model, read without the detour that brings JAX's state back into its variables.
        found: its prunable variables.
        enforcement: the masks in its train step.
        context: what scores may look at; it lives as long as the run.
        count: the steps that the optimizers have made.
        oversight: what sees that nothing is trained behind the masks.
        steps_per_epoch: optimizer steps of one epoch, where they are known.
        start: the optimizer step that the schedule counts from; None before the first batch.
        applied: the step of the schedule that the masks are for; -1 before the first.
        floor: the sparsity that the run begins with, below which no schedule falls.
        batches: how many batches the optimizer will have seen after the execution under way; None where that is
            to be counted anew.
        batches_per_step: how many gradients are accumulated for one step.
        epoch: the epoch under way, from 0.
        is_unseen: whether no batch has been looked at yet.
    """

    model: keras.Model
    found: Prunables
    enforcement: Enforcement
    context: ScoreContext
    count: StepCount
    oversight: Oversight
    steps_per_epoch: float | None
    start: int | None = None
    applied: int = -1
    floor: float = 0.0
    batches: int | None = None
    batches_per_step: int = 1
    epoch: int = 0
    is_unseen: bool = True

    @property
    def step(self) -> int:
        """The step of the schedule that the execution under way ends with."""
        return (self.batches or 0) // self.batches_per_step - (self.start or 0)

    def last_step(self, epochs: int | None) -> int | None:
        """The step of the schedule that training ends with; None where its length is not known.

        Args:
            epochs: the number of the epoch that training ends before, counted from 0.
        """
        if not epochs or self.steps_per_epoch is None:
            return None
        done = self.count.batches() / self.batches_per_step
        return int(done + (epochs - self.epoch) * self.steps_per_epoch) - (self.start or 0)


def check_alone(found: Prunables, beside: Record | None) -> None:
    """Raise where another callback in the list has masks over the same variables."""
    other = beside.owner._run if beside is not None else None
    taken = set(map(id, (item.variable for item in other.found))) if other is not None else set()
    both = [item.path for item in found if id(item.variable) in taken]
    if both:
        raise InvalidModelError(
            f"Two callbacks in the list put masks over {', '.join(map(repr, both))}. Leave one of them out, or let "
            "each have weights of its own with include= and exclude=."
        )


def check_masks(masks: MaskSet, found: Prunables) -> None:
    """Raise where masks to begin with do not fit the variables."""
    shapes = {item.path: item.shape for item in found}
    wrong = [path for path in masks.shapes.keys() | shapes.keys() if masks.shapes.get(path) != shapes.get(path)]
    if wrong:
        path = sorted(wrong)[0]
        raise InvalidMaskError(
            f"masks= and the model's prunable weights differ: {path!r} has shape {masks.shapes.get(path, 'none')} in "
            f"the masks and {shapes.get(path, 'none')} in the model. Give a mask for each of "
            f"{', '.join(map(repr, shapes))}, or leave the others out with exclude=."
        )


def find_missed(schedule: Schedule, step: int, steps_per_epoch: float | None) -> str | None:
    """What a schedule has not done at a step.

    Args:
        schedule: the schedule.
        step: the step; below 0 before it has done anything.
        steps_per_epoch: optimizer steps of one epoch, where they are known.

    Returns:
        A sentence, or None where the schedule has come to its last sparsity.
    """
    final = schedule(FOREVER, steps_per_epoch)
    reached = schedule(step, steps_per_epoch) if step >= 0 else 0.0
    if reached >= final:
        return None
    return (
        f"{schedule!r} prunes {reached:.2%} until then, and {final:.2%} only later. Train longer, or let it begin and "
        "end sooner and more often. Where another call of fit goes on with the training, give it the same callback."
    )


def find_emptied(found: Prunables, before: MaskSet, after: Masks) -> list[str]:
    """The variables that a change of the masks leaves with nothing to multiply by; layers pass on without biases."""
    multiplied = [item.path for item in found if item.role not in ("bias", "beta", "mean")]
    return [path for path in multiplied if before[path].any() and not after[path].any()]
