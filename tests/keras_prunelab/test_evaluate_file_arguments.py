"""Models and metrics that do not go with a file, or go with it in another way than its labels ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

L = keras.layers
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="files are written on TensorFlow")
X = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")


def two_outputs() -> keras.Model:
    inputs = keras.Input((6,))
    return keras.Model(inputs, {"one": L.Dense(3)(inputs), "two": L.Dense(2)(inputs)})


def same_share(labels: Any, outputs: Any) -> Any:
    return keras.ops.cast(keras.ops.argmax(outputs, axis=-1) == keras.ops.cast(labels, "int32"), "float32")


def test_metrics_of_ones_own_and_of_each_output(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(3)])
    labels = np.arange(50) % 3
    kpl.export_litert(model, tmp_path / "net.tflite")
    wanted = float(np.mean(np.argmax(model.predict(X, verbose=0), axis=-1) == labels))
    metrics = [same_share, lambda labels, outputs: same_share(labels, outputs)]
    found = kpl.evaluate_file(tmp_path / "net.tflite", (X, labels), model=model, metrics=metrics)
    for measured in (found.metrics, found.model_metrics):
        assert measured == pytest.approx({"same_share": wanted, "<lambda>": wanted})
    model = two_outputs()
    kpl.export_litert(model, tmp_path / "net.tflite")
    outputs = model.predict(X, verbose=0)
    targets = {name: each + shift for (name, each), shift in zip(outputs.items(), (0.5, 2.0), strict=True)}
    found = kpl.evaluate_file(tmp_path / "net.tflite", (X, targets), metrics=["mae"])
    values = {name: value for name, value in found.metrics.items() if name.startswith("mean_absolute_error")}
    assert sorted(values.values()) == pytest.approx([0.5, 2.0], abs=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"metrics": ["mae"]}, kpl.InvalidDataError, r"'mean_absolute_error' cannot compare labels of shape \(50,\)"),
        ({"metrics": ["AUC"]}, kpl.InvalidDataError, "'auc' cannot compare labels"),
        ({"model": "net.keras"}, kpl.InvalidModelError, "not str; keras.saving.load_model"),
        ({"model": keras.Sequential([keras.Input((6,)), L.Dense(4)])}, kpl.InvalidModelError, r"\(3,\), .* \(4,\)"),
        ({"model": two_outputs()}, kpl.InvalidModelError, r"\(3,\), and model .* \(3,\), \(2,\)"),
    ],
)
def test_what_does_not_go_with_the_file(
    options: dict[str, Any], error: type[Exception], match: str, tmp_path: Path
) -> None:
    kpl.export_litert(keras.Sequential([keras.Input((6,)), L.Dense(3)]), tmp_path / "net.tflite")
    keras.metrics.AUC()  # Keras numbers the names of those that follow
    with pytest.raises(error, match=match):
        kpl.evaluate_file(tmp_path / "net.tflite", (X, np.arange(50) % 3), **options)


def test_a_last_batch_that_looks_like_classes_and_one_metric(tmp_path: Path) -> None:
    """Of labels of several classes at once, the row with a single class is no class index."""
    model = keras.Sequential([keras.Input((6,)), L.Dense(3, "sigmoid")])
    kpl.export_litert(model, tmp_path / "net.tflite")
    x = np.random.default_rng(1).normal(size=(257, 6)).astype("float32")  # one more than are read at once
    many = np.random.default_rng(0).integers(0, 2, size=(257, 3)).astype("float32")
    many[-1] = [0, 1, 0]
    wanted = np.sqrt(np.mean((model.predict(x, verbose=0) - many) ** 2))
    assert kpl.evaluate_file(tmp_path / "net.tflite", (x, many)).metrics == pytest.approx({"rmse": wanted}, abs=1e-5)
    top = [keras.metrics.TopKCategoricalAccuracy(each) for each in (1, 2)]
    with pytest.raises(kpl.UnknownNameError, match=r"Two of metrics= are called 'top_k_categorical_accuracy'"):
        kpl.evaluate_file(tmp_path / "net.tflite", (x, many), metrics=top)
    found = kpl.evaluate_file(tmp_path / "net.tflite", (x, many), metrics="binary_accuracy").metrics
    expected = np.mean((model.predict(x, verbose=0) > 0.5) == many)
    assert found == pytest.approx({"binary_accuracy": expected}, abs=1e-6)
