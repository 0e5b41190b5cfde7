"""Sparse evolutionary training: exact counts at every moment, and masks from the definition in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab.callbacks._dynamic_sparse import rewire
from tests.keras_prunelab.sparse_training import (
    BATCH,
    HIDDEN,
    INPUTS,
    ON_TORCH,
    OUTPUTS,
    STEPS,
    Array,
    Cut,
    Probe,
    assert_same_weights,
    assert_untouched,
    kernels,
    make_data,
    make_model,
    train,
)

pytestmark = pytest.mark.backends

SIZES = {"hidden": INPUTS * HIDDEN, "out": HIDDEN * OUTPUTS}
# Erdos-Renyi: the density of a layer goes with (inputs + outputs) / (inputs * outputs), here up to a common factor.
DENSITIES = {"hidden": (INPUTS + HIDDEN) / (INPUTS * HIDDEN), "out": (HIDDEN + OUTPUTS) / (HIDDEN * OUTPUTS)}


def erk_zeros(sparsity: float) -> dict[str, int]:
    """By the definition, where no layer would be more than dense."""
    total = sum(SIZES.values())
    factor = (1 - sparsity) * total / sum(DENSITIES[name] * SIZES[name] for name in SIZES)
    zeros = {name: SIZES[name] * (1 - factor * DENSITIES[name]) for name in SIZES}
    assert min(zeros.values()) >= 0
    whole = {name: int(count) for name, count in zeros.items()}
    missing = int(sparsity * total + 0.5) - sum(whole.values())
    for name in sorted(zeros, key=lambda name: whole[name] - zeros[name])[:missing]:
        whole[name] += 1
    return whole


def by_definition(kept: Array, values: Array, growth: Array, fraction: float) -> Array:
    """Sort what is kept by magnitude, drop the first ones; sort what is free by growth, take the last ones."""
    mask = kept.ravel().copy()
    places = np.flatnonzero(mask)
    count = int(np.floor(fraction * len(places) + 0.5))
    mask[places[np.argsort(np.abs(values.ravel()[places]), kind="stable")[:count]]] = False
    free = np.flatnonzero(~mask)
    mask[free[np.argsort(-growth.ravel()[free], kind="stable")[:count]]] = True
    return mask.reshape(kept.shape)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("density", [0.02, 0.3, 0.9, 1.0])
def test_rewired_by_definition(density: float, fraction: float) -> None:
    rng = np.random.default_rng(0)
    kept = rng.random((3, 3, 5, 7)) < density
    # Few distinct numbers, so that many are equal.
    values, growth = np.round(rng.normal(size=kept.shape), 1) * kept, np.round(rng.random(kept.shape), 1)
    found = rewire(kept, values, growth, fraction)
    np.testing.assert_array_equal(found, by_definition(kept, values, growth, fraction))
    assert np.count_nonzero(found) == np.count_nonzero(kept)


def test_masks_of_a_run_by_definition() -> None:
    """Weights that do not learn: all that happens is the draws, which are the same on every backend."""
    model = make_model(keras.optimizers.SGD(0.0))
    dense, probe = kernels(model), Probe()
    callback = kpl.callbacks.SET(0.8, fraction=0.4, frequency=4, end_step=13, seed=7)
    masks: list[dict[str, Array]] = []
    callback.after_update.append(lambda _, now: masks.append({path.split("/")[-2]: now[path] for path in now}))
    train(model, callback, probe)
    for position, name in enumerate(("hidden", "out")):
        draws = np.random.default_rng([7, position]).random(dense[name].shape)
        mask = np.ones(draws.shape, bool)
        mask.flat[np.argsort(draws, axis=None)[: erk_zeros(0.8)[name]]] = False
        values = dense[name] * mask
        np.testing.assert_array_equal(probe.kernels[0][name], values)
        for number in (1, 2, 3):
            growth = np.random.default_rng([7, position, number]).random(draws.shape)
            mask = by_definition(mask, values, growth, 0.4)
            values = values * mask
            np.testing.assert_array_equal(masks[number - 1][name], mask)
            np.testing.assert_array_equal(probe.kernels[4 * number - 1][name], values)
        assert len(masks) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"jit_compile": False},
        {} if ON_TORCH else {"steps_per_execution": 4},
        {"optimizer": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)},
        {"optimizer": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, use_ema=True)},
        {"optimizer": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), initial_scale=2.0)},
    ],
    ids=["adam", "without jit", "executions", "accumulated", "averages", "scaled"],
)
def test_counts_are_exact_at_every_batch_end(arguments: dict[str, Any]) -> None:
    arguments = dict(arguments)
    optimizer = arguments.pop("optimizer", lambda: None)()
    model = make_model(optimizer, **arguments)
    plain = optimizer is None
    first, last = Probe(moments=plain), Probe(moments=plain)
    callback = kpl.callbacks.SET(0.8, frequency=2)
    updates: list[kpl.MaskSet] = []
    callback.after_update.append(lambda _, masks: updates.append(masks))
    train(model, first, callback, last)
    expected = erk_zeros(0.8)
    assert len(updates) > 2
    assert updates[-1] == callback.masks
    for probe in (first, last):
        for name, count in expected.items():
            assert set(probe.zeros(name)) == {count}
            for values, moments in zip(probe.kernels, probe.slots, strict=False):
                assert all(not moment[values[name] == 0].any() for moment in moments[name])
    assert {path.split("/")[-2]: np.count_nonzero(~mask) for path, mask in updates[-1].items()} == expected
    assert not np.array_equal(first.kernels[0]["hidden"] == 0, first.kernels[-1]["hidden"] == 0)


def test_grown_weights_train_from_zero_and_dropped_ones_are_the_smallest() -> None:
    model, probe = make_model(keras.optimizers.SGD(0.001)), Probe()
    train(model, kpl.callbacks.SET(0.7, frequency=3, fraction=0.25, end_step=4), probe)
    before, after, end = (probe.kernels[index]["hidden"] for index in (1, 2, -1))
    grown, dropped = (before == 0) & (after != 0), (before != 0) & (after == 0)
    assert 0 < np.count_nonzero(grown) == np.count_nonzero(dropped)
    magnitudes = np.sort(np.abs(before[before != 0]))
    bound = magnitudes[int(0.25 * magnitudes.size + 0.5) - 1]
    assert np.abs(before[dropped]).max() <= bound
    assert after[np.abs(before) > bound].all()
    assert 0 < np.abs(after[grown]).max() < 0.01  # one small step away from zero
    assert (np.abs(end[grown]) > np.abs(after[grown])).mean() > 0.9


def test_the_masks_rest_after_three_quarters() -> None:
    model, steps = make_model(), []
    callback = kpl.callbacks.SET(0.8, frequency=2)
    callback.after_update.append(lambda model, _: steps.append(int(model.optimizer.iterations) + 1))
    train(model, callback)
    assert steps == list(range(2, 18, 2))  # of 24 steps; at 18 they rest already


def test_the_masks_rest_where_fit_begins_with_a_later_epoch() -> None:
    """A new optimizer counts from zero: three quarters of the two epochs that are left, 9 of 12 steps."""
    model, steps = make_model(), []
    callback = kpl.callbacks.SET(0.8, frequency=2)
    callback.after_update.append(lambda model, _: steps.append(int(model.optimizer.iterations) + 1))
    train(model, callback, initial_epoch=2)
    assert steps == [2, 4, 6, 8]


def test_resumed_is_as_if_uncut(tmp_path: Path) -> None:
    uncut = make_model()
    train(uncut, kpl.callbacks.SET(0.8, frequency=3))
    model = make_model()
    with pytest.raises(KeyboardInterrupt):
        train(model, keras.callbacks.BackupAndRestore(tmp_path), kpl.callbacks.SET(0.8, frequency=3), Cut(2))
    again = make_model()
    train(again, kpl.callbacks.SET(0.8, frequency=3), keras.callbacks.BackupAndRestore(tmp_path))
    assert_same_weights(again, uncut)


def test_a_plain_file_is_resumed(tmp_path: Path) -> None:
    """Neither the file nor the callback says where the masks are: the weights do."""
    uncut = make_model()
    train(uncut, kpl.callbacks.SET(0.8, frequency=3, end_step=20))
    model, path = make_model(), tmp_path / "model.keras"
    train(
        model,
        kpl.callbacks.SET(0.8, frequency=3, end_step=20),
        keras.callbacks.ModelCheckpoint(path),
        epochs=2,
    )
    loaded = keras.saving.load_model(path)
    train(loaded, kpl.callbacks.SET(0.8, frequency=3, end_step=20), initial_epoch=2)
    assert_same_weights(loaded, uncut)


def test_a_weight_that_never_moved_is_found_again(tmp_path: Path) -> None:
    model, path = make_model(keras.optimizers.SGD(0.0, momentum=0.9)), tmp_path / "model.keras"
    train(model, kpl.callbacks.SET(0.8, frequency=3, end_step=20), epochs=1)
    model.save(path)
    loaded, callback = keras.saving.load_model(path), kpl.callbacks.SET(0.8, frequency=3, end_step=20)
    # Two of the kept ones, as of a unit that is never active.
    kernel = kernels(loaded)["hidden"]
    kernel.flat[np.flatnonzero(kernel)[:2]] = 0
    bias = loaded.get_layer("hidden").get_weights()[1]
    loaded.get_layer("hidden").set_weights([kernel, bias])
    for variable in loaded.optimizer.variables[2:]:
        variable.assign(np.zeros(variable.shape))
    train(loaded, callback, epochs=2, initial_epoch=1, steps_per_epoch=1)
    assert callback.masks is not None
    assert {path.split("/")[-2]: np.count_nonzero(~mask) for path, mask in callback.masks.items()} == erk_zeros(0.8)


def test_a_second_fit_goes_on() -> None:
    uncut, model = make_model(), make_model()
    train(uncut, kpl.callbacks.SET(0.8, frequency=3, end_step=20))
    callback = kpl.callbacks.SET(0.8, frequency=3, end_step=20)
    train(model, callback, epochs=2)
    train(model, callback, initial_epoch=2)
    assert_same_weights(model, uncut)


def test_a_dense_model_that_was_trained_begins_anew() -> None:
    model, steps = make_model(), []
    train(model, epochs=1)
    callback = kpl.callbacks.SET(0.5, frequency=4, scope="layer")
    callback.after_update.append(lambda model, _: steps.append(int(model.optimizer.iterations) + 1 - STEPS))
    train(model, callback, epochs=2)
    assert steps == [4, 8]
    assert {name: np.count_nonzero(value == 0) for name, value in kernels(model).items()} == {
        name: size // 2 for name, size in SIZES.items()
    }


def test_scopes_and_filters() -> None:
    model = make_model()
    train(model, kpl.callbacks.SET(0.5, frequency=2, scope=kpl.Allocation("erk", protect="last")))
    zeros = {name: np.count_nonzero(value == 0) for name, value in kernels(model).items()}
    assert zeros == {"hidden": sum(SIZES.values()) // 2, "out": 0}
    model = make_model()
    train(model, kpl.callbacks.SET(0.5, frequency=2, exclude="out"))
    assert {name: np.count_nonzero(value == 0) for name, value in kernels(model).items()} == {"hidden": 96, "out": 0}


def test_frozen_weights_stay_where_they_are() -> None:
    model = make_model()
    model.get_layer("hidden").trainable = False
    model.compile("adam", "mse")
    probe = Probe()
    train(model, kpl.callbacks.SET(0.8, frequency=2), probe)
    np.testing.assert_array_equal(probe.kernels[0]["hidden"], probe.kernels[-1]["hidden"])
    assert not np.array_equal(probe.kernels[0]["out"] == 0, probe.kernels[-1]["out"] == 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sparsity": 90}, kpl.InvalidSparsityError, r"write 0.9 for 90 %"),
        ({"fraction": 0}, kpl.InvalidScheduleError, r"fraction=0; it is a share of a layer's kept weights"),
        ({"fraction": 30}, kpl.InvalidScheduleError, r"fraction=30"),
        ({"frequency": 0}, kpl.InvalidScheduleError, r"frequency=0"),
        ({"frequency": "often"}, kpl.InvalidScheduleError, r"'often' is no moment of training"),
        ({"scope": "erdos"}, kpl.UnknownNameError, r"scope='erdos' is unknown"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        kpl.callbacks.SET(**{"sparsity": 0.8, **arguments})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"frequency": 100}, kpl.InvalidScheduleError, r"first update is due at step 100, and from step 18 on there"),
        ({"end_step": 3, "frequency": 3}, kpl.InvalidScheduleError, r"due at step 3, and from step 3 on"),
        ({"exclude": "nowhere"}, kpl.UnknownNameError, r"exclude='nowhere'"),
        ({"scope": kpl.Allocation(max_sparsity=0.5)}, kpl.InvalidSparsityError, r"out of reach"),
    ],
)
def test_errors_come_before_the_first_batch(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    model = make_model()
    before = model.get_weights()
    callback = kpl.callbacks.SET(**{"sparsity": 0.8, **arguments})
    with pytest.raises(error, match=message):
        train(model, callback)
    assert_untouched(model, before)


def test_training_of_unknown_length_needs_an_end() -> None:
    def forever() -> Any:
        while True:
            yield tuple(part[:BATCH] for part in make_data())

    class Unknown(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 3

    for arguments, message in (({"frequency": 2}, "How long the training will be"), ({}, "'1ep' counts epochs")):
        with pytest.raises(kpl.InvalidScheduleError, match=message):
            make_model().fit(forever(), shuffle=False, callbacks=[kpl.callbacks.SET(0.8, **arguments)], verbose=0)


def test_the_paper_is_named() -> None:
    for one in (kpl.callbacks.SET, kpl.callbacks.RigL):
        assert "https://arxiv.org/abs/" in (one.__doc__ or "")
