"""The loss that scores follow is the whole of what `fit` minimizes, against gradients written out in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab import scores

pytestmark = pytest.mark.backends

Array = NDArray[Any]
L, ops = keras.layers, keras.ops
COUNT = 12
RNG = np.random.default_rng(4)
X = RNG.normal(size=(COUNT, 5))
Y = RNG.normal(size=(COUNT, 3))
WEIGHTS = RNG.uniform(0.5, 2.0, COUNT)


@keras.saving.register_keras_serializable(package="test_scores_own_loss")
class AddsLoss(L.Layer):
    """Adds five times the mean square of what goes through."""

    def call(self, inputs: Any) -> Any:
        self.add_loss(5.0 * ops.mean(ops.square(inputs)))
        return inputs


def network(kind: type[keras.Model] = keras.Model, *, adds: bool = False, **dense: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((5,))
    hidden = L.Dense(4, "tanh", name="a", **dense)(inputs)
    hidden = AddsLoss()(hidden) if adds else hidden
    return kind(inputs, L.Dense(3, name="b", **dense)(hidden))


def slopes(model: keras.Model, output_slope: Callable[[Array], Array], hidden_slope: float = 0.0) -> list[Array]:
    """The gradients of both kernels, given the loss's gradient with respect to the outputs."""
    first, bias, second, other = (weight.astype(np.float64) for weight in model.get_weights())
    hidden = np.tanh(X @ first + bias)
    error = output_slope(hidden @ second + other)
    back = (error @ second.T + hidden_slope * 2 * hidden / hidden.size) * (1 - hidden**2)
    return [X.T @ back, hidden.T @ error]


def square(outputs: Array) -> Array:
    return 2 * (outputs - Y) / Y.size


def nothing(outputs: Array) -> Array:
    return np.zeros_like(outputs)


def first_column(outputs: Array) -> Array:
    found = np.zeros_like(outputs)
    found[:, 0] = 2 * (outputs[:, 0] - 1) / COUNT
    return found


class OwnLoss(keras.Model):
    """Looks at the first output only, and at no label."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        return ops.mean(ops.square(y_pred[:, 0] - 1.0))


class OldLoss(keras.Model):
    """As models of before Keras 3.3 have it, without `training`."""

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
        return ops.mean(ops.square(y_pred[:, 0] - 1.0))


def check(model: keras.Model, expected: list[Array], data: Any = (X, Y)) -> None:
    """`movement` is -w times the gradient, so it shows the sign, too; whatever the batches are."""
    found = kpl.prunable(model)
    for size in (COUNT, 4):
        given = scores.Movement(size)(scores.ScoreContext(model, found, found.values(), data))
        for (path, score), slope in zip(given.items(), expected, strict=True):
            weight = found.values()[path].astype(np.float64)
            np.testing.assert_allclose(score, -weight * slope, rtol=2e-4, atol=1e-6, err_msg=path)


def test_what_layers_add_is_part_of_it() -> None:
    model = network(adds=True)
    model.compile("sgd", "mse")
    check(model, slopes(model, square, 5.0))


@pytest.mark.parametrize("data", [(X, Y), X, (X, None)], ids=["labels", "inputs", "None"])
def test_what_layers_add_is_enough(data: Any) -> None:
    model = network(adds=True)
    model.compile("sgd")
    check(model, slopes(model, nothing, 5.0), data)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("kind", [OwnLoss, OldLoss])
def test_a_loss_of_the_models_own(kind: type[keras.Model], compiled: bool) -> None:
    model = network(kind)
    if compiled:
        model.compile("sgd")
    for data in ((X, Y), X):
        check(model, slopes(model, first_column), data)
    found = kpl.prunable(model)
    last = list(scores.SNIP()(scores.ScoreContext(model, found, found.values(), X)).values())[1]
    assert last[:, 0].all()
    assert not last[:, 1:].any()


def test_regularizers_alone() -> None:
    model = network(kernel_regularizer=keras.regularizers.L2(0.1))
    model.compile("sgd")
    check(model, [0.2 * model.get_weights()[index].astype(np.float64) for index in (0, 2)])


def test_sample_weights_and_loss_weights() -> None:
    model = network()
    model.compile("sgd", "mse", loss_weights=3.0)

    def expected(outputs: Array) -> Array:
        return 3 * WEIGHTS[:, None] * square(outputs)

    check(model, slopes(model, expected), (X, Y, WEIGHTS))


def test_several_outputs_by_name() -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((5,), name="in")
    hidden = L.Dense(4, "tanh", name="a")(inputs)
    model = keras.Model({"in": inputs}, {"one": L.Dense(3, name="one")(hidden), "two": L.Dense(2, name="two")(hidden)})
    model.compile("sgd", {"one": "mse", "two": "mse"}, loss_weights={"one": 2.0, "two": 0.5})
    second = np.random.default_rng(5).normal(size=(COUNT, 2))
    weights = {weight.path: keras.ops.convert_to_numpy(weight).astype(np.float64) for weight in model.weights}
    found = np.tanh(X @ weights["a/kernel"] + weights["a/bias"])
    errors = {
        "one": 2.0 * 2 * (found @ weights["one/kernel"] + weights["one/bias"] - Y) / Y.size,
        "two": 0.5 * 2 * (found @ weights["two/kernel"] + weights["two/bias"] - second) / second.size,
    }
    back = sum(error @ weights[f"{name}/kernel"].T for name, error in errors.items()) * (1 - found**2)
    expected = {"a/kernel": X.T @ back} | {f"{name}/kernel": found.T @ error for name, error in errors.items()}
    paths = [item.path for item in kpl.prunable(model)]
    check(model, [expected[path] for path in paths], ({"in": X}, {"one": Y, "two": second}))


class OwnStep(keras.Model):
    """Has its loss where nobody sees it."""

    def train_step(self, *arguments: Any, **options: Any) -> Any:
        return super().train_step(*arguments, **options)


def test_a_model_without_any_loss_is_refused() -> None:
    for model, message in (
        (network(), r"Call model\.compile\(loss=\.\.\.\) first, or let it add one in a layer"),
        (network(OwnStep), r"Its train_step is its own.*compute it in compute_loss\("),
    ):
        for compiled in (False, True):
            if compiled:
                model.compile("sgd")
            with pytest.raises(kpl.InvalidModelError, match=message):
                kpl.prune(model, 0.5, "snip", data=(X, Y))


# Keras says so of the layers behind an added loss, which get no gradient in this model.
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.filterwarnings("ignore:All weights of:keras_prunelab.PruningWarning")
def test_callbacks_take_a_loss_of_the_models_own() -> None:
    for callback in (
        kpl.callbacks.Prune(0.5, "snip", data=X),
        kpl.callbacks.RigL(0.5, X, frequency=1, end_step=3),
    ):
        for make in (lambda: network(OwnLoss), lambda: network(adds=True)):
            model = make()
            model.compile("sgd")
            model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[callback])
            # 16 of 32 weights; by layers, as RigL shares them out, each rounded.
            assert round(32 * kpl.sparsity(model)) in (16, 17)


def test_rigl_refuses_a_model_without_a_loss_before_it_trains() -> None:
    model = network(OwnStep)
    model.compile("sgd")
    before = model.get_weights()
    with pytest.raises(kpl.InvalidModelError, match="compiled without a loss"):
        model.fit(X, Y, verbose=0, callbacks=[kpl.callbacks.RigL(0.5, (X, Y), frequency=1, end_step=3)])
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
