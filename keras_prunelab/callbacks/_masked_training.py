"""What every callback with masks does: check, attach, count steps, resume, and leave nothing behind."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._enforcement import Enforcement, compiled_optimizer, counter
from keras_prunelab._errors import InvalidMaskError, InvalidModelError, UnknownNameError
from keras_prunelab._filters import Filters
from keras_prunelab._masks import MaskSet
from keras_prunelab._prunable import prunable
from keras_prunelab._record import PruningState, Record
from keras_prunelab._variables import Prunables
from keras_prunelab.scores import ScoreContext

Masks: TypeAlias = Mapping[str, NDArray[np.bool_]]
InitialMasks: TypeAlias = "MaskSet | Literal['from_zeros'] | None"


@dataclass
class Run:
    """One `fit` with masks.

    Attributes:
        model: the model, read without the detour that brings JAX's state back into its variables.
        found: its prunable variables.
        enforcement: the masks in its train step.
        context: what scores may look at; it lives as long as the run.
        steps_per_epoch: optimizer steps of one epoch, where they are known.
        start: the optimizer step that the schedule counts from; None before the first batch.
        applied: the step of the schedule that the masks are for; -1 before the first.
        batches: how many batches the optimizer will have seen after the execution under way; None where that is
            to be counted anew.
        batches_per_step: how many gradients are accumulated for one step.
    """

    model: keras.Model
    found: Prunables
    enforcement: Enforcement
    context: ScoreContext
    steps_per_epoch: float | None
    start: int | None = None
    applied: int = -1
    batches: int | None = None
    batches_per_step: int = 1

    @property
    def step(self) -> int:
        """The step of the schedule that the execution under way ends with."""
        return (self.batches or 0) // self.batches_per_step - (self.start or 0)


class MaskedTraining(keras.callbacks.Callback):
    """Masks that hold while `fit` trains a model; when they change is for a subclass to say.

    Args:
        include: only what matches one of these; see `prunable`.
        exclude: nothing that matches one of these.
        data: what scores are computed on.
        masks: the masks to begin with.

    Attributes:
        after_update: functions to call with the model and its new masks whenever these have changed.
    """

    def __init__(
        self, *, include: Filters = None, exclude: Filters = None, data: Any = None, masks: InitialMasks = None
    ) -> None:
        super().__init__()
        if not (masks is None or isinstance(masks, MaskSet) or masks == "from_zeros"):
            raise UnknownNameError(f"masks={masks!r}; it is None, 'from_zeros' or a MaskSet.")
        self.include, self.exclude = include, exclude
        self.data = data
        self.initial_masks = masks
        self.after_update: list[Callable[[keras.Model, MaskSet], None]] = []
        self._record = Record(self._state, self._finish, self)
        self._beside: Record | None = None  # of another such callback in the list, or of a fit that was interrupted
        self._run: Run | None = None
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

    # What a subclass says ----------------------------------------------------------------------------------------

    @abstractmethod
    def check(self, found: Prunables, steps_per_epoch: float | None) -> None:
        """Raise whatever makes these arguments impossible for a model, before it is changed."""

    @abstractmethod
    def begin(self, run: Run, step: int) -> PruningState:
        """The masks and the first step of a run that continues no earlier one, at an optimizer step."""

    @abstractmethod
    def is_due(self, run: Run) -> bool:
        """Whether the masks are to change before `run.step` is done."""

    @abstractmethod
    def update(self, run: Run) -> Masks:
        """The masks to hold once `run.step` is done."""

    # What Keras calls --------------------------------------------------------------------------------------------

    def set_model(self, model: keras.Model) -> None:
        """Be told the model, before any callback's `on_train_begin` may load a checkpoint into it."""
        if self._run is not None:  # its fit was interrupted, and the model may have another optimizer by now
            self._finish()
        super().set_model(model)
        optimizer = getattr(model, "optimizer", None)
        if isinstance(optimizer, keras.optimizers.Optimizer):
            left = getattr(optimizer, _ATTRIBUTE, None)
            if left is not None:
                left.finish()
            self._beside = left
            setattr(optimizer, _ATTRIBUTE, self._record)

    def on_train_begin(self, logs: Any = None) -> None:
        """Check everything, then put the masks into the train step."""
        with self._finished_if_it_fails():
            model = self.model
            optimizer = compiled_optimizer(model)
            found = prunable(model, self.include, self.exclude)
            batches = self.params.get("steps")
            steps_per_epoch = batches / counter(optimizer)[1] if batches else None
            found.values()  # raises where one is not finite
            self.check(found, steps_per_epoch)
            if isinstance(self.initial_masks, MaskSet):
                _check_masks(self.initial_masks, found)
            _check_alone(found, self._beside)
            enforcement = Enforcement(model, found)
            enforcement.attach()
            self._run = Run(model, found, enforcement, ScoreContext(model, found, {}, self.data), steps_per_epoch)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count the batches anew from the optimizer's own count, and mask what others may have written."""
        if self._run is not None:
            self._run.batches = None
            self.impose()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Change the masks where it is time, before the step that ends with them."""
        run = self._run
        if run is None:
            return
        if run.batches is None or self._record.loaded is not None:
            self._synchronize(run)
        steps, execution = self.params.get("steps"), run.model.steps_per_execution
        ahead = min(execution, steps - batch) if steps else execution
        run.batches = (run.batches or 0) + ahead
        if self.is_due(run):
            # Batches are not always steps: one with infinite gradients, as mixed precision has, makes none, and a train
            # step of the user's own may make several. So ask before acting; on JAX, `self.model` also gives the
            # variables, which `fit` empties while it trains, their values back.
            run.batches = counter(self.model.optimizer)[0] + ahead
            if self.is_due(run):
                with self._finished_if_it_fails():
                    run.enforcement.set(self.update(run))
                run.applied = run.step
                for listener in self.after_update:
                    listener(run.model, run.enforcement.masks)

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
        return vars(self) | {"_model": None, "_run": None, "_record": None, "_beside": None, "after_update": []}

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

    def _synchronize(self, run: Run) -> None:
        """Read the optimizer's count; at the first batch, or after a checkpoint was loaded, find the masks too."""
        run.batches, run.batches_per_step = counter(self.model.optimizer)
        continued = self._record.loaded and self._record.loaded.fitted(run.found)
        self._record.loaded = None
        if run.start is None and continued is None and self._last is not None and self._last[0] == run.batches:
            continued = self._last[1].fitted(run.found)
        if run.start is None or continued is not None:
            state = continued or self.begin(run, run.batches // run.batches_per_step)
            run.start, run.applied = state.start, state.applied
            run.enforcement.set(state.masks)

    def _state(self) -> PruningState | None:
        if self._run is None or self._run.start is None:
            return None
        _ = self.model  # on JAX this brings the state of the training back into the variables
        return PruningState(self._run.enforcement.masks, self._run.start, self._run.applied)

    def _finish(self) -> None:
        beside, self._beside = self._beside, None
        if beside is not None:
            beside.finish()
        run, state = self._run, self._state()
        optimizer = getattr(self.model, "optimizer", None)
        if getattr(optimizer, _ATTRIBUTE, None) is self._record:
            delattr(optimizer, _ATTRIBUTE)
        if run is not None:
            if state is not None:
                self._last = (counter(run.model.optimizer)[0], state)
            run.enforcement.detach()
            self._run = None


_ATTRIBUTE = "pruning"  # of the optimizer, and so the name of the group in a checkpoint


def masked_training(optimizer: Any) -> MaskedTraining | None:
    """The callback whose masks an optimizer keeps, once all callbacks know their model."""
    record = getattr(optimizer, _ATTRIBUTE, None)
    return record.owner if record is not None else None


def _check_alone(found: Prunables, beside: Record | None) -> None:
    other = beside.owner._run if beside is not None else None
    taken = set(map(id, (item.variable for item in other.found))) if other is not None else set()
    both = [item.path for item in found if id(item.variable) in taken]
    if both:
        raise InvalidModelError(
            f"Two callbacks in the list put masks over {', '.join(map(repr, both))}. Leave one of them out, or let "
            "each have weights of its own with include= and exclude=."
        )


def _check_masks(masks: MaskSet, found: Prunables) -> None:
    shapes = {item.path: item.shape for item in found}
    wrong = [path for path in masks.shapes.keys() | shapes.keys() if masks.shapes.get(path) != shapes.get(path)]
    if wrong:
        path = sorted(wrong)[0]
        raise InvalidMaskError(
            f"masks= and the model's prunable weights differ: {path!r} has shape {masks.shapes.get(path, 'none')} in "
            f"the masks and {shapes.get(path, 'none')} in the model. Give a mask for each of "
            f"{', '.join(map(repr, shapes))}, or leave the others out with exclude=."
        )
