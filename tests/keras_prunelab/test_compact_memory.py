"""Models that remember: recurrent states and random numbers are as they were, and no reason for a difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import lively, silenced

pytestmark = pytest.mark.backends

L, ops = keras.layers, keras.ops


def stateful(length: int | None = 5) -> keras.Model:
    layers = [keras.Input(batch_shape=(2, length, 3)), L.Dense(4, name="d"), L.LSTM(4, stateful=True, name="l")]
    model = lively(keras.Sequential([*layers, L.Dense(2)]))
    silenced(model.get_layer("d"), [1])
    return model


def states(model: keras.Model) -> list[np.ndarray]:
    return [np.array(ops.convert_to_numpy(each)) for each in model.get_layer("l").states]


@pytest.mark.parametrize("how", [kpl.compact, lambda m: kpl.latency([m], batch=2, seconds=0.01)])
def test_states_are_as_they_were(how: Callable[[Any], Any]) -> None:
    model = stateful()
    model(np.ones((2, 5, 3), "float32"))
    before = states(model)
    assert np.abs(before).max() > 0
    how(model)
    np.testing.assert_array_equal(states(model), before)


def test_a_stateful_model_of_any_length_is_compared_from_one_state() -> None:
    model = stateful(None)
    model(np.ones((2, 7, 3), "float32"))
    assert kpl.compaction(model).difference == 0


class Sampling(L.Layer):
    """What a variational autoencoder draws."""

    def __init__(self, seed: int | None, **options: Any) -> None:
        super().__init__(**options)
        self.seed = seed
        self.generator = None if seed is None else keras.random.SeedGenerator(seed)

    def call(self, inputs: Any) -> Any:
        mean, log_variance = inputs
        drawn = keras.random.normal(ops.shape(mean), seed=self.generator)
        return mean + ops.exp(0.5 * log_variance) * drawn

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def autoencoder(seed: int | None) -> keras.Model:
    inputs = keras.Input((16,))
    x = L.Dense(8, activation="relu", name="d")(inputs)
    x = Sampling(seed)([L.Dense(4)(x), L.Dense(4)(x)])
    model = lively(keras.Model(inputs, L.Dense(16)(L.Dense(8, activation="relu")(x))))
    silenced(model.get_layer("d"), [1])
    return model


def test_random_numbers_begin_alike_and_go_on_where_they_were() -> None:
    model, twin = autoencoder(1), autoencoder(1)
    x = np.ones((2, 16), "float32")
    for each in (model, twin):
        each(x)
    small = kpl.compact(model)
    assert small.get_layer("d").units == 7
    np.testing.assert_array_equal(ops.convert_to_numpy(model(x)), ops.convert_to_numpy(twin(x)))


@pytest.mark.skipif(keras.config.backend() == "jax", reason="Keras refuses random numbers without a seed on JAX")
def test_random_numbers_of_nobody_are_named() -> None:
    with pytest.raises(kpl.NotEquivalentError, match=r"are random: they differ by .*keras\.random\.SeedGenerator"):
        kpl.compact(autoencoder(None))


def test_latency_says_what_it_cannot_measure() -> None:
    with pytest.raises(kpl.InvalidModelError, match="takes batches of 2 observations only, so batches of 1"):
        kpl.metrics(stateful(), batches=(1,))
    with pytest.raises(kpl.InvalidModelError, match=r"write latency\(\[model\]\)"):
        kpl.latency(stateful())  # type: ignore[arg-type]
    with pytest.raises(kpl.InvalidModelError, match="is not built, or a subclass"):
        kpl.latency([keras.Sequential([L.Dense(2)])])


class Counting(L.Layer):
    """Counts its calls, also in inference; says that it is stateful, and has no states of Keras's kind."""

    stateful = True

    def build(self, shape: Any) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return x


@pytest.mark.parametrize("how", [kpl.compact, lambda m: kpl.latency([m], seconds=0.01)])
def test_what_a_layer_writes_in_its_call_is_as_it_was(how: Callable[[Any], Any]) -> None:
    counting = Counting()
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), counting, L.Dense(2)])
    counting.count.assign(-0.5)
    how(model)
    assert float(ops.convert_to_numpy(counting.count)) == -0.5
