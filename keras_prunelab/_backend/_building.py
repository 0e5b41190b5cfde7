"""Models that Keras builds when `fit` shows them the first batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from ._imports import keras


def when_built(model: Any, action: Callable[[], Any], late: Callable[[], Any] | None = None) -> None:
    """Do something as soon as a model has its variables.

    JAX and torch build a model before the first callback is called. TensorFlow builds it when it traces the first
    step, which is too late to change that step. So the model is built there from the shapes of the first batch, just
    before.

    Args:
        model: a compiled model in `fit`, or in a loop with `train_on_batch`.
        action: what to do, at once where the model is built.
        late: what to do instead within the first batch, once the model is built; by default the same.
    """
    if model.built or keras.config.backend() != "tensorflow" or not model.compiled:
        action()
        return
    model.make_train_function()  # in a loop with train_on_batch there may be none yet
    if isinstance(model.train_function, _BuildingFirst):
        model.train_function.actions.append(late or action)
    else:
        model.train_function = _BuildingFirst(model, model.train_function, late or action)


def stop_waiting(model: Any) -> None:
    """Forget what was to be done once a model is built, where training ended before it was.

    Args:
        model: a model.
    """
    waiting = getattr(model, "train_function", None)
    if isinstance(waiting, _BuildingFirst):
        model.train_function = waiting.function


class _BuildingFirst:
    """A train function that builds its model before the first step."""

    def __init__(self, model: Any, function: Callable[[Any], Any], action: Callable[[], Any]) -> None:
        self.actions = [action]
        self._model = model
        self.function = function

    def __call__(self, iterator: Any) -> Any:
        self._model.train_function = self.function
        iterator, batch = _first(iterator)
        self._model._symbolic_build(data_batch=batch)
        for action in self.actions:
            action()
        return self._model.train_function(iterator)


def _first(iterator: Any) -> tuple[Any, Any]:
    """An iterator that still has all of its batches, and the shapes of the first."""
    if hasattr(iterator, "element_spec"):
        return iterator, keras.tree.map_structure(_symbolic, iterator.element_spec)
    batches: Iterator[Any] = iter(iterator)
    batch = next(batches)
    return itertools.chain([batch], batches), keras.tree.map_structure(_symbolic, batch)


def _symbolic(tensor: Any) -> Any:
    shape = getattr(tensor, "shape", None)
    if shape is None:  # no target, or no weights
        return None
    batch = tuple(None if axis == 0 else size for axis, size in enumerate(shape))  # any number of observations
    return keras.KerasTensor(batch, keras.backend.standardize_dtype(tensor.dtype))
