"""What a model and its optimizer were at a step: to go back to, and to find in a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_prunelab._model._optimizers import counts, leaves
from keras_prunelab._model._state import Arrays, assign_values, copy_values


@dataclass(frozen=True)
class Snapshot:
    """A model and its optimizer at a step.

    Attributes:
        weights: all weights of the model, those of normalizations and their moving statistics too.
        slots: the optimizer's moments, averages and accumulated gradients.
        counts: how many batches each optimizer inside had seen.
    """

    weights: Arrays
    slots: Arrays
    counts: tuple[int, ...]

    @classmethod
    def of(cls, model: keras.Model) -> Snapshot:
        """Copy what is there now."""
        return cls(copy_values(model.weights), copy_values(_slots(model.optimizer)), counts(model.optimizer))

    def restore(self, model: keras.Model) -> None:
        """Write it back, the counts excepted."""
        assign_values([*model.weights, *_slots(model.optimizer)], (*self.weights, *self.slots))


@dataclass(frozen=True)
class RewindingState:
    """Where a run with rewinding stands.

    Attributes:
        snapshot: what to go back to; None where that is not reached yet, or nothing but the steps is set back.
        offsets: by how many batches each optimizer inside is set back.
        is_due: whether to go back at the next end of an optimizer step.
    """

    snapshot: Snapshot | None
    offsets: tuple[int, ...]
    is_due: bool = False


class RewindingRecord(keras.layers.Layer):
    """A rewinding run's state in the files that plain Keras writes, as `Record` keeps that of the pruning.

    Args:
        current: gives the state to save.
        finish: ends the run, where its `fit` was interrupted.

    Attributes:
        loaded: the state that was read from a file, until somebody takes it.
    """

    def __init__(self, current: Callable[[], RewindingState | None], finish: Callable[[], None]) -> None:
        super().__init__(name="rewinding")
        self._current = current
        self.finish = finish
        self.loaded: RewindingState | None = None

    def save_own_variables(self, store: Any) -> None:
        """Write the state into a group of a file."""
        state = self._current()
        if state is not None:
            header: dict[str, Any] = {"offsets": state.offsets, "is_due": state.is_due}
            if state.snapshot is not None:
                arrays = (*state.snapshot.weights, *state.snapshot.slots)
                header |= {"counts": state.snapshot.counts, "weights": len(state.snapshot.weights), "all": len(arrays)}
                for position, array in enumerate(arrays):
                    store[str(position)] = array
            store["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)

    def load_own_variables(self, store: Any) -> None:
        """Read the state from a group of a file; a file that was not written while rewinding has none."""
        if "header" in store.keys():  # noqa: SIM118, a store of Keras is no mapping
            header = json.loads(np.asarray(store["header"]).tobytes())
            snapshot = None
            if "all" in header:
                arrays = tuple(np.asarray(store[str(position)]) for position in range(header["all"]))
                weights, slots = arrays[: header["weights"]], arrays[header["weights"] :]
                snapshot = Snapshot(weights, slots, tuple(header["counts"]))
            self.loaded = RewindingState(snapshot, tuple(header["offsets"]), header["is_due"])


def _slots(optimizer: Any) -> list[Any]:
    """The variables of an optimizer that its steps change, without its counts and the masks: those are no floats."""
    return [
        variable
        for leaf in leaves(optimizer)
        for variable in leaf._variables
        if keras.backend.is_float_dtype(variable.dtype) and variable is not leaf._learning_rate
    ]
