"""What every callback with masks does: check, attach, count steps, resume, and leave nothing behind."""

from __future__ import annotations

import contextlib
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import keras

from keras_prunelab._backend import stop_waiting, when_built
from keras_prunelab._errors import PruningWarning, UnknownNameError
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._optimizers import Optimizers, StepCount, optimizers_of
from keras_prunelab._model._prunable import prunable, share_of_zeros, trainable_in_fit
from keras_prunelab._model._variables import Learnables, Prunables
from keras_prunelab._select._masks import Masks, MaskSet
from keras_prunelab._training._enforcement import Enforcement
from keras_prunelab._training._epoch_logs import contribute, contributors, withdraw
from keras_prunelab._training._oversight import Oversight
from keras_prunelab._training._record import PruningState, Record
from keras_prunelab.scores import ScoreContext

from ._run import FitRun, check_alone, check_masks, find_emptied

InitialMasks: TypeAlias = "MaskSet | Literal['from_zeros'] | None"


class MaskedTraining(keras.callbacks.Callback):
    """Masks that hold while `fit` trains a model; when they change is for a subclass to say.

    The logs of each epoch get `"sparsity"`, the share of zeros among all weights that such callbacks have masks for.

    Args:
        include: only what matches one of these; see `prunable`.
        exclude: nothing that matches one of these.
        learnables: which variables have masks: `"weights"` for kernels only, `"all"`; see `prunable`.
        data: what scores are computed on.
        masks: the masks to begin with.
        optimizers: the Keras optimizers that train the model, where it does not hold them itself.

    Attributes:
        after_update: functions to call with the model and its new masks whenever these have changed.
    """

    def __init__(
        self,
        *,
        include: Filters = None,
        exclude: Filters = None,
        learnables: Learnables = "weights",
        data: Any = None,
        masks: InitialMasks = None,
        optimizers: Optimizers = None,
    ) -> None:
        super().__init__()
        if not (masks is None or isinstance(masks, MaskSet) or masks == "from_zeros"):
            raise UnknownNameError(f"masks={masks!r}; it is None, 'from_zeros' or a MaskSet.")
        self.include, self.exclude, self.learnables = include, exclude, learnables
        self.data = data
        self.initial_masks = masks
        self.optimizers = optimizers
        self.after_update: list[Callable[[keras.Model, MaskSet], None]] = []
        self._record = Record(self._state, self._finish, self)
        self._beside: Record | None = None  # of another such callback in the list, or of a fit that was interrupted
        self._holder: Any = None  # the optimizer that has the record
        self._run: FitRun | None = None
        self._last: tuple[int, PruningState] | None = None  # the optimizer's count, and where the last fit ended

    @property
    def masks(self) -> MaskSet | None:
        """The masks in force, or those that the last `fit` ended with; None before the first."""
        state = self._state() or (self._last and self._last[1])
        return state.masks if state else None

    def impose(self) -> None:
        """Mask weights and slots once more: others may have set them, such as to the best ones of earlier epochs."""
        if self._run is not None and self._run.start is not None and self._record.loaded is None:
            _ = self.model  # on JAX this brings the state of the training back into the variables
            self._run.enforcement.set(self._run.enforcement.masks)

    def add_to_logs(self, logs: dict[str, Any]) -> None:
        """Put the sparsity in, unless a callback that counts in other weights has done so."""
        if "sparsity" not in logs:
            masked = [self, *(each for each in contributors(self.model) if isinstance(each, MaskedTraining))]
            runs = [each._run for each in dict.fromkeys(masked) if each._run is not None]
            logs["sparsity"] = share_of_zeros(item for run in runs for item in run.found)

    # What a subclass says ----------------------------------------------------------------------------------------

    @abstractmethod
    def check(self, found: Prunables, steps_per_epoch: float | None) -> None:
        """Raise whatever makes these arguments impossible for a model, before it is changed."""

    @abstractmethod
    def begin(self, run: FitRun, step: int) -> PruningState:
        """The masks and the first step of a run that continues no earlier one, at an optimizer step."""

    @abstractmethod
    def is_due(self, run: FitRun) -> bool:
        """Whether the masks are to change before `run.step` is done."""

    @abstractmethod
    def update(self, run: FitRun) -> Masks:
        """The masks to hold once `run.step` is done."""

    @abstractmethod
    def shortfall(self, run: FitRun, last_step: int) -> str | None:
        """What will not have happened when training ends at a step of the schedule; None where all will have."""

    # What Keras calls --------------------------------------------------------------------------------------------

    def set_model(self, model: keras.Model) -> None:
        """Be told the model, before any callback's `on_train_begin` may load a checkpoint into it."""
        if self._run is not None:  # its fit was interrupted, and the model may have another optimizer by now
            self._finish()
        super().set_model(model)
        optimizer = getattr(model, "optimizer", None)
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            optimizer = optimizers_of(model, self.optimizers)[0] if self.optimizers is not None else None
        self._holder = optimizer
        if optimizer is not None:
            left = getattr(optimizer, _ATTRIBUTE, None)
            if left is not None:
                left.finish()
            self._beside = left
            vars(optimizer)[_ATTRIBUTE] = self._record  # past __setattr__, so that TensorFlow does not track it

    def on_train_begin(self, logs: Any = None) -> None:
        """Check everything, then put the masks into the train step."""
        with self._finished_if_it_fails():
            optimizers_of(self.model, self.optimizers)
            when_built(self.model, self._attach, self._attach_late)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count the batches anew from the optimizer's own count, and mask what others may have written."""
        if self._run is not None:
            self._run.batches, self._run.epoch = None, epoch
            self.impose()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Change the masks where it is time, before the step that ends with them."""
        run = self._run
        if run is None:
            return
        is_first = run.batches is None
        if is_first or self._record.loaded is not None:
            self._synchronize(run)
        steps, execution = self._parameter("steps"), run.model.steps_per_execution
        ahead = min(execution, steps - batch) if steps and batch < steps else execution
        run.batches = (run.batches or 0) + ahead
        if self.is_due(run):
            # Batches are not always steps: one with infinite gradients, as mixed precision has, makes none, and a train
            # step of the user's own may make several. So ask before acting; on JAX, `self.model` also gives the
            # variables, which `fit` empties while it trains, their values back.
            _ = self.model
            run.batches = run.count.batches() + ahead
            if self.is_due(run):
                with self._finished_if_it_fails():
                    self._change(run)
        if is_first:
            run.oversight.begin()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """See, after the first batch, that the masks hold."""
        if self._run is not None and self._run.is_unseen:
            self._run.is_unseen = False
            self._oversee(self._run)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """See that the masks hold."""
        if self._run is not None:
            self._oversee(self._run)
            if logs is not None:  # of a loop of the user's own; those of `fit` have it already
                self.add_to_logs(logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Take the masks out of the train step; their zeros stay."""
        self.impose()
        self._finish()

    def on_test_end(self, logs: Any = None) -> None:
        """Leave nothing behind where there was no training."""
        if self._run is None:
            self._finish()

    on_predict_end = on_test_end

    def __getstate__(self) -> dict[str, Any]:
        """The arguments, and where the last fit ended: copies know no model, and take part in no fit."""
        nothing = dict.fromkeys(("_model", "_run", "_record", "_beside", "_holder"))
        return vars(self) | nothing | {"after_update": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be made from what `__getstate__` gave."""
        self.__dict__.update(state)
        self._record = Record(self._state, self._finish, self)

    # How it works ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _finished_if_it_fails(self) -> Iterator[None]:
        """Leave nothing behind when an error ends `fit`."""
        try:
            yield
        except Exception:
            self._finish()
            raise

    def _parameter(self, name: str) -> Any:
        """A parameter of `fit`; None where it is not known, as in a loop of the user's own."""
        return (self.params or {}).get(name)

    def _attach(self) -> None:
        """Check everything, then put the masks into the train step of a model that is built."""
        with self._finished_if_it_fails():
            self._run = self._prepared(optimizers_of(self.model, self.optimizers))
            contribute(self.model, self)

    def _prepared(self, optimizers: Sequence[Any]) -> FitRun:
        """A run whose masks hold in the train step."""
        every = prunable(self.model, self.include, self.exclude, learnables=self.learnables)
        found = trainable_in_fit(every, self.include)
        count = StepCount(optimizers)
        steps_per_epoch = self._steps_per_epoch(count)
        found.values()  # raises where one is not finite
        self.check(found, steps_per_epoch)
        if isinstance(self.initial_masks, MaskSet):
            check_masks(self.initial_masks, found)
        check_alone(found, self._beside)
        enforcement = Enforcement(self.model, found, optimizers)
        enforcement.attach()
        context = ScoreContext(self.model, found, {}, self.data, optimizers=tuple(optimizers))
        oversight = Oversight(found, optimizers, lambda: enforcement.masks)
        return FitRun(self.model, found, enforcement, context, count, oversight, steps_per_epoch)

    def _attach_late(self) -> None:
        """The same within the first batch, which has built the model."""
        self._attach()
        self.on_train_batch_begin(0)

    def _steps_per_epoch(self, count: StepCount) -> float | None:
        batches = self._parameter("steps")
        return batches / count.accumulated if batches else None

    def _synchronize(self, run: FitRun) -> None:
        """Read the optimizer's count; at the first batch, or after a checkpoint was loaded, find the masks too."""
        run.batches, run.batches_per_step = run.count.batches(), run.count.accumulated
        continued = self._record.loaded and self._record.loaded.fitted(run.found)
        self._record.loaded = None
        if run.start is None or continued is not None:
            run.batches = run.count.begin()
            step = run.batches // run.batches_per_step
            before = continued or self._before(run, step)
            state = before or self.begin(run, step)
            run.start, run.applied, run.floor = state.start, state.applied, state.masks.sparsity
            run.enforcement.set(state.masks)
            last_step = run.last_step(self._parameter("epochs"))
            shortfall = self.shortfall(run, last_step) if last_step is not None and before is None else None
            if shortfall is not None:
                warnings.warn(f"Training ends at step {last_step}. {shortfall}", PruningWarning, stacklevel=2)

    def _before(self, run: FitRun, step: int) -> PruningState | None:
        """Where the last `fit` with this callback ended, if this one goes on from there."""
        state = self._last and self._last[1].fitted(run.found)
        if not self._last or not state:
            return None
        if self._last[0] == run.batches:
            return state
        if self.initial_masks is None and _hold(state.masks, run.found):  # compiled anew between two stages
            return PruningState(state.masks, step)
        return None

    def _change(self, run: FitRun) -> None:
        """Let new masks hold from the step under way."""
        if not run.is_unseen:
            run.oversight.check_zeros()
        before, after = run.enforcement.masks, self.update(run)
        for path in find_emptied(run.found, before, after):
            warnings.warn(
                f"All weights of {path!r} are pruned at step {run.step}: nothing passes it any more. Prune less, share "
                f"the sparsity out with scope='layer' or 'erk', or leave it alone with exclude={path!r}.",
                PruningWarning,
                stacklevel=2,
            )
        run.enforcement.set(after)
        run.oversight.forget()
        run.applied = run.step
        for listener in self.after_update:
            listener(run.model, run.enforcement.masks)

    def _oversee(self, run: FitRun) -> None:
        if run.start is not None:
            _ = self.model  # on JAX this brings the state of the training back into the variables
            with self._finished_if_it_fails():
                run.oversight.check()

    def _state(self) -> PruningState | None:
        if self._run is None or self._run.start is None:
            return None
        _ = self.model  # on JAX this brings the state of the training back into the variables
        return PruningState(self._run.enforcement.masks, self._run.start, self._run.applied)

    def _finish(self) -> None:
        beside, self._beside = self._beside, None
        if beside is not None:
            beside.finish()
        stop_waiting(self.model)
        withdraw(self.model, self)
        run, state = self._run, self._state()
        if getattr(self._holder, _ATTRIBUTE, None) is self._record:
            del vars(self._holder)[_ATTRIBUTE]
        if run is not None:
            if state is not None:
                self._last = (run.count.batches(), state)
            run.enforcement.detach()
            self._run = None


_ATTRIBUTE = "pruning"  # of the optimizer, and so the name of the group in a checkpoint


def mask_training(optimizer: Any) -> MaskedTraining | None:
    """The callback whose masks an optimizer keeps, once all callbacks know their model."""
    record = getattr(optimizer, _ATTRIBUTE, None)
    return record.owner if record is not None else None


def _hold(masks: MaskSet, found: Prunables) -> bool:
    """Whether what masks prune is zero."""
    return not any((value[~masks[path]] != 0).any() for path, value in found.read().items())
