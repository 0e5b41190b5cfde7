from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import keras_prunelab as kpl

from .training import BATCH, ROWS, L, array, compiled, data, dense

pytestmark = [
    pytest.mark.backends,
    # Most schedules here are made to end after the training, so that it can be cut anywhere.
    pytest.mark.filterwarnings("ignore:Training ends at step:keras_prunelab.PruningWarning"),
]

X, Y = data()
STEPS = ROWS // BATCH
EPOCHS = 3
O = keras.optimizers  # noqa: E741
SCHEDULE = kpl.schedules.Polynomial(0.25, 0.875, begin_step=2, end_step=15, frequency=2)


class Cut(keras.callbacks.Callback):
    """Ends the training as an interruption would, after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


class Trace(keras.callbacks.Callback):
    """The weights at the end of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[list[np.ndarray]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.weights.append([np.array(weight) for weight in self.model.get_weights()])


def fit(model: keras.Model, *callbacks: Any, **options: Any) -> None:
    model.fit(X, Y, BATCH, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=list(callbacks), **options)


def state(model: keras.Model) -> dict[str, np.ndarray]:
    return {variable.path: np.array(array(variable)) for variable in [*model.variables, *model.optimizer.variables]}


def assert_same_state(one: keras.Model, other: keras.Model) -> None:
    first, second = list(state(one).values()), list(state(other).values())
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        if keras.config.backend() == "jax":  # XLA orders sums as it likes from one compilation to the next
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        else:
            assert_array_equal(a, b)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adam": lambda: O.Adam(0.01),
    "accumulating": lambda: O.AdamW(0.01, gradient_accumulation_steps=2),
    "scaled": lambda: O.LossScaleOptimizer(O.SGD(0.1, momentum=0.9)),
}


def assert_same_masks(one: kpl.callbacks.Prune, other: kpl.callbacks.Prune) -> None:
    """Of two models, whose paths differ."""
    assert one.masks is not None
    assert other.masks is not None
    for mine, its in zip(one.masks.values(), other.masks.values(), strict=True):
        assert_array_equal(mine, its)


@pytest.mark.parametrize(
    ("optimizer", "cut", "order"),
    [
        ("adam", 1, 1),
        ("adam", 8, -1),
        ("adam", 13, 1),
        ("accumulating", 3, -1),
        ("accumulating", 8, 1),
        ("scaled", 14, 1),
    ],
)
def test_a_run_that_was_cut_anywhere_ends_as_the_uncut_one(
    tmp_path: Path, optimizer: str, cut: int, order: int
) -> None:
    uncut, whole = compiled(dense(), OPTIMIZERS[optimizer]()), kpl.callbacks.Prune(SCHEDULE)
    fit(uncut, whole)

    def backup() -> Any:
        return keras.callbacks.BackupAndRestore(tmp_path, save_freq=1, delete_checkpoint=False)

    first = compiled(dense(), OPTIMIZERS[optimizer]())
    with pytest.raises(KeyboardInterrupt):
        fit(first, *[kpl.callbacks.Prune(SCHEDULE), backup()][::order], Cut(cut))
    resumed, prune = compiled(dense(seed=7), OPTIMIZERS[optimizer]()), kpl.callbacks.Prune(SCHEDULE)
    # Keras counts the batches of an epoch from its beginning again: give it what is left of the epoch that was cut.
    left = cut % STEPS * BATCH
    rest = [prune, backup()][::order]
    if left:
        epoch = cut // STEPS
        resumed.fit(X[left:], Y[left:], BATCH, epochs=epoch + 1, shuffle=False, verbose=0, callbacks=rest)
        resumed._initial_epoch = None  # BackupAndRestore leaves it there
        fit(resumed, prune, initial_epoch=epoch + 1)
    else:
        fit(resumed, *rest)
    assert_same_masks(prune, whole)
    assert_same_state(resumed, uncut)


