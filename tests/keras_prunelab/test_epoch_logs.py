"""What `fit` logs of the sparsity, for callbacks before and behind the one that prunes."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab.callbacks import SET, Prune, PruningSummary, RigL, UpdateMasks

from .training import BATCH, L, array, compiled, data, dense

X, Y = data()
STEP = kpl.schedules.Constant(0.75, begin_step=7)  # nothing in the first of epochs of six steps

pytestmark = [pytest.mark.backends]


class Reader(keras.callbacks.Callback):
    """Notes the logs of each epoch as it sees them, and what share of the kernels is zero then."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[dict[str, float]] = []
        self.shares: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logs.append(dict(logs))
        self.shares.append(share(self.model))

    @property
    def sparsities(self) -> list[float]:
        return [logs["sparsity"] for logs in self.logs]


def share(model: keras.Model, *names: str) -> float:
    """The share of zeros in the kernels of some layers, by default of all."""
    layers = [layer for layer in model.layers if not names or layer.name in names]
    kernels = [array(layer.weights[0]).ravel() for layer in layers]
    return float(np.mean(np.concatenate(kernels) == 0))


def fit(model: keras.Model, *callbacks: keras.callbacks.Callback, epochs: int = 2, **options: Any) -> Any:
    return model.fit(X, Y, BATCH, epochs=epochs, verbose=0, callbacks=list(callbacks), **options).history


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_every_callback_sees_it_whatever_the_order(order: tuple[int, ...], tmp_path: Path) -> None:
    callbacks = [
        Prune(STEP),
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        keras.callbacks.ModelCheckpoint(
            str(tmp_path / "at_{sparsity:.2f}.weights.h5"),
            monitor="sparsity",
            mode="max",
            save_best_only=True,
            save_weights_only=True,
        ),
    ]
    first, last = Reader(), Reader()
    model = compiled(dense())
    history = fit(model, first, *(callbacks[place] for place in order), last, epochs=3)
    assert history["sparsity"] == first.sparsities == last.sparsities == [0, 0.75, 0.75]
    assert first.shares == [0, 0.75, 0.75]
    with (tmp_path / "log.csv").open(encoding="utf-8") as file:
        assert [float(row["sparsity"]) for row in csv.DictReader(file)] == [0, 0.75, 0.75]
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["at_0.00.weights.h5", "at_0.75.weights.h5"]
    assert share(model) == kpl.sparsity(model) == 0.75


@pytest.mark.parametrize(
    ("make", "wrap"),
    [
        (lambda: [SET(0.5, frequency=2, end_step=9)], False),
        (lambda: [RigL(0.5, (X, Y), frequency=2, end_step=9)], False),
        (lambda: [UpdateMasks()], True),
        (lambda: [Prune(0.5, include="hidden"), Prune(0.5, include="out")], False),
        (lambda: [PruningSummary(verbose=0), Prune(0.5)], False),
        (lambda: [Prune(0.5), PruningSummary(verbose=0)], False),
    ],
    ids=["SET", "RigL", "UpdateMasks", "two of Prune", "a summary first", "a summary last"],
)
def test_every_callback_that_prunes_logs_it(make: Callable[[], Any], wrap: bool) -> None:
    plain = dense()
    model = compiled(kpl.layers.wrap(plain, 0.5) if wrap else plain)
    first = Reader()
    history = fit(model, first, *make())
    assert history["sparsity"] == first.sparsities
    assert history["sparsity"][-1] == kpl.sparsity(model)
    assert all(0.5 <= each < 0.52 for each in first.sparsities), "a weight that SET grows begins as zero"


@pytest.mark.parametrize("is_first", [True, False])
def test_it_is_counted_in_what_has_masks(is_first: bool) -> None:
    model = compiled(dense())
    history = fit(model, Prune(0.5, include="hidden"))
    assert history["sparsity"] == [share(model, "hidden")] * 2 == [0.5, 0.5]
    # A summary counts where it is told to.
    model, first = compiled(dense()), Reader()
    callbacks = [PruningSummary(include="out", verbose=0), Prune(0.5, include="hidden")]
    history = fit(model, first, *(callbacks if is_first else callbacks[::-1]))
    assert history["sparsity"] == first.sparsities == [0, 0]
    assert history["sparsity/out"] == [0, 0]


def test_tables_that_only_include_names_are_counted() -> None:
    model = keras.Sequential([keras.Input((3,), dtype="int32"), L.Embedding(8, 4, name="table"), L.Flatten()])
    model.compile("sgd", "mse")
    history = model.fit(np.zeros((8, 3)), np.zeros((8, 12)), verbose=0, callbacks=[Prune(0.5, include="table")]).history
    assert history["sparsity"] == [0.5]


IN_A_BATCH = pytest.param(
    "on_train_batch_end",
    marks=pytest.mark.skipif(keras.config.backend() == "jax", reason="Keras cannot evaluate there on JAX"),
)


@pytest.mark.parametrize("hook", [IN_A_BATCH, "on_epoch_begin", "on_epoch_end"])
def test_evaluating_in_a_callback_gives_what_it_always_gives(hook: str) -> None:
    model = compiled(dense(), metrics=["accuracy"])
    found: list[Any] = []

    def evaluate(*_: Any) -> None:
        found.append((model.evaluate(X, Y, verbose=0), model.evaluate(X, Y, verbose=0, return_dict=True)))

    inside = keras.callbacks.Callback()
    setattr(inside, hook, lambda *_, **__: evaluate())
    history = fit(model, Prune(0.5), inside, validation_data=(X, Y))
    assert all(len(values) == 2 and set(named) == {"loss", "accuracy"} for values, named in found)
    assert found
    assert set(history) == {"loss", "accuracy", "sparsity", "val_loss", "val_accuracy"}


class Own(keras.Model):
    """A model whose train step gives logs that are no metrics of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = L.Dense(4)

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def _get_metrics_result_or_logs(self, logs: Any) -> Any:
        return {"mine": 1.0}


def test_logs_of_the_users_own_are_kept() -> None:
    history = fit(compiled(Own()), Prune(0.5))
    assert history == {"mine": [1.0, 1.0], "sparsity": [0.5, 0.5]}


def test_nothing_is_left_in_the_model() -> None:
    model = compiled(dense())
    before = set(vars(model))
    fit(model, Prune(0.5), PruningSummary(verbose=0))
    assert not any("logs" in name for name in set(vars(model)) - before)
    assert set(fit(model)) == {"loss"}


def test_a_fit_that_was_interrupted_logs_nothing_in_the_next() -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise KeyboardInterrupt

    model = compiled(dense())
    with pytest.raises(KeyboardInterrupt):
        fit(model, PruningSummary(verbose=0), Stop())
    assert set(fit(model)) == {"loss"}
    with pytest.raises(KeyboardInterrupt):
        fit(model, PruningSummary(verbose=0), Stop())
    assert set(fit(model, Prune(0.5))) == {"loss", "sparsity"}


def test_in_a_loop_of_ones_own_those_behind_see_it() -> None:
    model = compiled(dense())
    last = Reader()
    callbacks = keras.callbacks.CallbackList([Prune(0.5), last], model=model, epochs=1, steps=1)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    callbacks.on_train_batch_begin(0)
    model.train_on_batch(X, Y)
    callbacks.on_train_batch_end(0)
    callbacks.on_epoch_end(0, {"loss": 1.0})
    callbacks.on_train_end()
    assert last.logs == [{"loss": 1.0, "sparsity": 0.5}]
