"""Models that compute in 16 or 64 bits, or keep a state from call to call: C and LiteRT do neither by themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .c_headers import RUN, compiled, needs_gcc, randomized, run

L = keras.layers


def in_policy(policy: str) -> keras.Model:
    """Layers of one policy, the last of float32, as Keras advises for mixed precision."""
    layers = [
        keras.Input((6, 6, 1)),
        L.Conv2D(4, 3, dtype=policy),
        L.BatchNormalization(dtype=policy),
        L.ReLU(dtype=policy),
        L.Flatten(dtype=policy),
        L.Dense(20, activation="tanh", dtype=policy),
        L.Dense(3, dtype="float32"),
    ]
    return randomized(keras.Sequential(layers))


def by_hand(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The outputs of `in_policy`, in double precision, from the weights as they are."""
    kernel, bias, gamma, beta, mean, variance, first, first_bias, last, last_bias = (
        np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")), np.float64) for each in model.weights
    )
    seen = np.lib.stride_tricks.sliding_window_view(x[..., 0].astype(np.float64), (3, 3), axis=(1, 2))
    found = np.einsum("nrcij,ijo->nrco", seen, kernel[:, :, 0]) + bias
    found = np.maximum((found - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0).reshape(len(x), -1)
    return np.asarray(np.tanh(found @ first + first_bias) @ last + last_bias)


POLICIES = ["mixed_float16", "mixed_bfloat16", "float16", "float64"]


@needs_gcc
@pytest.mark.parametrize("policy", POLICIES)
def test_c_computes_other_precisions_in_float32(policy: str, tmp_path: Path) -> None:
    if policy == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is told to")
    model = in_policy(policy)
    policies = [layer.dtype_policy.name for layer in model.layers]
    kpl.export_c(model, tmp_path / "net.h")
    x = np.random.default_rng(2).normal(size=(20, 6, 6, 1)).astype("float32")
    wanted = by_hand(model, x)
    found = run(compiled(tmp_path, RUN, [36], [3], "float32"), x)
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert [layer.dtype_policy.name for layer in model.layers] == policies


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="files are written on TensorFlow")
@pytest.mark.parametrize("policy", POLICIES)
def test_litert_computes_other_precisions_in_float32(policy: str, tmp_path: Path) -> None:
    model = in_policy(policy)
    x = np.random.default_rng(2).normal(size=(40, 6, 6, 1)).astype("float32")
    wanted = by_hand(model, x).astype("float32")
    spread = float(np.abs(wanted).max())
    kpl.export_litert(model, tmp_path / "net.tflite")
    assert kpl.evaluate_file(tmp_path / "net.tflite", (x, wanted)).metrics["rmse"] < 1e-5 * spread
    if policy in ("mixed_float16", "float64"):
        kpl.export_litert(model, tmp_path / "net.tflite", "int8", calibration=x)
        assert kpl.evaluate_file(tmp_path / "net.tflite", (x, wanted)).metrics["rmse"] < 0.02 * spread


def stateful(batch: int = 1) -> keras.Model:
    layers = [
        keras.Input(batch_shape=(batch, 8, 3)),
        L.LSTM(5, stateful=True, return_sequences=True),
        L.GRU(4, stateful=True),
        L.Dense(2),
    ]
    return randomized(keras.Sequential(layers))


def from_zero(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The outputs of the same layers, each observation from a state of zero."""
    same = keras.Sequential([keras.Input((8, 3)), L.LSTM(5, return_sequences=True), L.GRU(4), L.Dense(2)])
    same.set_weights([weight.numpy() if hasattr(weight, "numpy") else weight for weight in model.get_weights()[:8]])
    return np.asarray(same.predict_on_batch(x))


@needs_gcc
@pytest.mark.parametrize("batch", [1, 4])
def test_c_begins_where_no_state_is_and_leaves_that_of_the_model(batch: int, tmp_path: Path) -> None:
    model = stateful(batch)
    x = np.random.default_rng(2).normal(size=(12, 8, 3)).astype("float32")
    model(x[:batch])
    before = [np.asarray(keras.ops.convert_to_numpy(each)) for each in model.layers[0].states]
    assert before[0].any()
    for dtype, share in (("float32", 1e-5), ("int8", 0.04)):
        kpl.export_c(model, tmp_path / "net.h", x, dtype)
        command = ["gcc", "-std=c99", "-DNET_MAIN", "-x", "c", "net.h", "-o", "net", "-lm"]
        subprocess.run(command, check=True, cwd=tmp_path)
        lines = subprocess.run([tmp_path / "net"], capture_output=True, check=True).stdout.decode().splitlines()
        wanted = from_zero(model, x)
        assert float(lines[0].split()[-1]) < share * np.abs(wanted).max()
        found = [float(line.split()[-1]) for line in lines[1:]]
        np.testing.assert_allclose(found, wanted[0], atol=share * np.abs(wanted).max())
    for one, other in zip(model.layers[0].states, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), other)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="files are written on TensorFlow")
def test_files_of_stateful_models_are_compared_one_observation_after_the_other(tmp_path: Path) -> None:
    model = stateful()
    x = np.random.default_rng(2).normal(size=(6, 8, 3)).astype("float32")
    model.predict(x[:1], verbose=0)
    model.layers[0].reset_state()
    model.layers[1].reset_state()
    y = model.predict(x, batch_size=1, verbose=0)  # which leaves the states of the last one
    kpl.export_litert(model, tmp_path / "net.tflite")
    found = kpl.evaluate_file(tmp_path / "net.tflite", (x, y), model=model)
    assert found.difference is not None
    assert found.difference < 1e-5
    assert found.metrics["rmse"] < 1e-5
    assert found.model_metrics["rmse"] < 1e-5


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="files are written on TensorFlow")
def test_states_of_several_observations_are_refused_by_litert(tmp_path: Path) -> None:
    with pytest.raises(kpl.InvalidModelError, match=r"stateful for 4 observations .*batch_shape"):
        kpl.export_litert(stateful(4), tmp_path / "net.tflite")
    assert not list(tmp_path.iterdir())
