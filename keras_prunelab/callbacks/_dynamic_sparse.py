"""Sparse from the first step: a fixed number of weights, in places that move while the model is trained."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidScheduleError
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._numbers import check_seed, real_number
from keras_prunelab._model._optimizers import Optimizers
from keras_prunelab._model._variables import Prunables
from keras_prunelab._select import _allocation
from keras_prunelab._select._allocation import Scope
from keras_prunelab._select._lowest import lowest, mark
from keras_prunelab._select._masks import Masks, MaskSet
from keras_prunelab._select._selection import check, pruned_count, select
from keras_prunelab._training._record import PruningState
from keras_prunelab.schedules import Step
from keras_prunelab.schedules._base import check_frequency, check_sparsity
from keras_prunelab.schedules._step import StepLike
from keras_prunelab.scores import Random

from ._masked_training import MaskedTraining
from ._run import FitRun

_log = logging.getLogger("keras_prunelab")

_SHARE_OF_TRAINING = 0.75  # after that, the paper of RigL lets the masks rest


class DynamicSparse(MaskedTraining):
    """Random masks to begin with, of which a part is dropped and grown anew every so often.

    Args:
        sparsity: the share of the weights that is zero all the time, in [0, 1).
        scope: how the sparsity is shared out among the layers.
        fraction: the share of a layer's kept weights that moves in an update, in (0, 1].
        frequency: how far updates are apart.
        end_step: when the masks come to rest: no update at this step or later. By default after 75 % of the epochs
            of `fit`.
        seed: a non-negative integer that the random choices depend on.
        include: only what matches one of these; see `prunable`.
        exclude: nothing that matches one of these.
        optimizers: the Keras optimizers that train the model.
        data: what gradients are computed on, where the subclass needs some.

    Raises:
        InvalidSparsityError: the sparsity is outside [0, 1).
        InvalidScheduleError: the fraction is outside (0, 1], or a step is none.
        UnknownNameError: there is no such scope.
    """

    def __init__(
        self,
        sparsity: float,
        *,
        scope: Scope,
        fraction: float,
        frequency: StepLike,
        end_step: StepLike | None,
        seed: int,
        include: Filters,
        exclude: Filters,
        optimizers: Optimizers,
        data: Any = None,
    ) -> None:
        super().__init__(include=include, exclude=exclude, data=data, optimizers=optimizers)
        self.sparsity = check_sparsity(sparsity, "sparsity")
        self.scope = _allocation.get(scope)
        share = real_number(fraction)
        if share is None or not 0 < share <= 1:
            raise InvalidScheduleError(f"fraction={fraction!r}; it is a share of a layer's kept weights, in (0, 1].")
        self.fraction = share
        self.frequency = check_frequency(frequency)
        self.end_step = None if end_step is None else Step(end_step)
        self.seed = check_seed(seed)
        self._end: int | None = None  # in the `fit` under way

    # What a subclass says ----------------------------------------------------------------------------------------

    @abstractmethod
    def fraction_at(self, step: int, end: int) -> float:
        """Which share of a layer's kept weights moves in the update at a step before the end."""

    @abstractmethod
    def growth(self, run: FitRun, values: Mapping[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
        """How much each place deserves a weight at an update, numbered from 1: the highest grow."""

    # How it works ------------------------------------------------------------------------------------------------

    def set_model(self, model: keras.Model) -> None:
        """Be told the model."""
        super().set_model(model)
        self._end = None

    def check(self, found: Prunables, steps_per_epoch: float | None) -> None:
        """Raise whatever makes these arguments impossible for a model, before it is changed."""
        check(found, self.sparsity, self.scope, "weight")
        first, end = self._interval(steps_per_epoch), self._last_end(steps_per_epoch)
        if first >= end:
            raise InvalidScheduleError(
                f"The masks would never move: the first update is due at step {first}, and from step {end} on there is "
                "none. Choose a smaller frequency or a later end_step, or train longer."
            )

    def begin(self, run: FitRun, step: int) -> PruningState:
        """Random masks; or those of weights that are as sparse already, of a run that is resumed."""
        scores = Random(self.seed)(run.context.at(run.found.values()))
        masks = MaskSet(select(run.found, scores, self.sparsity, scope=self.scope))
        if step:
            trained = run.enforcement.zeros()
            if all(np.count_nonzero(trained[path]) <= np.count_nonzero(masks[path]) for path in masks):
                return PruningState(self._filled(trained, masks, step), 0, step)
            _log.info("The model has made %d steps before: its masks are drawn now.", step)
        return PruningState(masks, step)

    def is_due(self, run: FitRun) -> bool:
        """Whether there is an update since the last one."""
        return self._number(run, run.step) > self._number(run, run.applied)

    def shortfall(self, run: FitRun, last_step: int) -> str | None:
        """That the masks never move."""
        if self._number(run, last_step):
            return None
        return f"The masks never move: frequency={str(self.frequency)!r} is longer than the training."

    def update(self, run: FitRun) -> Masks:
        """Drop the smallest weights of each variable, and grow as many elsewhere in it."""
        number = self._number(run, run.step)
        fraction = self.fraction_at(number * self._interval(run.steps_per_epoch), self._end_of(run))
        values, kept = run.found.values(), run.enforcement.masks
        growth = self.growth(run, values, number)
        trained = set(map(id, run.model.trainable_variables))  # the others would grow weights that stay zero
        return {
            item.path: rewire(kept[item.path], values[item.path], growth[item.path], fraction)
            if id(item.variable) in trained
            else kept[item.path]
            for item in run.found
        }

    def _interval(self, steps_per_epoch: float | None) -> int:
        """How far updates are apart, in optimizer steps."""
        return max(1, self.frequency.steps(steps_per_epoch))

    def _last_end(self, steps_per_epoch: float | None) -> int:
        """The step at which there are no more updates, where training begins with the first epoch."""
        if self.end_step is not None:
            return self.end_step.steps(steps_per_epoch)
        epochs = self._parameter("epochs")
        if steps_per_epoch is None or not epochs:
            raise InvalidScheduleError(
                "How long the training will be is not known, so neither is where the masks come to rest. Give fit "
                "steps_per_epoch=, or give end_step=."
            )
        return int(_SHARE_OF_TRAINING * epochs * steps_per_epoch)

    def _end_of(self, run: FitRun) -> int:
        """The step at which there are no more updates; sooner where `fit` begins with a later epoch and a new count."""
        if self._end is None:
            self._end = self._last_end(run.steps_per_epoch)
            last = run.last_step(self._parameter("epochs")) if self.end_step is None else None
            if last is not None:
                self._end = min(self._end, int(_SHARE_OF_TRAINING * last))
        return self._end

    def _number(self, run: FitRun, step: int) -> int:
        """How many updates there are until a step."""
        return max(0, min(step, self._end_of(run) - 1)) // self._interval(run.steps_per_epoch)

    def _filled(self, trained: MaskSet, masks: MaskSet, step: int) -> MaskSet:
        """Masks with as many weights as others have: a weight that grew and never moved looks like none."""
        filled = {}
        for position, (path, mask) in enumerate(masks.items()):
            missing = np.count_nonzero(mask) - np.count_nonzero(trained[path])
            order = np.random.default_rng([self.seed, position, step]).random(mask.size)
            (more,) = lowest([order], [~trained[path].reshape(-1)], int(missing))
            filled[path] = trained[path] | mark(more, mask.size).reshape(mask.shape)
        return MaskSet(filled)


def rewire(kept: NDArray[np.bool_], values: NDArray[Any], growth: NDArray[Any], fraction: float) -> NDArray[np.bool_]:
    """Drop a fraction of the kept weights, and grow as many.

    Args:
        kept: a mask, True where a weight is kept.
        values: the weights. The smallest magnitudes are dropped, of equal ones those that stand first.
        growth: how much each place deserves a weight. The highest of all places without one grow, those among them
            that have just been dropped, and of equal ones those that stand first.
        fraction: the share of the kept weights, in [0, 1]; their number is rounded, halves up.

    Returns:
        A mask with as many kept weights.
    """
    stays = kept.reshape(-1).copy()
    count = pruned_count(fraction, int(np.count_nonzero(stays)))
    (dropped,) = lowest([np.abs(values).reshape(-1)], [stays], count)
    stays[dropped] = False
    (grown,) = lowest([-growth.reshape(-1)], [~stays], count)
    stays[grown] = True
    return stays.reshape(kept.shape)
