"""What pruning writes into a checkpoint beside the weights: the masks, and the step that the schedule counts from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_prunelab._model._variables import Prunables
from keras_prunelab._select._masks import MaskSet


@dataclass(frozen=True)
class PruningState:
    """Where a pruning run stands.

    Attributes:
        masks: the masks in force.
        start: the optimizer step that its schedule counts from.
        applied: the step of the schedule that the masks are for; -1 where it has not asked for any yet.
    """

    masks: MaskSet
    start: int
    applied: int = -1

    def fitted(self, prunables: Prunables) -> PruningState | None:
        """The same state for a model that was built anew, whose layers may have other names.

        Args:
            prunables: the variables of that model.

        Returns:
            The state with that model's paths, or None where the shapes differ.
        """
        if [item.shape for item in prunables] != list(self.masks.shapes.values()):
            return None
        paths = (item.path for item in prunables)
        masks = MaskSet(dict(zip(paths, self.masks.values(), strict=True)))
        return replace(self, masks=masks)


class Record(keras.layers.Layer):
    """A pruning run's state in the files that plain Keras writes.

    Keras saves whatever can be saved among the attributes of an optimizer, each in a group of its own, and reads
    only the groups of the attributes that it finds. A file with this group is thus an ordinary one.

    Args:
        current: gives the state to save.
        finish: ends the run, where its `fit` was interrupted.
        owner: the callback that the run is of.

    Attributes:
        loaded: the state that was read from a file, until somebody takes it.
    """

    def __init__(
        self, current: Callable[[], PruningState | None], finish: Callable[[], None], owner: keras.callbacks.Callback
    ) -> None:
        super().__init__(name="pruning")
        self._current = current
        self.finish = finish
        self.owner = owner
        self.loaded: PruningState | None = None

    def save_own_variables(self, store: Any) -> None:
        """Write the state into a group of a file."""
        state = self._current()
        if state is not None:
            header = json.dumps({"start": state.start, "applied": state.applied, "shapes": state.masks.shapes})
            store["header"] = np.frombuffer(header.encode(), np.uint8)
            store["bits"] = state.masks.packed()

    def load_own_variables(self, store: Any) -> None:
        """Read the state from a group of a file; a file that was not written while pruning has none."""
        if "header" in store.keys():  # noqa: SIM118, a store of Keras is no mapping
            header = json.loads(np.asarray(store["header"]).tobytes())
            masks = MaskSet.unpacked(header["shapes"], np.asarray(store["bits"]))
            self.loaded = PruningState(masks, header["start"], header["applied"])
