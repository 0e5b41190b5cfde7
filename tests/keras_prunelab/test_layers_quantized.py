"""Numbers of eight bits in training: against arithmetic of our own, and against the file that is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import keras_prunelab as kpl
from keras_prunelab._backend import fake_quantize

L = keras.layers
pytestmark = pytest.mark.backends
ON_TENSORFLOW = keras.config.backend() == "tensorflow"


def rounded(values: np.ndarray, low: float, high: float, lowest: int) -> np.ndarray:
    """By the definition: whole numbers from `lowest` to 255, one of which stands for zero."""
    scale = (high - low) / (255 - lowest)
    zero = np.clip(np.floor(lowest - low / scale + 0.5), lowest, 255)
    whole = np.clip(np.floor(values / scale + zero + 0.5), lowest, 255)
    return (whole - zero) * scale


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.1), (-0.3, 2.0), (0.0, 6.0), (-5.0, 0.0), (-1e-3, 70.0)])
@pytest.mark.parametrize("is_weight", [False, True])
def test_rounding_is_that_of_the_definition(low: float, high: float, is_weight: bool) -> None:
    values = np.random.default_rng(0).uniform(1.5 * low, 1.5 * high, 1000).astype("float32")
    values[:10] = 0
    found = keras.ops.convert_to_numpy(fake_quantize(values, np.float32(low), np.float32(high), is_weight=is_weight))
    step = (high - low) / 254
    assert_allclose(found, rounded(values, low, high, int(is_weight)), atol=1e-3 * step + 1e-6)
    assert_array_equal(found[:10], 0)
    assert len(np.unique(found)) <= 256 - is_weight


def test_each_channel_has_its_range() -> None:
    values = np.random.default_rng(0).normal(size=(3, 3, 5, 4)).astype("float32") * np.float32([1, 10, 0.1, 3])
    ends = np.abs(values).max(axis=(0, 1, 2))
    tensor = keras.ops.convert_to_tensor
    found = keras.ops.convert_to_numpy(fake_quantize(tensor(values), tensor(-ends), tensor(ends), is_weight=True))
    for channel, end in enumerate(ends):
        assert_allclose(found[..., channel], rounded(values[..., channel], -end, end, 1), atol=1e-5 * end)


def dense() -> keras.Model:
    return keras.Sequential([keras.Input((12,)), L.Dense(16, "relu"), L.Dense(4, "softmax")])


def convolutional() -> keras.Model:
    blocks = [L.Conv2D(6, 3, padding="same"), L.ReLU(), L.MaxPooling2D(2), L.DepthwiseConv2D(3, activation="relu6")]
    return keras.Sequential([keras.Input((8, 8, 2)), *blocks, L.Flatten(), L.Dense(4, "softmax")])


def branched() -> keras.Model:
    inputs = keras.Input((16, 3))
    left = L.Conv1D(5, 3, padding="same", activation="relu")(inputs)
    right = L.Conv1D(5, 1)(inputs)
    joined = L.ReLU()(L.Add()([left, right]))
    pooled = L.Concatenate()([L.GlobalAveragePooling1D()(joined), L.GlobalMaxPooling1D()(joined)])
    return keras.Model(inputs, L.Dense(4, "softmax")(L.Dropout(0.1)(pooled)))


MODELS = [dense, convolutional, branched]


def made(make: Callable[[], Any]) -> tuple[Any, np.ndarray, np.ndarray]:
    """A compiled model and data that it can learn: classes by where their centres are."""
    keras.utils.set_random_seed(3)
    model = make()
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(1)
    y = rng.integers(4, size=400)
    centres = rng.normal(size=(4, *model.input_shape[1:]))
    x = (centres[y] + rng.normal(size=(400, *model.input_shape[1:]))).astype("float32")
    return model, x, y


@pytest.mark.parametrize("make", MODELS)
def test_outputs_are_those_of_the_model_but_for_the_steps(make: Callable[[], Any]) -> None:
    model, x, _ = made(make)
    aware = kpl.layers.quantized(model, x)
    before, after = model.predict(x, verbose=0), aware.predict(x, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.05
    assert [layer.name for layer in aware.layers] == [layer.name for layer in model.layers]
    plain = kpl.layers.strip(aware)
    assert_allclose(plain.predict(x, verbose=0), before, atol=1e-6)
    assert [type(layer) for layer in plain.layers] == [type(layer) for layer in model.layers]


def test_a_dense_layer_computes_with_whole_numbers() -> None:
    model = keras.Sequential([keras.Input((12,)), L.Dense(5, "relu")])
    x = np.random.default_rng(0).normal(size=(50, 12)).astype("float32")
    kernel, bias = (np.array(each) for each in model.get_weights())
    aware = kpl.layers.quantized(model, x)
    end = np.abs(kernel).max()
    seen = rounded(x, x.min(), x.max(), 0)
    outputs = np.maximum(np.maximum(x @ kernel + bias, 0) * 0 + seen @ rounded(kernel, -end, end, 1) + bias, 0)
    highest = np.maximum(x @ kernel + bias, 0).max()  # the range was measured before anything was rounded
    assert_allclose(aware.predict(x, verbose=0), rounded(outputs, 0, highest, 0), atol=1.01 * highest / 255)
    assert np.abs(aware.predict(x, verbose=0) - rounded(outputs, 0, highest, 0)).mean() < 0.01 * highest / 255


@pytest.mark.parametrize("make", MODELS)
def test_zeros_hold_and_the_file_answers_as_the_model(make: Callable[[], Any], tmp_path: Path) -> None:
    model, x, y = made(make)
    model.fit(x, y, epochs=3, verbose=0)
    pruned = kpl.prune(model, 0.6)
    aware = kpl.layers.quantized(pruned, x[:100])
    before = [np.array(each) for each in aware.get_weights()]
    aware.fit(x, y, epochs=3, verbose=0, callbacks=[kpl.callbacks.Prune(0.6, masks="from_zeros")])
    assert kpl.sparsity(aware) == pytest.approx(0.6, abs=0.01)
    assert any((one != other).any() for one, other in zip(before, aware.get_weights(), strict=True))
    assert aware.evaluate(x, y, verbose=0)[1] > pruned.evaluate(x, y, verbose=0)[1] - 0.02
    if not ON_TENSORFLOW:
        return
    written = kpl.export_litert(aware, tmp_path / "net.tflite", "int8", calibration=x[:100])
    assert written.quantize == "int8"
    found = kpl.evaluate_file(written.path, (x, y), model=aware)
    assert found.agreement >= 0.995
    assert abs(found.metrics["accuracy"] - found.model_metrics["accuracy"]) <= 0.005
    assert (
        written.nonzeros <= np.count_nonzero(np.concatenate([np.ravel(each) for each in pruned.get_weights()])) + 64 * 9
    )


def test_a_file_holds_the_ranges(tmp_path: Path) -> None:
    model, x, _ = made(convolutional)
    aware = kpl.layers.quantized(model, x)
    aware.save(tmp_path / "aware.keras")
    again = keras.saving.load_model(tmp_path / "aware.keras")
    assert_array_equal(again.predict(x, verbose=0), aware.predict(x, verbose=0))


def test_wrapped_layers_keep_their_masks_over_rounded_weights() -> None:
    model, x, y = made(dense)
    wrapped = kpl.layers.wrap(kpl.layers.quantized(model, x), 0.5)
    wrapped.fit(x, y, epochs=1, verbose=0, callbacks=[kpl.callbacks.UpdateMasks()])
    assert kpl.sparsity(kpl.layers.strip(wrapped)) == 0.5
    assert not [layer for layer in kpl.layers.strip(wrapped).layers if isinstance(layer, kpl.layers.Quantized)]


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        ([L.Dense(4), L.BatchNormalization()], "fuse"),
        ([L.Reshape((6, 2)), L.LSTM(3)], "LSTM has weights that cannot be rounded"),
        ([L.Dense(4, "gelu")], "activation gelu"),
        ([kpl.layers.Pruned(L.Dense(4), 0.5)], "wrapped in Pruned"),
    ],
)
def test_what_cannot_be_rounded_is_named(layers: list[Any], match: str) -> None:
    model = keras.Sequential([keras.Input((12,)), *layers])
    with pytest.raises(kpl.InvalidModelError, match=match):
        kpl.layers.quantized(model, np.ones((3, 12)))


def test_calibration_is_asked_for() -> None:
    with pytest.raises(kpl.InvalidDataError, match="calibration"):
        kpl.layers.quantized(dense(), None)


@pytest.mark.parametrize(("fill", "match"), [(np.nan, "NaN"), (0.5, "All calibration numbers are 0.5")])
def test_calibration_that_gives_no_range(fill: float, match: str) -> None:
    with pytest.raises(kpl.InvalidDataError, match=match):
        kpl.layers.quantized(dense(), np.full((9, *dense().input_shape[1:]), fill, "float32"))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_rounds_as_float32_does(policy: str) -> None:
    x = np.random.default_rng(0).normal(size=(60, 8)).astype("float32")
    layers = [keras.Input((8,)), L.Dense(6, activation="relu", dtype=policy), L.Dense(3, dtype="float32")]
    aware = kpl.layers.quantized(keras.Sequential(layers), x)
    aware.compile("sgd", "mse")
    aware.fit(x, np.zeros((60, 3), "float32"), verbose=0)
    hidden = keras.Model(aware.inputs, aware.layers[-2].output).predict(x, verbose=0)
    assert 2 < len(np.unique(hidden)) <= 256


def test_c_takes_what_was_trained_for_whole_numbers(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 8)).astype("float32")
    aware = kpl.layers.quantized(kpl.prune(keras.Sequential([keras.Input((8,)), L.Dense(6), L.Dense(3)]), 0.5), x)
    plain = kpl.layers.strip(aware)
    for dtype in ("float32", "int8"):
        assert kpl.export_c(aware, tmp_path / "net.h", x, dtype).constant_bytes
        written = (tmp_path / "net.h").read_text()
        kpl.export_c(plain, tmp_path / "net.h", x, dtype)
        assert written == (tmp_path / "net.h").read_text()
