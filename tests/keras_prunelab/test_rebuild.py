"""What a model has beside configurations and weights, and keeps when it is built anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import assert_same, lively, silenced

L, ops = keras.layers, keras.ops

BUILDS: dict[str, Callable[[keras.Model], keras.Model]] = {
    "compact": kpl.compact,
    "remove_filters": lambda model: kpl.remove_filters(model, 0.5),
    "fuse": kpl.fuse,
    "wrap and strip": lambda model: kpl.layers.strip(kpl.layers.wrap(model, 0.5)),
}


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="strings are TensorFlow's")
@pytest.mark.parametrize("name", BUILDS)
def test_vocabularies_that_were_adapted(name: str) -> None:
    words, numbers, text = L.StringLookup(), L.IntegerLookup(), L.TextVectorization(output_sequence_length=3)
    words.adapt([["cat"], ["dog"], ["dog"]])
    numbers.adapt([[5], [7], [7]])
    text.adapt(["a cat", "a dog"])
    inputs = [keras.Input((1,), dtype="string"), keras.Input((1,), dtype="int64"), keras.Input((1,), dtype="string")]
    tables = [L.Embedding(8, 4)(layer(each)) for layer, each in zip((words, numbers, text), inputs, strict=True)]
    x = L.Dense(4, name="d")(L.Concatenate()([L.Flatten()(each) for each in tables]))
    model = lively(keras.Model(inputs, L.Dense(2)(x)))
    new = BUILDS[name](model)
    import tensorflow as tf

    given = [tf.constant([["cat"], ["bird"]]), tf.constant([[7], [9]], "int64"), tf.constant([["a dog"], ["dog"]])]
    found = new(given).numpy()
    if name in ("compact", "fuse"):
        np.testing.assert_allclose(found, model(given).numpy(), rtol=1e-5, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 0


@pytest.mark.parametrize("name", BUILDS)
def test_lambdas_as_activations(name: str) -> None:
    scale = 2.0
    layers = [L.Dense(6, activation=lambda x: ops.relu(scale * x), name="d"), L.Dense(2)]
    model = lively(keras.Sequential([keras.Input((4,)), *layers]))
    silenced(model.get_layer("d"), [1, 2])
    new = BUILDS[name](model)
    assert new.get_layer("d").activation is model.get_layer("d").activation
    if name in ("compact", "fuse"):
        assert_same(model, new)


@pytest.mark.parametrize("name", ["compact", "remove_filters"])
def test_variables_that_are_frozen_by_themselves(name: str) -> None:
    model = lively(keras.Sequential([keras.Input((4,)), L.Dense(6, name="d"), L.Dense(2)]))
    model.get_layer("d").kernel.trainable = False
    new = BUILDS[name](model)
    assert [weight.trainable for weight in new.weights] == [False, True, True, True]


class Shifted(keras.losses.Loss):
    """A loss that does not say how it was made."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = shift

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_true - y_pred + self.shift))


def test_a_loss_that_cannot_be_made_again_is_named() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(6), L.Dense(2)])
    model.compile("sgd", Shifted(1.0))
    with pytest.raises(kpl.InvalidModelError, match=r"building it anew failed with TypeError. .*Shifted.* get_config"):
        kpl.compact(model)


