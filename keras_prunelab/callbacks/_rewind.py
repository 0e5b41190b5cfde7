"""Lottery tickets: after each round of pruning, train again from an earlier step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import keras

from keras_prunelab._backend import when_built
from keras_prunelab._errors import InvalidModelError, InvalidScheduleError, PruneLabError, UnknownNameError
from keras_prunelab._model._optimizers import compile_optimizer, counter, counts, leaves
from keras_prunelab._select._masks import MaskSet
from keras_prunelab._training._snapshot import RewindingRecord, RewindingState, Snapshot
from keras_prunelab._training._step_offset import StepOffset
from keras_prunelab.schedules import Step
from keras_prunelab.schedules._step import StepLike

from ._masked_training import mask_training
from ._prune import Prune

What = Literal["weights", "learning_rate"]

_ATTRIBUTE = "rewinding"  # of the optimizer, and so the name of the group in a checkpoint
_RATE_SCHEDULE = keras.optimizers.schedules.LearningRateSchedule
# Of an optimizer: what sees the steps set back.
_METHODS = {
    "weights": ("_get_current_learning_rate", "_backend_apply_gradients"),
    "learning_rate": ("_get_current_learning_rate",),
}


@dataclass
class _Rewinding:
    """One `fit` with rewinding.

    Attributes:
        prune: the callback that prunes.
        to: the step to go back to, in batches.
        offset: what sets the optimizer's steps back.
        is_started: whether the first batch has come, and with it the offset into the optimizer.
        snapshot: what to go back to, once it has been there.
        is_due: whether to go back at the next end of an optimizer step.
        look: the batch of the epoch at which to ask the optimizer for its count again.
    """

    prune: Prune
    to: int
    offset: StepOffset
    is_started: bool = False
    snapshot: Snapshot | None = None
    is_due: bool = False
    look: int = 0


@final
class Rewind(keras.callbacks.Callback):
    """Go back to an earlier step of training after each round of pruning.

    It stands beside a `Prune` in the list of callbacks, before or after it, whose schedule is one of rounds, such as
    `keras_prunelab.schedules.Iterative`. Each time that pruning has changed the masks:

    - `what="weights"`: all weights are what they were at step `to`, biases and normalizations with their moving
      statistics too, except that pruned weights stay exactly zero. The optimizer is as it was then: its moments and
      averages, the learning rate of a `LearningRateSchedule`, and Adam's bias correction. Training goes on as it would
      have from there with the new masks: Frankle and Carbin, The lottery ticket hypothesis, ICLR 2019,
      https://arxiv.org/abs/1803.03635, with `to=0`; Frankle et al., Linear mode connectivity and the lottery ticket
      hypothesis, ICML 2020, https://arxiv.org/abs/1912.05671, with a later step.
    - `what="learning_rate"`: the weights stay, and the learning rate goes through its schedule again as from step
      `to` on: Renda et al., Comparing rewinding and fine-tuning in neural network pruning, ICLR 2020,
      https://arxiv.org/abs/2003.02389.

    The optimizer's own count of its steps, by which the schedule of `Prune` goes, is not set back; `fit` therefore
    runs for the epochs of all rounds together. Random numbers, such as those of dropout, go on too. A learning rate
    that a callback sets is that callback's affair.

    **Checkpoints** hold the weights to go back to beside those of now, and so are larger; they load in plain Keras
    as any other. A run that `keras.callbacks.BackupAndRestore` resumes goes on as if it had never been cut. After
    `fit` nothing is left in the model: whoever trains on without this callback has the learning rate of all steps.

    With several batches to one execution, or to one step, the first end of both at `to` or later counts.

    When `fit` begins, and before anything is changed, it raises `InvalidScheduleError` where there is no `Prune` or
    more than one, or where its first round comes before the step to go back to; and `InvalidModelError` where that
    step is past and unknown, or where there is no schedule of the learning rate to rewind.

    Args:
        to: the step of the optimizer to go back to: 0 for the beginning, 500 for optimizer steps, "1ep" for epochs.
        what: `"weights"` or `"learning_rate"`.

    Raises:
        InvalidScheduleError: `to` is no step.
        UnknownNameError: `what` is neither.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(2)])
        >>> model.compile("adam", "mse")
        >>> rounds = kpl.schedules.Iterative(0.5, rounds=2, frequency="2ep", begin_step="2ep")
        >>> x, y = np.ones((64, 8)), np.ones((64, 2))
        >>> callbacks = [kpl.callbacks.Prune(rounds), kpl.callbacks.Rewind(to="1ep")]
        >>> history = model.fit(x, y, batch_size=8, epochs=6, verbose=0, callbacks=callbacks)
        >>> kpl.sparsity(model)
        0.75
    """

    def __init__(self, to: StepLike = 0, what: What = "weights") -> None:
        super().__init__()
        if what not in _METHODS:
            raise UnknownNameError(f"what={what!r}; it is 'weights' or 'learning_rate'.")
        self.to, self.what = Step(to), what
        self._memory = RewindingRecord(self._state, self._finish)
        self._run: _Rewinding | None = None
        self._last: tuple[int, RewindingState] | None = None  # the optimizer's count, and where the last fit ended

    # What Keras calls --------------------------------------------------------------------------------------------

    def set_model(self, model: keras.Model) -> None:
        """Be told the model, before any callback's `on_train_begin` may load a checkpoint into it."""
        super().set_model(model)
        optimizer = getattr(model, "optimizer", None)
        if isinstance(optimizer, keras.optimizers.Optimizer):
            left = getattr(optimizer, _ATTRIBUTE, None)
            if left is not None:
                left.finish()
            vars(optimizer)[_ATTRIBUTE] = self._memory  # past __setattr__, so that TensorFlow does not track it

    def on_train_begin(self, logs: Any = None) -> None:
        """Check everything; nothing is changed yet."""
        compile_optimizer(self.model)
        when_built(self.model, self._begin, self._begin_late)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count the batches anew."""
        if self._run is not None:
            self._run.look = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Remember, where the step has come; go back, where that had to wait."""
        run = self._run
        if run is None:
            return
        self._synchronize(run)
        if self.what == "weights" and run.snapshot is None and batch >= run.look:
            run.look = batch + self._remember(run)
        if run.is_due:
            self._go_back(run)

    def on_train_end(self, logs: Any = None) -> None:
        """Leave the optimizer as it would be without."""
        self._finish()

    def __getstate__(self) -> dict[str, Any]:
        """The arguments, and where the last fit ended: copies know no model, and take part in no fit."""
        return vars(self) | dict.fromkeys(("_model", "_run", "_memory"))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be made from what `__getstate__` gave."""
        self.__dict__.update(state)
        self._memory = RewindingRecord(self._state, self._finish)

    # How it works ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Check everything for a model that is built."""
        optimizer = compile_optimizer(self.model)
        training = mask_training(optimizer)
        try:
            run = self._checked(optimizer, training)
        except PruneLabError:
            if training is not None:
                training.on_train_end()
            self._finish()
            raise
        run.prune.after_update.append(self._hear)
        self._run = run

    def _begin_late(self) -> None:
        """The same within the first batch, which has built the model."""
        self._begin()
        self.on_train_batch_begin(0)

    def _checked(self, optimizer: Any, training: Any) -> _Rewinding:
        if not isinstance(training, Prune):
            found = "there is none" if training is None else f"there is a {type(training).__name__}"
            raise InvalidScheduleError(
                f"Rewind goes back after the rounds of a Prune that stands in the same list of callbacks; {found}. "
                "Give fit callbacks=[Prune(schedules.Iterative(...)), Rewind(...)]."
            )
        if training._beside is not None:
            raise InvalidScheduleError(
                "Rewind goes back after the rounds of one Prune, and several callbacks of the list have masks: what it "
                "takes back, the others have not pruned. Prune all of these weights with one Prune; scope= shares "
                "its sparsity out among the layers."
            )
        count, accumulated = counter(optimizer)
        batches = (self.params or {}).get("steps")
        steps_per_epoch = batches / accumulated if batches else None
        to = self.to.steps(steps_per_epoch)
        # The latest first end of an execution at that step or after it.
        reached = to + -(-self.model.steps_per_execution // accumulated) - 1
        if to and training.schedule(reached, steps_per_epoch) > 0:
            raise InvalidScheduleError(
                f"There is nothing to go back to: {training.schedule!r} prunes before step {reached + 1}, the first "
                f"after to={str(self.to)!r}. Let it begin later, or go back to an earlier step."
            )
        if self.what == "learning_rate" and not any(
            isinstance(leaf._learning_rate, _RATE_SCHEDULE) for leaf in leaves(optimizer)
        ):
            raise InvalidModelError(
                "what='learning_rate' rewinds a schedule, and the optimizer has none. Compile the model with one of "
                "keras.optimizers.schedules, such as optimizer=SGD(CosineDecay(0.1, 1000)), or rewind the weights."
            )
        run = _Rewinding(training, to * accumulated, StepOffset(self.model, _METHODS[self.what]))
        if self._memory.loaded is None:
            self._check_known(run, self._last_state(count), count, accumulated)
        return run

    def _check_known(self, run: _Rewinding, state: RewindingState | None, count: int, accumulated: int) -> None:
        if self.what == "weights" and count > run.to and state is None:
            raise InvalidModelError(
                f"The optimizer has made {count // accumulated} steps already, and what the weights were at "
                f"to={str(self.to)!r} is not known. Compile the model anew, so that its weights of now are those of "
                "step 0; or resume with keras.callbacks.BackupAndRestore, whose checkpoints know them."
            )

    def _last_state(self, count: int) -> RewindingState | None:
        return self._last[1] if self._last is not None and self._last[0] == count else None

    def _synchronize(self, run: _Rewinding) -> None:
        """At the first batch, or after a checkpoint was loaded, find out where the run stands."""
        loaded, self._memory.loaded = self._memory.loaded, None
        if run.is_started and loaded is None:
            return
        optimizer = self.model.optimizer
        count, accumulated = counter(optimizer)
        state = loaded or self._last_state(count)
        self._check_known(run, state, count, accumulated)
        if not run.is_started:
            # Not earlier: had another callback failed, the offset would be left.
            run.offset.attach()
            run.is_started = True
        state = state or RewindingState(None, (0,) * len(leaves(optimizer)))
        run.snapshot, run.offset.values, run.is_due = state.snapshot, state.offsets, state.is_due

    def _remember(self, run: _Rewinding) -> int:
        """Copy everything where the step has come; give the number of batches until it comes."""
        count, accumulated = counter(self.model.optimizer)
        if count < run.to or count % accumulated:
            return max(1, run.to - count)
        run.snapshot = Snapshot.of(self.model)
        return 0

    def _hear(self, model: keras.Model, masks: MaskSet) -> None:
        """The masks have changed."""
        run = self._run
        if run is not None:
            self._synchronize(run)
            run.is_due = True
            self._go_back(run)

    def _go_back(self, run: _Rewinding) -> None:
        model = self.model
        count, accumulated = counter(model.optimizer)
        masks = run.prune.masks
        if count % accumulated or masks is None:  # within a step: it is finished first
            return
        seen = counts(model.optimizer)
        then = (run.to,) * len(seen)
        if self.what == "weights":
            if run.snapshot is None:  # the first batch of all, and Prune stands before
                self._remember(run)
            if run.snapshot is None:
                return
            run.snapshot.restore(model)
            run.prune.impose()
            then = run.snapshot.counts
        run.offset.values = tuple(one - other for one, other in zip(seen, then, strict=True))
        run.is_due = False

    def _state(self) -> RewindingState | None:
        run = self._run
        if run is None or not run.is_started:
            return None
        _ = self.model  # on JAX this brings the state of the training back into the variables
        return RewindingState(run.snapshot, run.offset.values, run.is_due)

    def _finish(self) -> None:
        run, state = self._run, self._state()
        optimizer = getattr(self.model, "optimizer", None)
        if getattr(optimizer, _ATTRIBUTE, None) is self._memory:
            del vars(optimizer)[_ATTRIBUTE]
        if run is not None:
            if self._hear in run.prune.after_update:
                run.prune.after_update.remove(self._hear)
            if state is not None:
                self._last = (counter(optimizer)[0], state)
                run.offset.detach()
                self._run = None
