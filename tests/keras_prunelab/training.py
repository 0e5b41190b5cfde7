"""Small models to train, and a callback that looks at every point where a user's code can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_prunelab as kpl

L = keras.layers
ROWS, BATCH = 48, 8
SCHEDULE = kpl.schedules.Polynomial(0.25, 0.875, begin_step=2, end_step=11, frequency=3)
ROUNDS = kpl.schedules.Iterative(0.5, rounds=3, frequency=5, begin_step=4)


def data(shape: tuple[int, ...] = (12,), classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(ROWS, *shape)).astype("float32"), random.integers(0, classes, ROWS)


def dense(seed: int = 1) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((12,)), L.Dense(16, "relu", name="hidden"), L.Dense(4, name="out")])


def compiled(model: keras.Model, optimizer: Any = "adam", **options: Any) -> keras.Model:
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), **options)
    return model


def array(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable))


def scheduled_by_hand(step: int) -> float:
    """`SCHEDULE` from its definition: updates at steps 2, 5, 8 and 11, and a cubic curve from the first to the last."""
    if step < 2:
        return 0.0
    updates = [update for update in (2, 5, 8, 11) if update <= step]
    return 0.875 - 0.625 * (1 - (updates[-1] - 2) / 9) ** 3


def rounds_by_hand(step: int) -> float:
    """`ROUNDS` from its definition: half of what is left goes at steps 4, 9 and 14."""
    return 1 - 0.5 ** sum(step >= update for update in (4, 9, 14))


def expected_zeros(schedule: Callable[..., float], step: int, total: int) -> int:
    return int(np.floor(round(schedule(step) * total, 6) + 0.5))


class Probe(keras.callbacks.Callback):
    """Notes, at every hook after a step, how many weights are zero and whether all masked ones are."""

    def __init__(self, prune: kpl.callbacks.Prune) -> None:
        super().__init__()
        self.prune = prune
        self.zeros: list[int] = []
        self.ends: list[int] = []

    def look(self) -> int:
        masks = self.prune.masks
        assert masks is not None
        for item in kpl.prunable(self.model, self.prune.include, self.prune.exclude):
            pruned = array(item.variable)[~masks[item.path]]
            assert not pruned.any(), f"{item.path}: {np.count_nonzero(pruned)} pruned weights are not zero"
            assert not np.signbit(pruned).any()
        return int(masks.zeros)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.zeros.append(self.look())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ends.append(self.look())

    def on_train_end(self, logs: Any = None) -> None:
        self.ends.append(self.look())


def slots_at_zeros(optimizer: Any, masks: kpl.MaskSet, model: keras.Model) -> dict[str, float]:
    """The largest value that optimizer state of a pruned weight's shape has at pruned positions, by path.

    Not for the sums that Ftrl divides by, which are never zero.
    """
    shapes = {item.shape: masks[item.path] for item in kpl.prunable(model) if item.path in masks}
    return {
        variable.path: float(np.abs(array(variable)[~shapes[tuple(variable.shape)]].astype("float64")).max(initial=0))
        for variable in optimizer.variables
        if not (isinstance(optimizer, keras.optimizers.Ftrl) and "accumulator" in variable.path)
        if tuple(variable.shape) in shapes and keras.backend.is_float_dtype(variable.dtype)
    }
