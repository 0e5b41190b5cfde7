"""Models for inputs of one length: the same numbers as the model of any, and files that only they become."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab.cli import main

L = keras.layers


def sequences() -> keras.Model:
    """Convolutions and recurrent layers, one of them shared, and an operation."""
    inputs = keras.Input((None, 4), name="steps")
    shared = L.Conv1D(4, 3, padding="causal")
    hidden = shared(L.BatchNormalization()(shared(inputs))) + inputs
    return keras.Model(inputs, L.Dense(3)(L.Bidirectional(L.LSTM(5))(hidden)))


def images() -> keras.Model:
    """A sequential network for images of any size, with a network inside."""
    inner = keras.Sequential([keras.Input((None, None, 4)), L.Conv2D(4, 3, strides=2), L.ReLU()], name="inner")
    return keras.Sequential([keras.Input((None, None, 2)), L.Conv2D(4, 3), inner, L.GlobalAveragePooling2D()])


def two_inputs() -> keras.Model:
    one, other = keras.Input((None, 3), name="a"), keras.Input((None, 2), name="b")
    return keras.Model({"b": other, "a": one}, L.Concatenate()([L.GRU(2)(one), L.SimpleRNN(3)(other)]))


CASES = [
    (sequences, 9, [(9, 4)]),
    (images, (11, 13), [(11, 13, 2)]),
    (images, 12, [(12, 12, 2)]),
    (two_inputs, (5, 7), [(5, 3), (7, 2)]),
]


@pytest.mark.backends
@pytest.mark.parametrize(("make", "lengths", "shapes"), CASES)
def test_the_copy_computes_the_same(
    make: Callable[[], keras.Model], lengths: int | tuple[int, ...], shapes: list[tuple[int, ...]]
) -> None:
    keras.utils.set_random_seed(0)
    model = make()
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(keras.random.uniform(weight.shape, 0.1, 0.5))
    model.layers[-2].trainable = False
    names = [tensor._keras_history.operation.name for tensor in model.inputs]
    pruned = kpl.prune(model, 0.5)
    fixed = kpl.fix_lengths(pruned, lengths)
    assert sorted(tensor.shape[1:] for tensor in fixed.inputs) == sorted(shapes)
    assert [tensor._keras_history.operation.name for tensor in fixed.inputs] == names
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(2, *tensor.shape[1:])).astype("float32") for tensor in fixed.inputs]
    given = dict(zip(sorted("ab"), sorted(x, key=lambda each: each.shape), strict=True)) if len(x) > 1 else x[0]
    np.testing.assert_allclose(fixed.predict(given, verbose=0), pruned.predict(given, verbose=0), rtol=1e-5, atol=1e-6)
    assert [weight.trainable for weight in fixed.weights] == [weight.trainable for weight in pruned.weights]
    assert pruned.inputs[0].shape[1] is None, "the model is as it was"


@pytest.mark.parametrize("lengths", [0, -1, 2.5, "9", True, (9, 9), (), None])
def test_lengths_that_are_none(lengths: object) -> None:
    with pytest.raises(kpl.UnknownNameError, match=r"a whole number from 1 for each of 1 free lengths.*'steps'"):
        kpl.fix_lengths(sequences(), lengths)


def test_models_without_a_free_length() -> None:
    fixed = keras.Sequential([keras.Input((7, 4)), L.LSTM(3)])
    with pytest.raises(kpl.InvalidModelError, match=r"No input of model .* has a free length"):
        kpl.fix_lengths(fixed, 7)

    class Own(keras.Model):
        def call(self, x: object) -> object:
            return x

    with pytest.raises(kpl.InvalidModelError, match="cannot be given lengths"):
        kpl.fix_lengths(Own(), 7)


@pytest.mark.skipif(keras.config.backend() == "jax", reason="LiteRT files are written on TensorFlow and torch")
def test_the_advice_of_an_error_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tflite_micro")
    monkeypatch.chdir(tmp_path)
    keras.Sequential([keras.Input((None, 4)), L.LSTM(3), L.Dense(2, "softmax")]).save("net.keras")
    x = np.random.default_rng(0).normal(size=(40, 12, 4)).astype("float32")
    np.savez("data.npz", X=x, Y=np.arange(40) % 2)
    command = ["convert", "net.keras", "micro.tflite", "--runtime", "tflm", "--data", "data.npz"]
    for extra, code in ([], 3), (["--length", "12"], 0):
        with pytest.raises(SystemExit) as left:
            main([*command, *extra])
        assert (left.value.code or 0) == code, capsys.readouterr().err
    assert (tmp_path / "micro.tflite").is_file()
    with pytest.raises(SystemExit) as left:
        main(["convert", "net.keras", "net.h", "--dtype", "int8", "--data", "data.npz", "--length", "x"])
    assert left.value.code == 2
    assert "--length: a whole number, or several" in " ".join(capsys.readouterr().err.replace("│", " ").split())