def test_a_checkpoint_is_sparse_and_plain_keras_takes_it_up(tmp_path: Path) -> None:
    model, trace = compiled(dense()), Trace()
    path = tmp_path / "at-{epoch}.keras"
    fit(model, keras.callbacks.ModelCheckpoint(path), kpl.callbacks.Prune(SCHEDULE), trace)
    code = (
        "import json, sys, warnings\n"
        "import keras, numpy as np\n"
        "warnings.simplefilter('error')\n"
        "warnings.filterwarnings('ignore', message='__array__ implementation')\n"
        "for path in sys.argv[1:]:\n"
        "    model = keras.saving.load_model(path)\n"
        "    kernels = [np.asarray(keras.ops.convert_to_numpy(w)) for w in model.weights if w.name == 'kernel']\n"
        "    zeros = sum(int((kernel == 0).sum()) for kernel in kernels)\n"
        "    moments = [v for v in model.optimizer.variables if 'momentum' in v.path and 'kernel' in v.path]\n"
        "    filled = [float(np.abs(np.asarray(keras.ops.convert_to_numpy(v))).max()) for v in moments]\n"
        "    count = int(np.asarray(keras.ops.convert_to_numpy(model.optimizer.iterations)))\n"
        "    print(json.dumps([zeros, count, min(filled), 'keras_prunelab' in sys.modules]))\n"
    )
    arguments = [sys.executable, "-c", code, *(str(path).format(epoch=epoch) for epoch in (1, 2, 3))]
    done = subprocess.run(arguments, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert "Skipping variable loading" not in done.stderr
    for epoch, line in zip((1, 2, 3), done.stdout.splitlines()[-3:], strict=True):
        zeros, count, smallest, imported = json.loads(line)
        assert zeros == sum(int((weight == 0).sum()) for weight in trace.weights[epoch * STEPS - 1][::2])
        assert count == epoch * STEPS
        assert smallest > 0
        assert not imported


@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
def test_going_on_from_a_checkpoint(tmp_path: Path, ending: str) -> None:
    """Saved after one epoch, loaded into a model built anew, and trained to the end with the same arguments."""
    uncut, whole = compiled(dense()), kpl.callbacks.Prune(SCHEDULE)
    fit(uncut, whole)
    path = tmp_path / f"one.{ending}"
    saving = keras.callbacks.ModelCheckpoint(path, save_weights_only=ending != "keras")
    model = compiled(dense())
    model.fit(X, Y, BATCH, epochs=1, shuffle=False, verbose=0, callbacks=[kpl.callbacks.Prune(SCHEDULE), saving])
    if ending == "keras":
        resumed = keras.saving.load_model(path)
    else:
        resumed = compiled(dense(seed=9))
        resumed.optimizer.build(resumed.trainable_variables)
        resumed.load_weights(path)
    prune = kpl.callbacks.Prune(SCHEDULE)
    fit(resumed, prune, initial_epoch=1)
    assert_same_masks(prune, whole)
    assert_array_equal(array(resumed.get_layer("hidden").kernel) == 0, array(uncut.get_layer("hidden").kernel) == 0)


@pytest.mark.skipif(importlib.util.find_spec("orbax") is None, reason="orbax-checkpoint is not installed")
def test_orbax(tmp_path: Path) -> None:
    def graph() -> keras.Model:
        # Keras finds no variable of a Sequential again: the paths of a loaded one lack its name.
        keras.utils.set_random_seed(1)
        tensor = keras.Input((12,))
        return keras.Model(tensor, L.Dense(4, name="out")(L.Dense(16, "relu", name="hidden")(tensor)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of orbax and its packages
        uncut, whole = compiled(graph()), kpl.callbacks.Prune(SCHEDULE)
        fit(uncut, whole)
        model = compiled(graph())
        saving = keras.callbacks.OrbaxCheckpoint(str(tmp_path / "orbax"), save_freq="epoch")
        model.fit(X, Y, BATCH, epochs=1, shuffle=False, verbose=0, callbacks=[kpl.callbacks.Prune(SCHEDULE), saving])
        saving.wait_until_finished()
        resumed = keras.saving.load_model(str(tmp_path / "orbax"))
        assert kpl.sparsity(resumed) == kpl.sparsity(model) > 0
        prune = kpl.callbacks.Prune(SCHEDULE)
        fit(resumed, prune, initial_epoch=1)
    assert kpl.sparsity(resumed) == kpl.sparsity(uncut)
    assert_same_masks(prune, whole)


def test_weights_loaded_in_the_midst_of_fit(tmp_path: Path) -> None:
    """A callback that goes back to a checkpoint of this run: the masks and the schedule go back with it."""
    path = tmp_path / "then.weights.h5"

    class Back(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                self.model.save_weights(path)
            if epoch == 1:
                self.model.load_weights(path)

    model, prune, trace = compiled(dense()), kpl.callbacks.Prune(SCHEDULE), Trace()
    fit(model, prune, Back(), trace)
    for before, after in zip(trace.weights[STEPS : 2 * STEPS], trace.weights[2 * STEPS :], strict=True):
        for one, other in zip(before, after, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)
            assert_array_equal(one == 0, other == 0)


def test_a_dense_model_with_a_past_counts_from_now(caplog: pytest.LogCaptureFixture) -> None:
    model = compiled(dense())
    fit(model)
    prune = kpl.callbacks.Prune(kpl.schedules.OneShot(0.5, step=4))
    with caplog.at_level("INFO", "keras_prunelab"):
        fit(model, prune, trace := Trace())
    zeros = [sum(int((weight == 0).sum()) for weight in weights[::2]) for weights in trace.weights]
    assert [count > 0 for count in zeros] == [step >= 4 for step in range(1, EPOCHS * STEPS + 1)]
    assert "without pruning" in caplog.text


def test_a_callback_that_pruned_a_network_of_other_shapes_begins_anew() -> None:
    prune = kpl.callbacks.Prune(0.5)
    fit(compiled(dense()), prune)
    narrow = keras.Sequential([keras.Input((12,)), keras.layers.Dense(8), keras.layers.Dense(4)])
    fit(compiled(narrow), prune)
    assert kpl.sparsity(narrow) == 0.5
    assert prune.masks is not None
    assert list(prune.masks.shapes.values()) == [(12, 8), (8, 4)]


def test_layers_by_other_names_take_the_masks_up() -> None:
    assert L is keras.layers
    model = compiled(dense())
    prune = kpl.callbacks.Prune(SCHEDULE)
    model.fit(X, Y, BATCH, epochs=1, verbose=0, callbacks=[prune])
    clone = compiled(keras.models.clone_model(model))
    clone.set_weights(model.get_weights())
    clone.fit(X, Y, BATCH, epochs=1, verbose=0, callbacks=[kpl.callbacks.Prune(0.875, masks="from_zeros")])
    assert prune.masks is not None
    for mine, its in zip(prune.masks.values(), kpl.prunable(clone), strict=True):
        assert not its.value()[~mine].any()
