"""Pruning while training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab import schedules
from keras_prunelab._errors import InvalidModelError, UnknownNameError
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._optimizers import Optimizers
from keras_prunelab._model._variables import Learnables, Prunables
from keras_prunelab._select._allocation import Scope
from keras_prunelab._select._granularity import GranularityLike
from keras_prunelab._select._masks import Masks, MaskSet
from keras_prunelab._select._selection import check, pruned_count, select
from keras_prunelab._training._record import PruningState
from keras_prunelab.scores import ScoreLike, check_data, check_scores
from keras_prunelab.scores import get as get_score

from ._masked_training import InitialMasks, MaskedTraining
from ._run import FOREVER, FitRun, find_missed

_log = logging.getLogger("keras_prunelab")


class Prune(MaskedTraining):
    """Prune a model while `fit` trains it.

    At the steps that the schedule says, the weights with the lowest scores are set to zero; from there on the
    compiled train step keeps them at exactly zero, and the optimizer's moments and averages of them too. Whoever
    looks at the model, at the end of a batch, in a checkpoint, or after `fit`, sees the sparsity of the schedule.
    The model needs no change. After `fit` nothing of the callback is left in the model but its zeros: it can be
    exported, saved and trained on as without.

    **Steps** are the optimizer's: `steps_per_execution` and gradient accumulation are taken into account. They are
    counted from the optimizer's first step, so that training can be cut and resumed with the same schedule. Where
    the model has been trained before without pruning, so that the schedule would be far ahead of it, they are
    counted from where `fit` finds it. Where it is compiled anew between two calls of `fit` with one callback, the new
    optimizer's steps are counted, but the masks hold: the sparsity never falls below theirs.

    **Optimizers** are those that the model holds: the one that it is compiled with, and others that are attributes of
    it, as in a GAN. After the first batch, at each change of the masks and at the end of each epoch the callback sees
    that nothing else trains masked weights; where something does, it raises `InvalidModelError`.

    **The best model** of a training that prunes is often the one that is hardly pruned yet. Callbacks that look for it
    count from the schedule's last sparsity on if they are named in `reset_until_pruned`. Others that set weights, as
    `EarlyStopping(restore_best_weights=True)` does when training ends, stand before this callback in the list; else
    their weights, of an earlier epoch, are not as sparse.

    **Logs**: those of each epoch get `"sparsity"`, the share of zeros among the weights that it prunes, in [0, 1].
    All callbacks of the list see it, whatever their order: `History`, `CSVLogger`, `TensorBoard`,
    `ModelCheckpoint(monitor="sparsity")`. `PruningSummary` adds that of each layer.

    **Checkpoints** are those of plain Keras, and sparse. They load without this package. To resume from one, fit
    again with a callback of the same arguments.

    Zhu and Gupta, To prune, or not to prune, 2017, https://arxiv.org/abs/1710.01878, for magnitudes and the
    polynomial schedule. When `fit` begins, and before anything is changed, it raises `InvalidModelError` for a model
    that is not compiled or has weights that are not finite, `NothingToPruneError` and `UnknownNameError` for filters
    that match nothing, `InvalidScheduleError` for a schedule in epochs of unknown length, `InvalidSparsityError` for
    a sparsity that granularity or allocation do not allow, `InvalidDataError` for a score without the data it
    needs, and `InvalidMaskError` for masks that do not fit.

    Args:
        schedule: which sparsity at which step, such as
            `keras_prunelab.schedules.Polynomial(0.0, 0.95, end_step=3000)`; a number holds from the beginning.
        score: what decides which weights go first: `"magnitude"`, `"random"`, `"synflow"`, `"snip"`, a `Score`, a
            function of a `ScoreContext`, and others: see `keras_prunelab.scores`.
        scope: `"global"` ranks all weights together, `"layer"` prunes the same share of each layer; or an
            `Allocation`.
        granularity: what goes as a whole: `"weight"`, `"2:4"`, `"4x4"`, `"channel"`.
        include: only what matches one of these; see `prunable`.
        exclude: nothing that matches one of these.
        learnables: `"weights"` prunes kernels only; `"all"` biases, the scales and offsets of normalizations and
            embeddings too, as MATLAB's example does. Of a small network at a high sparsity, biases are much of what is
            left.
        data: what a score that needs data is computed on: inputs, `(inputs, labels)`, or batches of either.
        masks: where pruning begins: `None` for a dense model, `"from_zeros"` to keep all zeros of a sparse one, or
            a `MaskSet`.
        optimizers: the Keras optimizer, or the list of those, that train the model; by default those that it holds.
            The schedule counts the steps of the one that makes the most.
        reset_until_pruned: callbacks such as `EarlyStopping` and `ModelCheckpoint(save_best_only=True)` that begin
            anew at each epoch until the schedule has reached its last sparsity.

    Warns:
        PruningWarning: when `fit` begins, that the schedule does not come to its end; while it runs, that a layer has
            lost all its weights.

    Raises:
        UnknownNameError: there is no such schedule or score, `masks` is none of these, or `reset_until_pruned` has a
            callback that remembers no best model.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(2)])
        >>> model.compile("adam", "mse")
        >>> prune = kpl.callbacks.Prune(kpl.schedules.Polynomial(0.0, 0.75, end_step=20, frequency=5))
        >>> x, y = np.ones((64, 8)), np.ones((64, 2))
        >>> history = model.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[prune])
        >>> kpl.sparsity(model)
        0.75
    """

    def __init__(
        self,
        schedule: schedules.ScheduleLike,
        score: ScoreLike = "magnitude",
        *,
        scope: Scope = "global",
        granularity: GranularityLike = "weight",
        include: Filters = None,
        exclude: Filters = None,
        learnables: Learnables = "weights",
        data: Any = None,
        masks: InitialMasks = None,
        optimizers: Optimizers = None,
        reset_until_pruned: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        super().__init__(
            include=include, exclude=exclude, learnables=learnables, data=data, masks=masks, optimizers=optimizers
        )
        self.schedule = schedules.get(schedule)
        self.score = get_score(score)
        self.scope, self.granularity = scope, granularity
        self.reset_until_pruned = tuple(reset_until_pruned)
        for callback in self.reset_until_pruned:
            if not hasattr(callback, "best"):
                raise UnknownNameError(
                    f"reset_until_pruned has a {type(callback).__name__}, which remembers no best model; it takes "
                    "EarlyStopping, ModelCheckpoint and others with an attribute best."
                )

    def check(self, found: Prunables, steps_per_epoch: float | None) -> None:
        """Raise whatever makes these arguments impossible for a model, before it is changed."""
        wrapped = [item.path for item in found if item.mask is not None]
        if wrapped:
            raise InvalidModelError(
                f"{wrapped[0]!r} and {len(wrapped) - 1} others have masks of Pruned wrappers, which UpdateMasks "
                "changes. Use that instead of Prune, leave them out with exclude=keras_prunelab.layers.Pruned, or "
                "strip(model)."
            )
        last = self.schedule(FOREVER, steps_per_epoch)
        check(found, last, self.scope, self.granularity)
        check_data(self.score, self.data)

    def begin(self, run: FitRun, step: int) -> PruningState:
        """The masks to begin with, and the optimizer step that the schedule counts from."""
        expected = self.schedule(step - 1, run.steps_per_epoch) if step else 0.0
        zeros = run.enforcement.zeros()
        # Half of it, because a granularity may be too coarse to meet the schedule.
        if expected > 0 and zeros.sparsity > expected / 2 and self.initial_masks is None:
            reached = zeros.zeros >= pruned_count(self.schedule(step, run.steps_per_epoch), zeros.total)
            return PruningState(zeros, 0, step if reached else -1)  # a run that is resumed, or goes further
        if expected > 0:
            _log.info("The model has made %d steps without pruning: the schedule counts from there.", step)
        start = step if expected > 0 else 0
        if isinstance(self.initial_masks, MaskSet):
            return PruningState(self.initial_masks, start)
        if self.initial_masks == "from_zeros":
            return PruningState(MaskSet.from_zeros(run.model, run.found), start)
        return PruningState(MaskSet({item.path: np.ones(item.shape, np.bool_) for item in run.found}), start)

    def is_due(self, run: FitRun) -> bool:
        """Whether the schedule has risen."""
        in_force = self.schedule(run.applied, run.steps_per_epoch) if run.applied >= 0 else 0.0
        return self.schedule(run.step, run.steps_per_epoch) > max(in_force, run.floor)

    def shortfall(self, run: FitRun, last_step: int) -> str | None:
        """That the schedule does not come to its end."""
        return find_missed(self.schedule, last_step, run.steps_per_epoch)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Let callbacks that look for the best model begin anew, until the schedule has come to its end."""
        super().on_epoch_begin(epoch, logs)
        run = self._run
        if run is None or find_missed(self.schedule, run.applied, run.steps_per_epoch):
            for callback in self.reset_until_pruned:
                forget_the_best(callback)

    def update(self, run: FitRun) -> Masks:
        """Prune to the schedule's sparsity."""
        return select(
            run.found,
            check_scores(self.score, run.context.at(run.found.read())),
            self.schedule(run.step, run.steps_per_epoch),
            scope=self.scope,
            granularity=self.granularity,
            norm=self.score.group_norm,
            kept=run.enforcement.masks,
        )


def forget_the_best(callback: keras.callbacks.Callback) -> None:
    """Let a callback that looks for the best model begin anew."""
    callback.best = None
    if hasattr(callback, "best_weights"):
        callback.best_weights = None
    if hasattr(callback, "wait"):
        callback.wait = 0
