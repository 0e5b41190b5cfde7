"""`fit` called again and again on one model: no new trace, and nothing of one call in the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab.callbacks import SET, Prune, Rewind, RigL, UpdateMasks

from .training import BATCH, ROWS, L, Probe, array, compiled, data

STEPS = ROWS // BATCH
X, Y = data()
O = keras.optimizers  # noqa: E741
S = kpl.schedules

pytestmark = [
    pytest.mark.backends,
    # A schedule of many calls of fit ends after most of them.
    pytest.mark.filterwarnings("ignore:Training ends at step:keras_prunelab.PruningWarning"),
]
compiling = pytest.mark.skipif(keras.config.backend() == "torch", reason="torch does not trace its train steps")


class Counting(keras.Sequential):
    """Counts how often its train step is traced."""

    traces = 0

    def train_step(self, *arguments: Any) -> Any:
        type(self).traces += 1
        return super().train_step(*arguments)


def counting(optimizer: Any = "adam", wrap: bool = False) -> Counting:
    keras.utils.set_random_seed(1)
    hidden: Any = L.Dense(16, "relu", name="hidden")
    if wrap:
        hidden = kpl.layers.Pruned(hidden, S.Polynomial(0.0, 0.75, end_step=3 * STEPS, frequency=2))
    return compiled(
        Counting([keras.Input((12,)), hidden, L.Dense(16, "relu", name="twin"), L.Dense(4, name="out")]), optimizer
    )


def fit(model: keras.Model, *callbacks: Any, epochs: int = 1, **options: Any) -> int:
    """Train, and count the traces of the train step."""
    Counting.traces = 0
    model.fit(X, Y, BATCH, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)
    return Counting.traces


POLYNOMIAL = S.Polynomial(0.0, 0.875, end_step=4 * STEPS, frequency=3)
CALLBACKS: dict[str, Callable[[], Sequence[Any]]] = {
    "Prune": lambda: [Prune(POLYNOMIAL)],
    "Prune at every step": lambda: [Prune(S.Polynomial(0.0, 0.875, end_step=4 * STEPS, frequency=1))],
    "two of Prune": lambda: [Prune(0.5, include="hidden"), Prune(POLYNOMIAL, include="out")],
    "SET": lambda: [SET(0.5, frequency=2, end_step=4 * STEPS)],
    "RigL": lambda: [RigL(0.5, (X, Y), frequency=2, end_step=4 * STEPS)],
    "rewound weights": lambda: [Prune(S.Iterative(0.5, rounds=2, frequency=3, begin_step=3)), Rewind()],
    "UpdateMasks": lambda: [UpdateMasks()],
}


@compiling
@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("anew", [True, False], ids=["new callbacks", "the same callbacks"])
def test_no_trace_from_the_second_fit_on(name: str, anew: bool) -> None:
    model = counting(wrap=name == "UpdateMasks")
    callbacks = CALLBACKS[name]()
    assert fit(model, *callbacks) > 0
    for _ in range(3):
        if name == "rewound weights":
            compiled(model)  # a new callback does not know what the weights were
            fit(model, *CALLBACKS[name]())
            return
        assert fit(model, *(CALLBACKS[name]() if anew else callbacks)) == 0
    fit(model)  # the first without a callback
    assert fit(model) == 0
    assert fit(model, *CALLBACKS[name]()) == 0
    assert fit(model) == 0


@compiling
def test_a_rewinding_callback_goes_on_without_a_trace() -> None:
    model = counting(O.SGD(O.schedules.CosineDecay(0.1, 4 * STEPS)))
    callbacks = [Prune(S.Iterative(0.5, rounds=4, frequency=STEPS, begin_step=STEPS)), Rewind(what="learning_rate")]
    fit(model, *callbacks)
    assert [fit(model, *callbacks) for _ in range(3)] == [0, 0, 0]
    fit(model)
    assert fit(model) == 0


def test_one_epoch_at_a_time_is_as_all_at_once() -> None:
    ends = []
    for calls in (1, 4):
        model = counting()
        prune = Prune(POLYNOMIAL)
        for _ in range(calls):
            fit(model, prune, epochs=4 // calls, shuffle=False)
        ends.append(model.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_plain_fit_in_between_trains_all_weights() -> None:
    """The plain train function knows no masks, before and after it was kept beside the other."""
    model = counting()
    for _ in range(2):
        fit(model, Prune(0.75))
        assert kpl.sparsity(model) == 0.75
        fit(model)
        assert kpl.sparsity(model) < 0.5


def test_masks_of_the_same_shape_are_not_mixed_up() -> None:
    """A trace for one layer's masks must not serve for those of another that looks just like it."""
    keras.utils.set_random_seed(1)
    twins = [L.Dense(12, "relu", name=name) for name in ("one", "two")]
    model = compiled(keras.Sequential([keras.Input((12,)), *twins, L.Dense(4, name="out")]), O.SGD(0.1))
    for name, other in (("one", "two"), ("two", "one"), ("one", "two")):
        prune = Prune(0.5, include=name)
        probe = Probe(prune)
        fit(model, prune, probe)
        assert probe.zeros == [72] * STEPS
        assert np.mean(array(model.get_layer(other).kernel) == 0) < 0.5


