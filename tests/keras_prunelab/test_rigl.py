"""Rigging the lottery: masks from the gradients of a linear model that is written out in NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from tests.keras_prunelab.sparse_training import (
    ON_TORCH,
    Array,
    Cut,
    Probe,
    assert_same_weights,
    assert_untouched,
    make_data,
    make_model,
    train,
)
from tests.keras_prunelab.test_set import by_definition, erk_zeros

pytestmark = pytest.mark.backends


def test_masks_of_updates_by_definition() -> None:
    """y = x W + b: the gradient of the mean squared error is 2 x' (x W + b - y), divided by the number of outputs."""
    rng = np.random.default_rng(3)
    inputs, weights = rng.normal(size=(40, 6)), rng.normal(size=(6, 5)) / 2
    labels = inputs @ rng.normal(size=(6, 5)) + 3
    inputs, labels = inputs.astype(np.float32), labels.astype(np.float32)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, name="out")])
    model.layers[0].set_weights([weights, rng.normal(size=5)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    states: list[list[Array]] = []
    masks: list[Array] = []

    class Before(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            states.append([np.array(array) for array in self.model.get_weights()])

    callback = kpl.callbacks.RigL(0.6, (inputs, labels), batch_size=16, fraction=0.5, frequency=2, end_step=8)
    callback.after_update.append(lambda _, now: masks.append(next(iter(now.values()))))
    model.fit(inputs, labels, batch_size=10, epochs=3, shuffle=False, verbose=0, callbacks=[Before(), callback])

    assert len(masks) == 3
    kept = states[1][0] != 0  # once the first step is done
    assert np.count_nonzero(kept) == 12
    moved = []
    for number, batch in ((1, slice(0, 16)), (2, slice(16, 32)), (3, slice(32, 40))):
        kernel, bias = (array.astype(np.float64) for array in states[2 * number - 1])
        x, y = inputs[batch].astype(np.float64), labels[batch].astype(np.float64)
        gradient = 2 * x.T @ (x @ kernel + bias - y) / y.size
        fraction = 0.5 / 2 * (1 + math.cos(math.pi * 2 * number / 8))
        expected = by_definition(kept, kernel, np.abs(gradient), fraction)
        np.testing.assert_array_equal(masks[number - 1], expected)
        np.testing.assert_array_equal(states[2 * number][0] != 0, expected)
        moved.append(np.count_nonzero(expected & ~kept))
        kept = expected
    assert moved[0] > 0  # the test sees something


def test_the_batches_begin_again() -> None:
    data, asked = make_data(), []

    def batches() -> Iterator[tuple[Array, Array]]:
        for start in range(0, 48, 16):
            asked.append(start)
            yield data[0][start : start + 16], data[1][start : start + 16]

    one, other = make_model(), make_model()
    train(one, kpl.callbacks.RigL(0.8, batches, batch_size=16, frequency=2, end_step=16))
    assert asked == [0, 16, 32, *[0, 16, 32], *[0, 16, 32, 0]]  # the first pass is there to see that it ends
    train(other, kpl.callbacks.RigL(0.8, data, batch_size=16, frequency=2, end_step=16))
    assert_same_weights(one, other)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"jit_compile": False}, {} if ON_TORCH else {"steps_per_execution": 4}],
    ids=["adam", "without jit", "executions"],
)
def test_counts_are_exact_at_every_batch_end(arguments: dict[str, Any]) -> None:
    model, first, last = make_model(**arguments), Probe(moments=True), Probe(moments=True)
    callback = kpl.callbacks.RigL(0.8, make_data(), frequency=2)
    updates: list[kpl.MaskSet] = []
    callback.after_update.append(lambda _, masks: updates.append(masks))
    train(model, first, callback, last)
    assert len(updates) > 2
    for probe in (first, last):
        for name, count in erk_zeros(0.8).items():
            assert set(probe.zeros(name)) == {count}
            for values, moments in zip(probe.kernels, probe.slots, strict=True):
                assert all(not moment[values[name] == 0].any() for moment in moments[name])
    assert not np.array_equal(first.kernels[0]["hidden"] == 0, first.kernels[-1]["hidden"] == 0)


def test_resumed_is_as_if_uncut(tmp_path: Path) -> None:
    def rigl() -> kpl.callbacks.RigL:
        return kpl.callbacks.RigL(0.8, make_data(), batch_size=10, frequency=3)

    uncut, model, again = make_model(), make_model(), make_model()
    train(uncut, rigl())
    with pytest.raises(KeyboardInterrupt):
        train(model, keras.callbacks.BackupAndRestore(tmp_path), rigl(), Cut(2))
    train(again, rigl(), keras.callbacks.BackupAndRestore(tmp_path))
    assert_same_weights(again, uncut)


def test_it_finds_the_inputs_that_matter() -> None:
    """Of 40 inputs 4 have a say; the places of the weights at the end are those of RigL's paper, not chance."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(256, 40)).astype(np.float32)
    labels = (inputs[:, :4] @ rng.choice([-1.0, 1.0], size=(4, 2))).astype(np.float32)
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(2, name="out")])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    rigl = kpl.callbacks.RigL(0.9, (inputs, labels), fraction=0.5, frequency=10)
    model.fit(inputs, labels, batch_size=32, epochs=20, verbose=0, callbacks=[rigl])
    assert (model.layers[0].get_weights()[0][:4] != 0).all()  # these 8 are all that 8 weights can be
    assert model.evaluate(inputs, labels, verbose=0) < 1e-3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (make_data()[0], r"needs labels, but the data is an array of shape \(48, 12\)"),
        ((make_data()[0], make_data()[1][:5]), r"different lengths"),
        (iter(()), r"can be read only once"),
        (None, r"There is no data; give data=\(inputs, labels\)"),
    ],
)
def test_bad_data_is_refused_before_the_first_batch(data: Any, message: str) -> None:
    model = make_model()
    before = model.get_weights()
    with pytest.raises(kpl.InvalidDataError, match=message):
        train(model, kpl.callbacks.RigL(0.8, data, frequency=2))
    assert_untouched(model, before)


def test_errors_of_the_model_and_the_batch_size() -> None:
    with pytest.raises(kpl.InvalidDataError, match=r"batch_size=0"):
        kpl.callbacks.RigL(0.8, make_data(), batch_size=0)
    model = make_model()
    before = model.get_weights()
    with pytest.raises(kpl.InvalidScheduleError, match=r"first update is due at step 100"):
        train(model, kpl.callbacks.RigL(0.8, make_data()))
    assert_untouched(model, before)
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    model.compile("sgd")
    before = model.get_weights()
    with pytest.raises(kpl.InvalidModelError, match=r"compiled without a loss"):
        train(model, kpl.callbacks.RigL(0.8, make_data(), frequency=2))
    assert_untouched(model, before)
