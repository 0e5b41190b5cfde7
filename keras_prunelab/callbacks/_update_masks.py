"""Changing the masks of wrapped layers while `fit` trains their model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import NothingToPruneError
from keras_prunelab._model._optimizers import Optimizers, StepCount
from keras_prunelab._model._roles import find
from keras_prunelab._model._variables import Prunable, Prunables
from keras_prunelab._select._masks import Masks, MaskSet
from keras_prunelab._select._selection import check, pruned_count, select
from keras_prunelab._training._oversight import Oversight
from keras_prunelab._training._record import PruningState
from keras_prunelab.layers import Pruned
from keras_prunelab.schedules import Step, StepLike, check_frequency
from keras_prunelab.scores import Score, ScoreContext, check_data, check_scores

from ._masked_training import MaskedTraining
from ._run import FOREVER, FitRun, find_missed


class UpdateMasks(MaskedTraining):
    """Let the masks of `Pruned` layers follow their schedules while `fit` trains the model.

    Each layer has its own schedule, score and granularity, and exactly the sparsity that its schedule says. Steps are
    the optimizer's own, as for `Prune`. Without this callback the masks hold as they are, and change at no step.

    The masks are weights of the layers, so checkpoints need nothing else: load one, compile or load its optimizer,
    and fit again with this callback. When `fit` begins, it raises `InvalidModelError` for a model that is not
    compiled, `NothingToPruneError` for one without `Pruned` layers, `InvalidScheduleError` for schedules in epochs of
    unknown length, `InvalidSparsityError` for a sparsity that a granularity does not allow, and `InvalidDataError` for
    a score without the data it needs.

    Args:
        data: what scores that need data are computed on: inputs, `(inputs, labels)`, or batches of either.
        frequency: how far apart the masks of layers with `gradients="dense"` are chosen anew, so that weights can come
            back; beside the steps at which the schedule rises.
        optimizers: the Keras optimizers whose steps count; by default those that the model holds. See `Prune`.

    Raises:
        InvalidScheduleError: `frequency` is no length of training.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, name="hidden"), keras.layers.Dense(2)])
        >>> model.compile("adam", "mse")
        >>> wrapped = kpl.layers.wrap(model, kpl.schedules.Polynomial(0.0, 0.75, end_step=20, frequency=5))
        >>> x, y = np.ones((64, 8)), np.ones((64, 2))
        >>> history = wrapped.fit(x, y, epochs=3, batch_size=8, verbose=0, callbacks=[kpl.callbacks.UpdateMasks()])
        >>> kpl.sparsity(kpl.layers.strip(wrapped))
        0.75
    """

    def __init__(self, *, data: Any = None, frequency: StepLike = 100, optimizers: Optimizers = None) -> None:
        super().__init__(data=data, optimizers=optimizers)
        self.frequency: Step = check_frequency(frequency)
        self._wrapped: list[_Wrapped] = []
        self._contexts: dict[Score, ScoreContext] = {}

    # What is pruned, and when ------------------------------------------------------------------------------------

    def check(self, found: Prunables, steps_per_epoch: float | None) -> None:
        """Raise whatever makes the layers' settings impossible, before anything is changed."""
        for each in self._wrapped:
            check(each.found, each.layer.schedule(FOREVER, steps_per_epoch), "global", each.layer.granularity)
            check_data(each.layer.score, self.data)
            if each.is_dense:
                self.frequency.steps(steps_per_epoch)

    def begin(self, run: FitRun, step: int) -> PruningState:
        """The masks as they are; where they are what the schedules say, nothing is due before these rise."""
        self._wrapped = [replace(each, floor=each.layer.masks.sparsity) for each in self._wrapped]
        reached = all(
            each.zeros >= pruned_count(each.layer.schedule(step, run.steps_per_epoch), each.found.total)
            for each in self._wrapped
        )
        return PruningState(run.enforcement.masks, 0, step if step and reached else -1)

    def is_due(self, run: FitRun) -> bool:
        """Whether the masks of any layer are to change."""
        return any(self._is_due(each, run) for each in self._wrapped)

    def update(self, run: FitRun) -> Masks:
        """Prune each layer to its schedule's sparsity."""
        masks = dict(run.enforcement.masks)
        due = [each for each in self._wrapped if self._is_due(each, run)]
        for score in dict.fromkeys(each.layer.score for each in due):
            context = self._contexts[score]
            values = {path: value for each in self._with(score) for path, value in each.values()}
            scores = check_scores(score, context.at(values))
            for each in due:
                if each.layer.score == score:
                    masks |= select(
                        each.found,
                        scores,
                        max(each.layer.schedule(run.step, run.steps_per_epoch), each.floor),
                        granularity=each.layer.granularity,
                        norm=score.group_norm,
                        kept=None if each.is_dense else masks,
                    )
        return masks

    def shortfall(self, run: FitRun, last_step: int) -> str | None:
        """That a layer's schedule does not come to its end, or that weights never get the chance to come back."""
        for each in self._wrapped:
            missing = find_missed(each.layer.schedule, last_step, run.steps_per_epoch)
            if missing is not None:
                return f"Layer {each.layer.name!r}: {missing}"
        if any(each.is_dense for each in self._wrapped) and self.frequency.steps(run.steps_per_epoch) > last_step:
            return f"frequency={str(self.frequency)!r} is longer than that: no weight gets the chance to come back."
        return None

    def _is_due(self, each: _Wrapped, run: FitRun) -> bool:
        in_force = each.layer.schedule(run.applied, run.steps_per_epoch) if run.applied >= 0 else 0.0
        wanted = max(each.layer.schedule(run.step, run.steps_per_epoch), each.floor)
        if wanted > max(in_force, each.floor) or not each.is_dense or wanted == 0:
            return wanted > max(in_force, each.floor)
        frequency = max(1, self.frequency.steps(run.steps_per_epoch))
        return run.step // frequency > run.applied // frequency

    def _with(self, score: Score) -> list[_Wrapped]:
        return [each for each in self._wrapped if each.layer.score == score]

    # What Keras calls --------------------------------------------------------------------------------------------

    def set_model(self, model: keras.Model) -> None:
        """Be told the model. Its masks are weights: there is no state of this callback to put into its files."""
        keras.callbacks.Callback.set_model(self, model)

    def _prepared(self, optimizers: Sequence[Any]) -> FitRun:
        """Find the wrapped layers, and check everything; their masks hold as they are."""
        model = self.model
        self._wrapped, self._last = _find_wrapped(model), None
        count = StepCount(optimizers)
        steps_per_epoch = self._steps_per_epoch(count)
        found = _together(self._wrapped)
        found.values()  # raises where one is not finite
        self.check(found, steps_per_epoch)
        scores = dict.fromkeys(each.layer.score for each in self._wrapped)

        def context(items: Prunables) -> ScoreContext:
            return ScoreContext(model, items, {}, self.data, optimizers=tuple(optimizers))

        self._contexts = {score: context(_together(self._with(score))) for score in scores}
        masks: Any = _InTheLayers(self._wrapped)
        return FitRun(model, found, masks, context(found), count, Oversight(found, optimizers), steps_per_epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write zeros into pruned weights that the optimizer has moved behind their masks."""
        super().on_epoch_end(epoch, logs)
        _ = self.model  # on JAX this brings the state of the training back into the variables
        _InTheLayers(self._wrapped).detach()


@dataclass(frozen=True)
class _Wrapped:
    """One wrapped layer, and its variables by the paths that they have in the model."""

    layer: Pruned
    found: Prunables
    floor: float = 0.0  # the sparsity that training begins with, below which it does not fall

    @property
    def is_dense(self) -> bool:
        return self.layer.gradients == "dense"

    @property
    def zeros(self) -> int:
        return self.layer.masks.zeros

    def values(self) -> Iterator[tuple[str, Any]]:
        """What scores are computed on: where pruned weights go on learning, they compete with the others."""
        for item in self.found:
            yield item.path, item.raw_value() if self.is_dense else item.value()


@dataclass(frozen=True)
class _InTheLayers:
    """Masks that the layers themselves hold, as `MaskedTraining` reads and sets them."""

    wrapped: Sequence[_Wrapped]

    @property
    def masks(self) -> MaskSet:
        items = [item for each in self.wrapped for item in each.found]
        return MaskSet({item.path: np.array(keras.ops.convert_to_numpy(item.mask), np.bool_) for item in items})

    def set(self, masks: Masks) -> None:
        for each in self.wrapped:
            for item in each.found:
                item.mask.assign(masks[item.path])
        self.detach()

    def detach(self) -> None:
        for each in self.wrapped:
            each.layer.write_zeros()


def _find_wrapped(model: keras.Model) -> list[_Wrapped]:
    items: dict[int, list[Prunable]] = {}
    layers: dict[int, Pruned] = {}
    for item in find(model)[0]:
        for layer in item.containers:
            if isinstance(layer, Pruned) and item.mask is not None and layer.mask_of(item.variable) is item.mask:
                layers[id(layer)] = layer
                items.setdefault(id(layer), []).append(item)
                break
    if not layers:
        raise NothingToPruneError(
            f"Model {model.name!r} has no Pruned layer with masks to update. Wrap it with "
            "keras_prunelab.layers.wrap(model, schedule), or prune it as it is with keras_prunelab.callbacks.Prune."
        )
    return [_Wrapped(layer, Prunables(tuple(items[key]), (), "weights")) for key, layer in layers.items()]


def _together(wrapped: Sequence[_Wrapped]) -> Prunables:
    return Prunables(tuple(item for each in wrapped for item in each.found), (), "weights")