CHANGES: dict[str, Callable[[keras.Model], Any]] = {
    "compiled": lambda model: compiled(model),
    "another optimizer": lambda model: compiled(model, O.SGD(0.1, momentum=0.9)),
    "the same optimizer": lambda model: compiled(model, model.optimizer),
    "steps at once": lambda model: compiled(model, steps_per_execution=1 if keras.config.backend() == "torch" else 2),
    "made by hand": lambda model: model.make_train_function(force=True),
    "frozen": lambda model: setattr(model.get_layer("twin"), "trainable", False),
    "frozen and compiled": lambda model: (setattr(model.get_layer("twin"), "trainable", False), compiled(model)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_kept_is_forgotten_where_training_changes(change: str) -> None:
    if change == "frozen" and keras.config.backend() == "jax":
        pytest.skip("Keras asks for compile() there")
    model = counting()
    fit(model, Prune(0.5))
    CHANGES[change](model)
    twin = array(model.get_layer("twin").kernel).copy()
    prune = Prune(0.75, exclude="twin")
    probe = Probe(prune)
    fit(model, prune, probe)
    total = kpl.prunable(model, exclude="twin").total
    assert set(probe.zeros) == {0.75 * total}
    assert bool((array(model.get_layer("twin").kernel) == twin).all()) is ("frozen" in change)


@compiling
def test_thawed_layers_train_again() -> None:
    model = counting()
    model.get_layer("twin").trainable = False
    compiled(model)
    fit(model, Prune(0.5))
    model.get_layer("twin").trainable = True
    compiled(model)
    before = array(model.get_layer("twin").kernel).copy()
    fit(model, Prune(0.5))
    kernel = array(model.get_layer("twin").kernel)
    assert np.count_nonzero(kernel[before != 0] != before[before != 0]) > 0


def test_nothing_is_left_that_a_user_sees() -> None:
    model = counting()
    model.optimizer.build(model.trainable_variables)
    variables, attributes = model.optimizer.variables, set(vars(model.optimizer))
    fit(model, Prune(POLYNOMIAL), epochs=2)
    assert set(vars(model.optimizer)) == attributes
    assert all(one is other for one, other in zip(model.optimizer.variables, variables, strict=True))
    assert "train_step" not in vars(model)


def test_a_method_of_the_optimizer_that_a_user_replaced_is_used_and_put_back() -> None:
    model, calls = counting(), []
    plain = model.optimizer.apply

    def apply(*arguments: Any) -> None:
        calls.append(1)
        plain(*arguments)

    vars(model.optimizer)["apply"] = apply
    fit(model, Prune(0.5, include="hidden"), Prune(0.75, include="twin"))
    assert calls
    assert vars(model.optimizer)["apply"] is apply
    assert [kpl.sparsity(model, include=name) for name in ("hidden", "twin")] == [0.5, 0.75]


def test_a_train_function_that_is_made_anew_within_fit_knows_no_masks_afterwards() -> None:
    class Anew(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                self.model.make_train_function(force=True)

    model = counting()
    fit(model, Prune(0.75), Anew(), epochs=2)
    assert kpl.sparsity(model) == 0.75
    fit(model)
    assert kpl.sparsity(model) < 0.5


def test_interrupted_and_fitted_again() -> None:
    model = counting()

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fit(model, Prune(0.5), Stop())
    fit(model, Prune(0.75))
    assert kpl.sparsity(model) == 0.75
    fit(model)
    assert kpl.sparsity(model) < 0.5


def test_train_on_batch_between_two_fits() -> None:
    model = counting()
    fit(model, Prune(0.5))
    model.train_on_batch(X[:BATCH], Y[:BATCH])
    assert kpl.sparsity(model) < 0.5  # without a callback there are no masks
    fit(model, Prune(0.5))
    assert kpl.sparsity(model) == 0.5
