"""Scores that follow the loss, against a two-layer network whose derivatives are written out in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab import scores
from keras_prunelab._backend import gradients, hessian_products

Array = NDArray[Any]
INPUTS, HIDDEN, CLASSES, COUNT = 7, 11, 4, 30


def make_model(**compile_arguments: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    layers = [keras.Input((INPUTS,)), keras.layers.Dense(HIDDEN, "tanh"), keras.layers.Dropout(0.5)]
    model = keras.Sequential([*layers, keras.layers.Dense(CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(**({"optimizer": "sgd", "loss": loss} | compile_arguments))
    return model


@pytest.fixture
def model() -> keras.Model:
    return make_model()


@pytest.fixture
def data() -> tuple[Array, Array]:
    rng = np.random.default_rng(8)
    return rng.normal(size=(COUNT, INPUTS)).astype(np.float32), rng.integers(0, CLASSES, COUNT)


def by_hand(weights: list[Array], inputs: Array, labels: Array) -> list[Array]:
    """The gradient of the mean cross-entropy with respect to the two kernels, in double precision."""
    first, bias, second, other = (array.astype(np.float64) for array in weights)
    hidden = np.tanh(inputs.astype(np.float64) @ first + bias)
    logits = hidden @ second + other
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    error = (shares - np.eye(CLASSES)[labels]) / len(labels)
    back = (error @ second.T) * (1 - hidden**2)
    return [inputs.T.astype(np.float64) @ back, hidden.T @ error]


def hessian_times_gradient(weights: list[Array], inputs: Array, labels: Array) -> list[Array]:
    """By central differences of the gradient along itself."""
    slopes = by_hand(weights, inputs, labels)
    step = 1e-5

    def at(sign: float) -> list[Array]:
        moved = [array.astype(np.float64) for array in weights]
        moved[0], moved[2] = moved[0] + sign * step * slopes[0], moved[2] + sign * step * slopes[1]
        return by_hand(moved, inputs, labels)

    return [(up - down) / (2 * step) for up, down in zip(at(1), at(-1), strict=True)]


def run(model: keras.Model, score: scores.Score, data: Any) -> list[Array]:
    found = kpl.prunable(model)
    return list(score(scores.ScoreContext(model, found, found.values(), data)).values())


def kernels(model: keras.Model) -> list[Array]:
    return [item.value().astype(np.float64) for item in kpl.prunable(model)]


def assert_close(found: list[Array], expected: list[Array]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max() * 1e-2)


@pytest.mark.parametrize("size", [1000, 30, 7])
def test_snip(model: keras.Model, data: tuple[Array, Array], size: int) -> None:
    slopes = by_hand(model.get_weights(), *data)
    expected = [np.abs(weight * slope) for weight, slope in zip(kernels(model), slopes, strict=True)]
    assert_close(run(model, scores.SNIP(size), data), expected)


@pytest.mark.parametrize("size", [1000, 7])
def test_grasp(model: keras.Model, data: tuple[Array, Array], size: int) -> None:
    flow = hessian_times_gradient(model.get_weights(), *data)
    expected = [weight * part for weight, part in zip(kernels(model), flow, strict=True)]
    found = run(model, scores.GraSP(size), data)
    assert min(array.min() for array in expected) < 0 < max(array.max() for array in expected)
    assert_close(found, expected)


def test_taylor_squares_batch_by_batch(model: keras.Model, data: tuple[Array, Array]) -> None:
    parts = [slice(0, 12), slice(12, 24), slice(24, 30)]
    terms = [by_hand(model.get_weights(), data[0][part], data[1][part]) for part in parts]
    expected = [
        np.mean([np.square(weight * term[index]) for term in terms], axis=0)
        for index, weight in enumerate(kernels(model))
    ]
    assert_close(run(model, scores.Taylor(12), data), expected)


def test_fisher_is_exact_by_observation(model: keras.Model, data: tuple[Array, Array]) -> None:
    terms = [by_hand(model.get_weights(), data[0][[index]], data[1][[index]]) for index in range(COUNT)]
    expected = [
        np.square(weight) / 2 * np.mean([np.square(term[index]) for term in terms], axis=0)
        for index, weight in enumerate(kernels(model))
    ]
    assert_close(run(model, scores.Fisher(), data), expected)


def test_movement_adds_up_in_one_context(model: keras.Model, data: tuple[Array, Array]) -> None:
    found = kpl.prunable(model)
    context, score = scores.ScoreContext(model, found, found.values(), data), scores.Movement()
    first = score(context)
    halved = {path: value / 2 for path, value in context.values.items()}
    second = score(context.at(halved))
    weights = model.get_weights()
    once = [-weight * slope for weight, slope in zip(kernels(model), by_hand(weights, *data), strict=True)]
    weights[0], weights[2] = weights[0] / 2, weights[2] / 2
    slopes = by_hand(weights, *data)
    twice = [term - weight / 2 * slope for term, weight, slope in zip(once, kernels(model), slopes, strict=True)]
    assert_close(list(first.values()), once)
    assert_close(list(second.values()), twice)


def test_lamp_is_its_definition() -> None:
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5), keras.layers.Dense(3)])
    for found, weight in zip(run(model, scores.LAMP(), None), kernels(model), strict=True):
        squares = np.square(weight).reshape(-1)
        expected = [square / squares[squares >= square].sum() for square in squares]
        np.testing.assert_allclose(found.reshape(-1), expected, rtol=1e-6)


@pytest.mark.backends
def test_weights_that_are_not_scored_are_seen_anew(model: keras.Model, data: tuple[Array, Array]) -> None:
    found = kpl.prunable(model)
    context = scores.ScoreContext(model, found, found.values(), data)
    for score, by_definition in ((scores.SNIP(), by_hand), (scores.GraSP(), hessian_times_gradient)):
        for shift in (0.0, 0.5):  # as training does between two updates of the masks
            model.layers[0].bias.assign(np.full(HIDDEN, shift))
            parts = by_definition(model.get_weights(), *data)
            expected = [weight * part for weight, part in zip(kernels(model), parts, strict=True)]
            given = [np.abs(array) for array in expected] if score.name == "snip" else expected
            assert_close(list(score(context).values()), given)


def test_the_model_is_left_as_it_was(data: tuple[Array, Array]) -> None:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    regular = keras.layers.Dense(CLASSES, kernel_regularizer="l2", activity_regularizer="l1")
    model = keras.Sequential([keras.Input((INPUTS,)), *layers, regular])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [np.array(array) for array in model.get_weights()]
    for score in (scores.SNIP(), scores.GraSP(), scores.Wanda()):
        run(model, score, data)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not any("call" in vars(layer) for layer in model.layers)
    model.fit(*data, verbose=0)


def test_regularization_is_part_of_the_loss(data: tuple[Array, Array]) -> None:
    keras.utils.set_random_seed(3)
    plain = keras.Sequential([keras.Input((INPUTS,)), keras.layers.Dense(CLASSES)])
    decayed = keras.Sequential(
        [keras.Input((INPUTS,)), keras.layers.Dense(CLASSES, kernel_regularizer=keras.regularizers.L2(0.1))]
    )
    decayed.set_weights(plain.get_weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for one in (plain, decayed):
        one.compile("sgd", loss)
    (weight,), (without,), (with_it,) = (
        kernels(plain),
        run(plain, scores.Movement(), data),
        run(decayed, scores.Movement(), data),
    )
    np.testing.assert_allclose(with_it, without - 0.2 * weight**2, rtol=1e-4, atol=1e-7)


class Batches(keras.utils.PyDataset):
    def __init__(self, data: tuple[Array, Array]) -> None:
        super().__init__()
        self.data = data

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        part = slice(index * 10, index * 10 + 10)
        return self.data[0][part], self.data[1][part]


def test_data_comes_in_any_form(model: keras.Model, data: tuple[Array, Array]) -> None:
    expected = run(model, scores.SNIP(), data)
    parts = [(data[0][start : start + 13], data[1][start : start + 13]) for start in range(0, COUNT, 13)]

    def generator() -> Iterator[tuple[Array, Array]]:
        yield from parts

    tensors = tuple(map(keras.ops.convert_to_tensor, data))
    for form in (parts, generator, Batches(data), tensors, (*data, np.ones(COUNT, np.float32))):
        assert_close(run(model, scores.SNIP(8), form), expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda x, y: x, r"needs labels, but the data is an array of shape \(30, 7\)"),
        (lambda x, y: (x, y[:5]), r"different lengths: \[5, 30\]"),
        (lambda x, y: iter(((x, y),)), "read only once, and nobody can see whether it ends. Give a function"),
        (lambda x, y: lambda: iter(()), "give a function that returns a new"),
        (lambda x, y: (x[:0], y[:0]), "The data is empty"),
        (lambda x, y: (x, y, y, y), "not a tuple of 4"),
        (lambda x, y: (x * np.nan, y), "The inputs hold NaN or infinite numbers"),
    ],
)
def test_bad_data_is_refused(model: keras.Model, data: tuple[Array, Array], given: Any, message: str) -> None:
    with pytest.raises((kpl.InvalidDataError, kpl.InvalidModelError), match=message):
        run(model, scores.SNIP(), given(*data))


def test_a_gradient_that_overflows_is_no_fault_of_the_data(model: keras.Model, data: tuple[Array, Array]) -> None:
    model.layers[-1].kernel.assign(np.full((HIDDEN, CLASSES), 3e38))
    with pytest.raises(kpl.InvalidModelError, match=r"NaN or infinite for .*, though the data is not"):
        run(model, scores.SNIP(), data)


def test_a_model_without_a_loss_is_refused(data: tuple[Array, Array]) -> None:
    model = keras.Sequential([keras.Input((INPUTS,)), keras.layers.Dense(CLASSES)])
    with pytest.raises(kpl.InvalidModelError, match="compiled without a loss"):
        run(model, scores.SNIP(), data)


def test_missing_data_is_said_before_anything_runs(model: keras.Model) -> None:
    for score, wanted in (("snip", r"data=\(inputs, labels\)"), ("wanda", "data=inputs")):
        with pytest.raises(kpl.InvalidDataError, match=wanted):
            kpl.prune(model, 0.5, score=score)


def test_prune_and_sweep_take_scores_with_data(model: keras.Model, data: tuple[Array, Array]) -> None:
    for score in ("snip", "grasp", "taylor", "fisher", "movement", "wanda"):
        assert kpl.sparsity(kpl.prune(model, 0.5, score=score, data=data)) == pytest.approx(0.5, abs=0.5 / 121)
    result = kpl.sweep(model, data, [0.0, 0.5], ["snip", "wanda"], calibration=(data[0][:8], data[1][:8]))
    few = kpl.prune(model, 0.5, score="snip", data=(data[0][:8], data[1][:8]))
    snip = result.table.query("score == 'snip' and sparsity_target == 0.5")
    accuracy = np.mean(np.argmax(few.predict(data[0], verbose=0), axis=1) == data[1])
    assert snip["accuracy"].item() == pytest.approx(accuracy)


def test_gradients_take_arguments() -> None:
    x = keras.Variable(np.float32([1.0, 2.0]))
    slope = gradients(lambda scale, shift: keras.ops.sum(scale * x * x + shift["by"] * x), [x])
    (found,) = slope([np.float32([3.0, 4.0])], np.float32(2.0), {"by": np.float32([1.0, 10.0])})
    assert found.tolist() == [13.0, 26.0]


def test_hessian_products_are_exact() -> None:
    rng = np.random.default_rng(2)
    matrix, at, along = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 4), (4,), (4,)))
    x, y = keras.Variable(at), keras.Variable(np.float32(2.0))
    product = hessian_products(lambda: y * keras.ops.sum(x * keras.ops.matmul(matrix, x[:, None])[:, 0]), [x, y])
    found = product([at, np.float32(2.0)], [along, np.float32(0.5)])
    np.testing.assert_allclose(found[0], 2 * (matrix + matrix.T) @ along + 0.5 * (matrix + matrix.T) @ at, rtol=1e-5)
    np.testing.assert_allclose(found[1], at @ (matrix + matrix.T) @ along, rtol=1e-5)


@pytest.mark.parametrize("score", ["snip", "grasp", "taylor", "fisher", "movement", "wanda", "lamp", "magnitude"])
def test_scores_are_written_down_and_read(score: str) -> None:
    made = scores.get(score)
    assert scores.deserialize(scores.serialize(made)) == made
    assert made.name == score
    assert "http" in (type(made).__doc__ or "")