@pytest.mark.parametrize("name", [*BUILDS, "prune", "recalibrate"])
def test_each_build_keeps_what_is_frozen(name: str) -> None:
    layers = [L.Dense(6, name="d"), L.BatchNormalization(), L.ReLU(), L.Dense(2, name="e")]
    model = lively(keras.Sequential([keras.Input((4,)), *layers]))
    model.get_layer("d").kernel.trainable = model.get_layer("e").bias.trainable = False
    more = {"prune": lambda m: kpl.prune(m, 0.5), "recalibrate": lambda m: kpl.recalibrate(m, np.ones((8, 4), "f4"))}
    new = (BUILDS | more)[name](model)
    assert [new.get_layer("d").kernel.trainable, new.get_layer("e").bias.trainable] == [False, False]
    assert new.get_layer("e").kernel.trainable


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="strings are TensorFlow's")
@pytest.mark.parametrize("name", BUILDS)
def test_texts_weighted_by_how_rare_words_are(name: str) -> None:
    import tensorflow as tf

    text = L.TextVectorization(output_mode="tf_idf", standardize=lambda x: tf.strings.lower(x))
    text.adapt(["a cat", "a dog", "A cat that is no dog"])
    inputs = keras.Input((1,), dtype="string")
    model = lively(keras.Model(inputs, L.Dense(2)(L.Dense(4, name="d")(text(inputs)))))
    new = BUILDS[name](model)
    given = tf.constant([["a CAT"], ["bird"]])
    weighted = next(layer for layer in new.layers if isinstance(layer, L.TextVectorization))
    np.testing.assert_array_equal(weighted(given).numpy(), text(given).numpy())
    assert new(given).shape == (2, 2)


def twice() -> keras.Model:
    """The same activation, the same layer and the same model two times, which Keras saves once each."""
    act, same = L.ReLU(), L.Dense(4, name="same")
    inner = keras.Sequential([keras.Input((4,)), L.Dense(4, "tanh")], name="inner")
    layers = [L.Dense(4, name="first"), act, inner, same, act, same, inner, L.Dense(2, name="last")]
    return lively(keras.Sequential([keras.Input((4,)), *layers]))


def by_hand(model: keras.Model, x: Any) -> Any:
    first, inner, same, last = (
        [np.float64(keras.ops.convert_to_numpy(each)) for each in model.get_layer(name).weights]
        for name in ("first", "inner", "same", "last")
    )
    x = np.tanh(np.maximum(x @ first[0] + first[1], 0) @ inner[0] + inner[1])
    x = np.maximum(x @ same[0] + same[1], 0) @ same[0] + same[1]
    return np.tanh(x @ inner[0] + inner[1]) @ last[0] + last[1]


@pytest.mark.backends
def test_a_layer_that_stands_in_a_sequential_model_twice_is_copied_so(tmp_path: Path) -> None:
    model, x = twice(), np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    model.compile("adam", "mse")
    model.fit(x, np.zeros((50, 2)), verbose=0)
    pruned = kpl.prune(model, 0.5)
    for each in (model, pruned, kpl.reconstruct(pruned, model, x)):
        assert [layer.name for layer in each.layers] == [layer.name for layer in model.layers]
        np.testing.assert_allclose(each.predict(x, verbose=0), by_hand(each, x), rtol=1e-4, atol=1e-5)
    assert kpl.sparsity(pruned) == 0.5
    assert int(pruned.optimizer.iterations) == int(model.optimizer.iterations) > 0
    with pytest.raises(kpl.InvalidModelError, match="twice, and Keras would save it once"):
        kpl.save_sparse(pruned, tmp_path / "pruned.keras")
    assert not list(tmp_path.iterdir())
    with pytest.raises(kpl.InvalidModelError, match="twice, and Keras would save it once"):
        kpl.sweep(model, (x, np.zeros((50, 2))), [0.5], workers=2)


@pytest.mark.backends
def test_functions_that_refer_to_names_around_them_are_copied() -> None:
    layers = [L.Lambda(lambda x: ops.square(x)), L.Dense(6, activation=lambda x: ops.minimum(x, 6.0)), L.Dense(2)]
    model, x = lively(keras.Sequential([keras.Input((4,)), *layers])), np.ones((3, 4), "float32")
    pruned = kpl.prune(model, 0.5)
    (kernel, bias), (last, end) = (
        [keras.ops.convert_to_numpy(each) for each in layer.weights] for layer in pruned.layers[1:]
    )
    wanted = np.minimum(np.square(x) @ kernel + bias, 6) @ last + end
    np.testing.assert_allclose(pruned.predict(x, verbose=0), wanted, rtol=1e-5, atol=1e-6)
    model.compile(loss="mse")
    with pytest.raises(kpl.InvalidModelError, match=r"cannot be made anew in a worker.*use workers=1"):
        kpl.sweep(model, (x, np.zeros((3, 2))), [0.5], workers=2)
