"""Training in stages, and what is said of schedules that cannot act."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab.callbacks import SET, Prune, RigL, UpdateMasks

from .training import BATCH, ROWS, Probe, compiled, data, dense

STEPS = ROWS // BATCH
X, Y = data()
O = keras.optimizers  # noqa: E741
S = kpl.schedules

pytestmark = pytest.mark.backends


def fit(model: keras.Model, *callbacks: Any, epochs: int = 2, **options: Any) -> list[str]:
    """Train, and give what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", kpl.PruningWarning)
        model.fit(X, Y, BATCH, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)
    return [str(each.message) for each in caught if issubclass(each.category, kpl.PruningWarning)]


LATE = {
    "ends later": S.Polynomial(0.0, 0.9, end_step=3000),
    "begins later": S.Polynomial(0.0, 0.9, begin_step=1000, end_step=3000),
    "one shot later": S.OneShot(0.9, step="5ep"),
    "rounds later": S.Iterative(0.5, rounds=3, frequency="1ep", begin_step="1ep"),
    "a step too late": S.OneShot(0.9, step=2 * STEPS + 1),
}


@pytest.mark.parametrize("name", LATE)
def test_a_schedule_that_ends_after_training_warns(name: str) -> None:
    (message,) = fit(compiled(dense()), Prune(LATE[name]))
    assert message.startswith(f"Training ends at step {2 * STEPS}.")
    assert repr(LATE[name]) in message
    assert f"{LATE[name](1 << 40, STEPS):.2%}" in message


@pytest.mark.parametrize(
    "schedule",
    [
        0.5,
        S.OneShot(0.5, step=2 * STEPS),
        S.Polynomial(0.0, 0.5, end_step=2 * STEPS, frequency=100),
        S.OneShot(0.5, step="1ep"),
    ],
)
def test_a_schedule_that_comes_to_its_end_does_not(schedule: Any) -> None:
    model = compiled(dense())
    assert fit(model, Prune(schedule)) == []
    assert kpl.sparsity(model) == 0.5


def test_steps_are_counted_as_the_optimizer_counts_them() -> None:
    accumulating = O.Adam(0.01, gradient_accumulation_steps=3)
    (message,) = fit(compiled(dense(), accumulating), Prune(S.OneShot(0.5, step=2 * STEPS)))
    assert message.startswith(f"Training ends at step {2 * STEPS // 3}.")


def test_later_calls_of_one_training_are_not_warned_of_again() -> None:
    model, prune = compiled(dense()), Prune(S.Polynomial(0.0, 0.5, end_step=6 * STEPS, frequency=3))
    assert [len(fit(model, prune)) for _ in range(3)] == [1, 0, 0]
    assert kpl.sparsity(model) == 0.5


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_a_training_of_unknown_length_says_nothing() -> None:
    model, prune = compiled(dense()), Prune(S.OneShot(0.5, step=1000))

    def batches() -> Any:
        for start in range(0, ROWS, BATCH):
            yield X[start : start + BATCH], Y[start : start + BATCH]

    with warnings.catch_warnings():
        warnings.simplefilter("error", kpl.PruningWarning)
        model.fit(batches(), verbose=0, shuffle=False, callbacks=[prune])


@pytest.mark.parametrize(
    "make", [lambda: SET(0.5, frequency=100, end_step=200), lambda: RigL(0.5, (X, Y), end_step=200)]
)
def test_random_masks_that_never_move_warn(make: Any) -> None:
    (message,) = fit(compiled(dense()), make())
    assert "never move" in message


@pytest.mark.parametrize("gradients", ["masked", "dense"])
def test_wrapped_layers_warn_too(gradients: Any) -> None:
    late = compiled(kpl.layers.wrap(dense(), S.Polynomial(0.0, 0.5, end_step=1000)))
    (message,) = fit(late, UpdateMasks())
    assert "Layer 'hidden'" in message
    model = compiled(kpl.layers.wrap(dense(), 0.5, gradients=gradients))
    messages = fit(model, UpdateMasks(frequency=1000))
    assert len(messages) == (gradients == "dense")


def test_a_layer_that_loses_all_its_weights_warns_once() -> None:
    model = dense()
    model.get_layer("out").kernel.assign(np.full((16, 4), 1e-6))
    compiled(model, O.SGD(1e-9))
    (message,) = fit(model, Prune(S.Polynomial(0.0, 0.6, end_step=9, frequency=3)), epochs=3)
    assert "All weights of" in message
    assert "out/kernel" in message


