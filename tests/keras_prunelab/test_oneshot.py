from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import keras_prunelab as kpl

from .sparsity_by_hand import count_by_hand, sparsities

pytestmark = pytest.mark.backends

L = keras.layers


class Scaled(L.Layer):
    """A custom layer, not registered with Keras, whose variable has no name of its own."""

    def __init__(self, gain: float = 1.0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.gain = gain

    def build(self, shape: tuple[int, ...]) -> None:
        self.matrix = self.add_weight(shape=(shape[-1], 3))

    def call(self, x: object) -> object:
        return self.gain * keras.ops.matmul(x, self.matrix)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "gain": self.gain}


class Savable(keras.Model):
    def __init__(self, units: int = 4, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.one, self.two = L.Dense(units, activation="relu"), L.Dense(2)

    def call(self, x: object) -> object:
        return self.two(self.one(x))

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "units": self.units}


class Unsavable(keras.Model):
    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__()
        self.one = layer

    def call(self, x: object) -> object:
        return self.one(x)


def sequential() -> keras.Model:
    return keras.Sequential([keras.Input((6,)), L.Dense(7), L.BatchNormalization(), L.Dense(3, activation="softmax")])


def nested() -> keras.Model:
    inputs = keras.Input((6,))
    inner = sequential()
    shared = L.Dense(3, name="shared")
    return keras.Model(inputs, L.Add()([shared(shared(inner(inputs))), inner(inputs)]))


def custom() -> keras.Model:
    return keras.Sequential([keras.Input((6,)), Scaled(2.0), L.Lambda(lambda x: x + 1), L.Dense(2)])


def own_functions() -> keras.Model:
    def twice(x: object) -> object:
        return 2 * x  # type: ignore[operator]

    class Noughts(keras.regularizers.Regularizer):
        def __call__(self, x: object) -> object:
            return keras.ops.sum(x)

        def get_config(self) -> dict[str, object]:
            return {}

    layer = L.Dense(3, activation=twice, kernel_regularizer=Noughts())
    return keras.Sequential([keras.Input((6,)), layer, L.Dense(2)])


def adapted() -> keras.Model:
    normalization = L.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3, 2, (50, 6)).astype("float32"))
    return keras.Sequential([keras.Input((6,)), normalization, L.Dense(2)])


def subclassed() -> keras.Model:
    model = Savable(5)
    model(np.zeros((1, 6), "float32"))
    return model


def built(make: object) -> keras.Model:
    keras.utils.set_random_seed(3)
    return make()  # type: ignore[operator,no-any-return]


X = np.random.default_rng(0).random((10, 6)).astype("float32")


@pytest.mark.parametrize("make", [sequential, nested, custom, own_functions, adapted, subclassed])
@pytest.mark.parametrize("convention", ["paper", "matlab"])
def test_the_copy_is_sparse_and_the_model_is_untouched(make: object, convention: str) -> None:
    model = built(make)
    weights, outputs = model.get_weights(), model.predict(X, verbose=0)
    pruned = kpl.prune(model, 0.5, convention=convention)
    assert type(pruned) is type(model)
    assert pruned.name == model.name
    for one, other in zip(model.get_weights(), weights, strict=True):
        assert_array_equal(one, other)
    for one, other in zip(pruned.get_weights(), weights, strict=True):
        assert_array_equal(one[one != 0], other[one != 0])
    assert not any(one is other for one in pruned.variables for other in model.variables)
    learnables = "weights" if convention == "paper" else "all"
    found = kpl.prunable(model, learnables=learnables)
    magnitudes = np.concatenate([np.abs(item.value()).ravel() for item in found])
    kept = np.concatenate([np.abs(item.value()).ravel() for item in kpl.prunable(pruned, learnables=learnables)])
    count = count_by_hand(0.5, found.total)
    threshold = np.sort(magnitudes)[count - 1]
    assert_array_equal(kept, np.where(magnitudes > threshold, magnitudes, 0))
    assert kpl.sparsity(pruned, convention=convention) == np.count_nonzero(kept == 0) / found.total
    # With the dense weights back it computes what the model computes.
    pruned.set_weights(weights)
    assert_array_equal(pruned.predict(X, verbose=0), outputs)


def error(target: object, output: object) -> object:
    return keras.ops.mean(keras.ops.square(target - output))  # type: ignore[operator]


def test_the_compiled_state_is_kept() -> None:
    model = built(sequential)
    assert not kpl.prune(model, 0.5).compiled
    model.compile(keras.optimizers.SGD(0.25), error, metrics=["mae"])
    y = np.zeros((10, 3), "float32")
    for _ in range(2):
        pruned = kpl.prune(model, 0.5)
        assert pruned.compiled
        assert float(pruned.optimizer.learning_rate.numpy()) == 0.25
        assert pruned.evaluate(X, y, verbose=0, return_dict=True).keys() == {"loss", "mae"}
        assert pruned.optimizer is not model.optimizer
        model.fit(X, y, verbose=0)


def test_what_hangs_on_the_model_comes_along() -> None:
    model = built(sequential)
    model.class_names = ("a", "b", "c")
    assert kpl.prune(model, 0.5).class_names == ("a", "b", "c")


def test_a_model_that_cannot_be_copied_says_what_to_do() -> None:
    model = Unsavable(L.Dense(2))
    model(X)
    with pytest.raises(kpl.InvalidModelError, match=r"class Unsavable cannot be copied.*then masks.apply\(model\)"):
        kpl.prune(model, 0.5)
    kpl.trajectory(model, 0.5).masks(0).apply(model)
    assert kpl.sparsity(model) == 0.5


NET = sequential()


@given(sparsity=sparsities(), scope=st.sampled_from(["global", "layer"]))
@settings(max_examples=10)
def test_sparsity_is_exact(sparsity: float, scope: str) -> None:
    pruned = kpl.prune(NET, sparsity, "random", scope=scope)  # type: ignore[arg-type]
    zeros = [sum(int((item.value() == 0).sum()) for item in kpl.prunable(pruned))]
    sizes = [63] if scope == "global" else [42, 21]
    assert zeros == [sum(count_by_hand(sparsity, size) for size in sizes)]
    assert kpl.sparsity(pruned) == zeros[0] / 63


def test_filters() -> None:
    model = built(sequential)
    last = model.layers[-1].name
    pruned = kpl.prune(model, 0.5, exclude=last)
    assert kpl.sparsity(pruned, include=last) == 0
    assert kpl.sparsity(pruned, exclude=last) == 0.5


def test_a_pruned_model_can_be_pruned_further() -> None:
    half = kpl.prune(built(sequential), 0.5)
    more = kpl.prune(half, 0.8)
    assert kpl.MaskSet.from_zeros(more) | kpl.MaskSet.from_zeros(half) == kpl.MaskSet.from_zeros(half)
    assert kpl.sparsity(more) == count_by_hand(0.8, 63) / 63


# JAX has no float64 unless a process asks for it at its start.
DTYPES = ["float16", "bfloat16", *(["float64"] if keras.config.backend() != "jax" else [])]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: str) -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(7, dtype=dtype)])
    pruned = kpl.prune(model, 0.5)
    assert kpl.sparsity(pruned) == 0.5
    assert pruned.layers[0].kernel.dtype == dtype
