"""Exports of sparse models keep the zeros: written, loaded again, and counted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
import matlab_bridge as mb
from keras_prunelab._backend import to_litert
from keras_prunelab.cli import main

ROOT = Path(__file__).resolve().parents[2]


def pruned() -> keras.Model:
    layers = [
        keras.Input((16, 16, 3)),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(10),
    ]
    return kpl.prune(keras.Sequential(layers), 0.95)


def nonzeros(model: keras.Model) -> int:
    return sum(int(np.count_nonzero(weight)) for weight in model.get_weights())


def test_litert(tmp_path: Path) -> None:
    model = pruned()
    found = kpl.export_litert(model, tmp_path / "model.tflite")
    assert nonzeros(model) <= found <= nonzeros(model) + 64
    dense = keras.Sequential([keras.Input((16, 16, 3)), *map(kept, model.layers)])
    for one, other in zip(dense.weights, model.weights, strict=True):
        one.assign(np.where(other == 0, 0.5, other))
    kpl.export_litert(dense, tmp_path / "dense.tflite")
    assert (tmp_path / "model.tflite").stat().st_size < 0.2 * (tmp_path / "dense.tflite").stat().st_size

    import tensorflow as tf

    with pytest.warns(UserWarning, match="deprecated"):  # TensorFlow points to another package for its interpreter
        interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    interpreter.allocate_tensors()
    x = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype("float32")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(result, model(x), rtol=1e-4, atol=1e-5)


def causal() -> keras.Model:
    """Its mask of 64 x 64 is a constant."""
    inputs = keras.Input((64, 8))
    return keras.Model(inputs, keras.layers.MultiHeadAttention(2, 2)(inputs, inputs, use_causal_mask=True))


def normalized() -> keras.Model:
    statistics = np.random.default_rng(0).uniform(0.5, 1, (2, 32, 32, 3))
    norm = keras.layers.Normalization(axis=(1, 2, 3), mean=statistics[0], variance=statistics[1])
    return keras.Sequential([keras.Input((32, 32, 3)), norm, keras.layers.Conv2D(2, 3)])


def shifted() -> keras.Model:
    """The constant is as large as the kernel."""
    inputs = keras.Input((64, 64))
    constant = np.random.default_rng(0).uniform(0.5, 1, (64, 64)).astype("float32")
    return keras.Model(inputs, keras.layers.Dense(64)(inputs + constant))


@pytest.mark.parametrize(
    ("make", "constants"), [(causal, 64 * 65 // 2), (normalized, 2 * 32 * 32 * 3), (shifted, 64**2)]
)
def test_constants_are_no_weights(make: Callable[[], keras.Model], constants: int, tmp_path: Path) -> None:
    model = kpl.prune(make(), 0.9)
    least = nonzeros(model) + constants
    assert least <= kpl.export_litert(model, tmp_path / "model.tflite") <= least + 64
    assert (tmp_path / "model.tflite").is_file()


def test_zeros_that_are_lost_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = pruned()
    dense = keras.Sequential([keras.Input((16, 16, 3)), *map(kept, model.layers)])
    monkeypatch.setattr(
        "keras_prunelab._export._litert_conversion.to_litert", lambda _, **options: to_litert(dense, **options)
    )
    with pytest.raises(kpl.InvalidModelError, match="though the model has"):
        kpl.export_litert(model, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


STATEFUL = """
import sys, keras, keras_prunelab as kpl
layers = [keras.Input(batch_shape=(1, 5, 3)), keras.layers.LSTM(4, stateful=True), keras.layers.Dense(2)]
assert kpl.export_litert(keras.Sequential(layers), sys.argv[1]) >= 4 * 2
"""


def test_a_state_has_no_value(tmp_path: Path) -> None:
    """In a process of its own, because to read it would end the process."""
    command = [sys.executable, "-c", STATEFUL, str(tmp_path / "model.tflite")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.tflite").is_file()


def kept(layer: keras.layers.Layer) -> keras.layers.Layer:
    return type(layer).from_config(layer.get_config())


def test_litert_files_end_in_tflite(tmp_path: Path) -> None:
    with pytest.raises(kpl.InvalidModelError, match=r"\.tflite"):
        kpl.export_litert(pruned(), tmp_path / "model.lite")


def test_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = pruned()
    mb.export_onnx(tmp_path / "model.onnx", model)
    loaded = onnx.load(str(tmp_path / "model.onnx"))
    arrays = [onnx.numpy_helper.to_array(each) for each in loaded.graph.initializer]
    kernels = [each for each in arrays if each.dtype == np.float32 and each.ndim > 1]
    zeros = sum(int((each == 0).sum()) for each in kernels)
    assert zeros == sum(int((weight == 0).sum()) for weight in model.get_weights() if weight.ndim > 1)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not on the PATH")
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_matlab_network_to_c(
    dtype: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["convert", str(workspace), "out/lab-5.h", "--dtype", dtype, "--data", str(workspace)]
    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code == 0
    assert "bytes of constants" in capsys.readouterr().out
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-DLAB_5_MAIN"]
    subprocess.run(["gcc", *flags, "-x", "c", "out/lab-5.h", "-o", "net", "-lm"], check=True)
    result = subprocess.run([tmp_path / "net"], capture_output=True, check=True, encoding="utf-8")
    first, *classes = result.stdout.splitlines()
    assert float(first.split()[-1]) < (1e-5 if dtype == "float32" else 0.1)
    assert [line.split()[0] for line in classes] == list(mb.load_network(workspace).class_names)


def test_an_int8_header_needs_data(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mb.load_network(workspace).to_keras().save(tmp_path / "alone.keras")
    with pytest.raises(SystemExit) as end:
        main(["convert", str(tmp_path / "alone.keras"), str(tmp_path / "net.h"), "--dtype", "int8"])
    assert end.value.code == 3
    assert "needs data=" in capsys.readouterr().err
    assert not (tmp_path / "net.h").exists()