# Stages ----------------------------------------------------------------------------------------------------------


def test_compiled_anew_the_masks_hold_and_the_schedule_counts_anew() -> None:
    model, prune = compiled(dense()), Prune(S.Polynomial(0.0, 0.75, end_step=2 * STEPS, frequency=4))
    assert fit(model, prune) == []
    masks = prune.masks
    compiled(model, O.SGD(1e-3))
    probe = Probe(prune)
    assert fit(model, prune, probe) == []
    assert set(probe.zeros) == {192}
    assert prune.masks == masks


def test_a_second_stage_that_goes_further() -> None:
    """The schedule is another one, in the same callback: it takes over where it passes the masks."""
    model, prune = compiled(dense()), Prune(0.5)
    fit(model, prune)
    first = prune.masks
    prune.schedule = S.Polynomial(0.25, 0.75, end_step=2 * STEPS, frequency=1)
    compiled(model)
    probe = Probe(prune)
    fit(model, prune, probe)
    asked = [prune.schedule(step) for step in range(1, 2 * STEPS + 1)]
    assert probe.zeros == [max(128, int(np.floor(sparsity * 256 + 0.5))) for sparsity in asked]
    assert first is not None
    assert all(not (prune.masks[path] & ~first[path]).any() for path in first)


@pytest.mark.parametrize("gradients", ["masked", "dense"])
def test_wrapped_layers_keep_their_sparsity_too(gradients: Any) -> None:
    schedule = S.Polynomial(0.0, 0.75, end_step=2 * STEPS, frequency=4)
    model = compiled(kpl.layers.wrap(dense(), schedule, gradients=gradients))
    update = UpdateMasks(frequency=2)
    fit(model, update)
    compiled(model)
    seen: list[float] = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.extend(layer.masks.sparsity for layer in self.model.layers)

    fit(model, update, Look())
    assert set(seen) == {0.75}


def test_random_masks_stay_where_a_stage_begins() -> None:
    model, sparse = compiled(dense()), SET(0.5, frequency=4, end_step=2 * STEPS)
    fit(model, sparse)
    masks = sparse.masks
    kernels = {item.path: item.value() for item in kpl.prunable(model)}
    compiled(model, O.SGD(0.0))
    sparse.frequency, sparse.end_step = S.Step(100), S.Step(200)
    fit(model, sparse)
    assert sparse.masks == masks
    for item in kpl.prunable(model):
        np.testing.assert_array_equal(item.value(), kernels[item.path])


# The best model --------------------------------------------------------------------------------------------------


class Falling(keras.callbacks.Callback):
    """Puts a figure into the logs that is best in the first epoch, as an accuracy is while a model is pruned."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["figure"] = float(epoch)


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_best_of_those_that_are_pruned(order: str, tmp_path: Any) -> None:
    best = keras.callbacks.EarlyStopping("figure", mode="min", patience=2, restore_best_weights=True)
    saved = keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), "figure", mode="min", save_best_only=True)
    prune = Prune(S.Polynomial(0.0, 0.75, end_step=3 * STEPS, frequency=4), reset_until_pruned=[best, saved])
    model = compiled(dense())
    fit(model, *([Falling(), best, saved, prune] if order == "before" else [Falling(), prune, best, saved]), epochs=8)
    assert kpl.sparsity(model) == 0.75
    assert best.best == 3 - 1  # the epoch at whose end the schedule is done
    assert best.stopped_epoch == best.best + 2
    assert kpl.sparsity(keras.saving.load_model(tmp_path / "best.keras")) == 0.75


def test_without_it_the_place_in_the_list_decides() -> None:
    for order, sparsity in (("before", 0.75), ("after", 0.0)):
        best = keras.callbacks.EarlyStopping("figure", mode="min", patience=9, restore_best_weights=True)
        prune = Prune(S.OneShot(0.75, step=STEPS + 1))
        model = compiled(dense())
        fit(model, *([Falling(), best, prune] if order == "before" else [Falling(), prune, best]))
        assert kpl.sparsity(model) == sparsity


def test_only_callbacks_that_look_for_the_best() -> None:
    with pytest.raises(kpl.UnknownNameError, match="CSVLogger, which remembers no best model"):
        Prune(0.5, reset_until_pruned=[keras.callbacks.CSVLogger("log.csv")])
