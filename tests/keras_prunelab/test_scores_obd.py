"""The score "obd" against squared gradients that are summed by hand, and where there is nothing to go by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab import scores

pytestmark = pytest.mark.backends

Array = NDArray[Any]
STEPS = 3
RNG = np.random.default_rng(0)
X, Y = (RNG.normal(size=(4 * STEPS, width)).astype(np.float32) for width in (6, 5))


def linear(optimizer: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, use_bias=False)])
    model.compile(optimizer, "mse")
    return model


def train(model: keras.Model, **options: Any) -> keras.Model:
    model.fit(X, Y, batch_size=4, epochs=1, shuffle=False, verbose=0, **options)
    return model


def score(model: keras.Model) -> Array:
    found = kpl.prunable(model)
    (only,) = scores.OBD()(scores.ScoreContext(model, found, found.values())).values()
    return only


def gradients(start: Array, step: Any) -> tuple[list[Array], Array]:
    """The gradients of the mean squared error of y = x w, and the weights after the steps."""
    weights, found = np.float64(start), []
    for batch in range(STEPS):
        x, y = (np.float64(each[4 * batch : 4 * batch + 4]) for each in (X, Y))
        found.append(2 * x.T @ (x @ weights - y) / y.size)
        weights = step(weights, found)
    return found, weights


def running(found: list[Array], decay: float) -> Array:
    total = np.zeros_like(found[0])
    for each in found:
        total = decay * total + (1 - decay) * each**2
    return total


def sums(found: list[Array], start: float) -> Array:
    return start + sum(each**2 for each in found)


@pytest.mark.parametrize(
    ("optimizer", "squares", "step"),
    [
        pytest.param(
            lambda: keras.optimizers.RMSprop(0.1, rho=0.8, epsilon=0.01),
            lambda found: running(found, 0.8),
            lambda weights, found: weights - 0.1 * found[-1] / np.sqrt(running(found, 0.8) + 0.01),
            id="RMSprop",
        ),
        pytest.param(
            lambda: keras.optimizers.Adagrad(0.1, initial_accumulator_value=0.3, epsilon=0.01),
            lambda found: sums(found, 0.3),
            lambda weights, found: weights - 0.1 * found[-1] / np.sqrt(sums(found, 0.3) + 0.01),
            id="Adagrad",
        ),
        pytest.param(
            # Without momentum; as Kingma and Ba 2015 write it with the corrections in the rate, before section 2.1.
            lambda: keras.optimizers.Adam(0.1, beta_1=0.0, beta_2=0.8, epsilon=0.01),
            lambda found: running(found, 0.8),
            lambda weights, found: (
                weights - 0.1 * np.sqrt(1 - 0.8 ** len(found)) * found[-1] / (np.sqrt(running(found, 0.8)) + 0.01)
            ),
            id="Adam",
        ),
    ],
)
def test_the_curvature_is_the_root_of_the_optimizers_squares(optimizer: Any, squares: Any, step: Any) -> None:
    model = linear(optimizer())
    found, weights = gradients(model.get_weights()[0], step)
    train(model)
    np.testing.assert_allclose(model.get_weights()[0], weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(score(model), weights**2 * np.sqrt(squares(found)) / 2, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("wrapped", [False, True])
def test_fit_prunes_what_the_optimizer_feels_least(wrapped: bool) -> None:
    # The first three inputs are tiny beside the others, so that their gradients are, too: all of them go, though the
    # weights are of one size.
    small = X * np.float32([1e-4, 1e-4, 1e-4, 1, 1, 1])
    optimizer: Any = keras.optimizers.Adam(1e-5)
    model = linear(keras.optimizers.LossScaleOptimizer(optimizer) if wrapped else optimizer)
    model.layers[0].kernel.assign(np.where(RNG.random((6, 5)) < 0.5, -0.3, 0.3))
    prune = kpl.callbacks.Prune(kpl.schedules.Constant(0.5, begin_step=2), "obd")
    model.fit(small, Y, batch_size=4, epochs=1, shuffle=False, verbose=0, callbacks=[prune])
    kernel = model.get_weights()[0]
    assert not kernel[:3].any()
    assert kernel[3:].all()


def test_layers_that_prune_themselves_can_go_by_it() -> None:
    model = linear("adam")
    wrapped = kpl.layers.wrap(model, kpl.schedules.Constant(0.4, begin_step=2), score="obd")
    wrapped.compile("adam", "mse")
    train(wrapped, callbacks=[kpl.callbacks.UpdateMasks()])
    assert kpl.sparsity(wrapped) == pytest.approx(0.4)


def test_a_file_that_was_saved_after_training_is_scored_as_the_model_was(tmp_path: Path) -> None:
    model = train(linear("adam"))
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(score(keras.saving.load_model(tmp_path / "model.keras")), score(model), rtol=1e-6)
    assert kpl.sparsity(kpl.prune(model, 0.5, "obd")) == 0.5


def test_the_optimizer_that_the_user_names_counts() -> None:
    model = linear("sgd")
    mine = keras.optimizers.Adam()
    mine.build(model.trainable_variables)
    mine.apply([keras.ops.ones((6, 5))], model.trainable_variables)
    found = kpl.prunable(model)
    context = scores.ScoreContext(model, found, found.values(), optimizers=(mine,))
    kernel = model.get_weights()[0]
    # One step on gradients of one: v = 1 - beta_2 = 0.001.
    (only,) = scores.OBD()(context).values()
    np.testing.assert_allclose(only, kernel**2 * np.sqrt(0.001) / 2, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: keras.Sequential([keras.Input((6,)), keras.layers.Dense(5)]), "needs the optimizer that trains"),
        (lambda: linear("adam"), "the model has none. Train it first"),
        (lambda: train(linear("sgd")), "remembers squared gradients.*trained by SGD, which does not"),
        (lambda: train(linear("lion")), "trained by Lion"),
    ],
)
def test_where_there_is_no_curvature_the_error_says_what_to_do(make: Any, words: str) -> None:
    with pytest.raises(kpl.InvalidModelError, match=words):
        kpl.prune(make(), 0.5, "obd")


def test_a_schedule_that_begins_before_the_first_step_is_refused() -> None:
    with pytest.raises(kpl.InvalidModelError, match="has made no step yet"):
        train(linear("adam"), callbacks=[kpl.callbacks.Prune(0.5, "obd")])


def test_a_layer_that_nothing_is_left_of_or_that_learns_nothing_is_no_end() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    aside = 0.0 * keras.layers.Dense(5, name="aside")(inputs)
    small = keras.layers.Dense(5, kernel_initializer=keras.initializers.Constant(1e-12), name="small")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(5, name="large")(inputs) + small + aside)
    model.compile(keras.optimizers.Adam(1e-12), "mse")
    schedule = kpl.schedules.Polynomial(0.0, 0.8, begin_step=1, end_step=STEPS, frequency=1)
    with pytest.warns(kpl.PruningWarning, match=r"All weights of '(small|aside)/kernel' are pruned"):
        train(model, callbacks=[kpl.callbacks.Prune(schedule, "obd")])
    # Of 90 weights 72 are zero: those of no curvature, those that are nearly zero, and 12 of 30 others.
    left = {name: np.count_nonzero(np.asarray(model.get_layer(name).kernel)) for name in ("small", "aside", "large")}
    assert left == {"small": 0, "aside": 0, "large": 18}
