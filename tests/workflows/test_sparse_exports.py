"""Exports of sparse models keep the zeros: written, loaded again, and counted."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
import matlab_bridge as mb


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


def kept(layer: keras.layers.Layer) -> keras.layers.Layer:
    return type(layer).from_config(layer.get_config())


def test_litert_files_end_in_tflite(tmp_path: Path) -> None:
    with pytest.raises(kpl.InvalidModelError, match=r"\.tflite"):
        kpl.export_litert(pruned(), tmp_path / "model.lite")


def test_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = pruned()
    mb.export_onnx(model, tmp_path / "model.onnx")
    loaded = onnx.load(str(tmp_path / "model.onnx"))
    arrays = [onnx.numpy_helper.to_array(each) for each in loaded.graph.initializer]
    kernels = [each for each in arrays if each.dtype == np.float32 and each.ndim > 1]
    zeros = sum(int((each == 0).sum()) for each in kernels)
    assert zeros == sum(int((weight == 0).sum()) for weight in model.get_weights() if weight.ndim > 1)
