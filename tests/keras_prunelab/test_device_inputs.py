"""Bad input of the exports for devices: one clear error each, before anything is converted or written."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._backend import _converter

L = keras.layers
X = np.random.default_rng(0).normal(size=(64, 12)).astype(np.float32)
needs_litert = pytest.mark.skipif(keras.config.backend() == "jax", reason="LiteRT files cannot be written on JAX")


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((12,)), L.Dense(16, "relu"), L.Dense(4, "softmax")], name="net")


def _litert(model: keras.Model, x: Any, folder: Path) -> None:
    kpl.export_litert(model, folder / "net.tflite", "int8", calibration=x)


def _micro(model: keras.Model, x: Any, folder: Path) -> None:
    pytest.importorskip("tflite_micro")
    kpl.export_litert(model, folder / "net.tflite", "int8", runtime="tflm", calibration=x)


def _c(model: keras.Model, x: Any, folder: Path) -> None:
    kpl.export_c(model, folder / "net.h", x, "int8")


def _sweep(model: keras.Model, x: Any, folder: Path) -> None:  # nothing is written
    kpl.sweep(model, (X, np.arange(64) % 4), [0.5], metrics=["int8_accuracy"], calibration=x)


def _vela(model: keras.Model, x: Any, folder: Path) -> None:
    if not importlib.util.find_spec("ethosu"):
        pytest.skip("ethos-u-vela is not installed")
    kpl.metrics(model, target="ethos-u55-128", calibration=x)


EXPORTS: dict[str, Callable[[keras.Model, Any, Path], None]] = {
    "litert": _litert,
    "tflm": _micro,
    "c": _c,
    "sweep": _sweep,
    "vela": _vela,
}
nowhere = X.copy()
nowhere[3, 2] = np.nan
beyond = X.copy()
beyond[3, 2] = np.inf
CALIBRATION = {
    "nan": (nowhere, "NaN or infinite"),
    "infinite": (beyond, "NaN or infinite"),
    "constant": (np.ones_like(X), "range"),
    "empty": (X[:0], "empty"),
    "another shape": (X[:, :5], r"shape \(12,\).*\(5,\)"),
    "text": (np.array([["low"] * 12] * 4), "text such as 'low'"),
}


@needs_litert
@pytest.mark.parametrize("kind", CALIBRATION)
@pytest.mark.parametrize("export", EXPORTS)
def test_calibration_that_cannot_be(export: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_converter._PROCESS, "ask", lambda _: pytest.fail("it was converted"))
    x, message = CALIBRATION[kind]
    with pytest.raises(kpl.InvalidDataError, match=message):
        EXPORTS[export](network(), x, tmp_path)
    assert not list(tmp_path.iterdir())


@needs_litert
@pytest.mark.parametrize("export", ["litert", "tflm", "c"])
def test_calibration_that_is_missing(export: str, tmp_path: Path) -> None:
    with pytest.raises(kpl.InvalidDataError, match=r"needs (calibration|data)=.* some hundred"):
        EXPORTS[export](network(), None, tmp_path)


@needs_litert
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("export", EXPORTS)
def test_weights_that_are_no_numbers(
    export: str, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_converter._PROCESS, "ask", lambda _: pytest.fail("it was converted"))
    model = network()
    kernel = keras.ops.convert_to_numpy(model.layers[0].kernel).copy()
    kernel[0, 0] = value
    model.layers[0].kernel.assign(kernel)
    with pytest.raises(kpl.InvalidModelError, match=r"NaN or infinite|not finite"):
        EXPORTS[export](model, X, tmp_path)
    assert not list(tmp_path.iterdir())


@keras.saving.register_keras_serializable("prunelab_tests")
class Unknown(L.Layer):
    """What LiteRT has no operator for."""

    def call(self, x: Any) -> Any:
        return keras.ops.erf(x)


@needs_litert
@pytest.mark.parametrize("export", EXPORTS)
def test_an_operator_that_a_target_lacks_is_named_in_a_sentence(export: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((12,)), L.Dense(16), Unknown(name="odd"), L.Dense(4, "softmax")], name="net")
    with pytest.raises(kpl.InvalidModelError, match=r"no operator Erf|'odd'") as caught:
        EXPORTS[export](model, X, tmp_path)
    assert not any(word in str(caught.value) for word in ("MLIR", "loc(", "<unknown>", "\x1b"))
    assert len(str(caught.value)) < 400
    assert not list(tmp_path.iterdir())


@needs_litert
def test_an_operator_that_is_unknown_to_float32_too(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((12,)), Unknown(), L.Dense(4)], name="net")
    with pytest.raises(kpl.InvalidModelError, match=r"as LiteRT: LiteRT has no operator Erf\. matlab_bridge"):
        kpl.export_litert(model, tmp_path / "net.tflite")


@needs_litert
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_inputs_that_tensorflow_lite_micro_does_not_convert(dtype: str, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    x = np.random.default_rng(0).integers(0, 256, (40, 6)).astype("float32")
    layers = [L.Rescaling(1 / 255), L.Dense(3)]
    model = keras.Sequential([keras.Input((6,), dtype=dtype), *layers])
    with pytest.raises(kpl.InvalidModelError, match=rf"is {dtype}, .* dtype='float32'"):
        kpl.export_litert(model, tmp_path / "net.tflite", "int8", runtime="tflm", calibration=x)
    assert not list(tmp_path.iterdir())
    model = keras.Sequential([keras.Input((6,), dtype="float32"), *layers])  # as the error says
    kpl.export_litert(model, tmp_path / "net.tflite", "int8", runtime="tflm", calibration=x, input_type="uint8")
    found = kpl.evaluate_file(tmp_path / "net.tflite", (x, model.predict(x, verbose=0)), model=model)
    assert found.difference is not None
    assert found.difference < 0.03


@needs_litert
def test_an_operator_that_the_reference_kernels_lack(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(4, activation="elu"), L.Dense(2)])
    kpl.export_litert(model, tmp_path / "net.tflite")
    x = np.ones((3, 6), "float32")
    data = (x, model.predict(x, verbose=0))
    with pytest.raises(kpl.InvalidModelError, match=r"reference kernels have no operator ELU, .*kernels='default'"):
        kpl.evaluate_file(tmp_path / "net.tflite", data, kernels="reference")
    assert kpl.evaluate_file(tmp_path / "net.tflite", data).metrics["rmse"] < 1e-5


def overflowing() -> keras.Model:
    model = keras.Sequential([keras.Input((12,)), L.Dense(4), L.Dense(2)])
    model.layers[0].kernel.assign(np.full((12, 4), 1e30, "float32"))
    model.layers[1].kernel.assign(np.full((4, 2), 1e20, "float32"))
    return model


@needs_litert
def test_outputs_that_overflow_are_refused_by_litert(tmp_path: Path) -> None:
    with pytest.raises(kpl.InvalidDataError, match="outputs that are NaN or infinite"):
        kpl.export_litert(overflowing(), tmp_path / "net.tflite", "int8", calibration=X)
    assert not list(tmp_path.iterdir())


def test_outputs_that_overflow_are_refused_by_c(tmp_path: Path) -> None:
    for dtype in ("float32", "int8"):
        with pytest.raises(kpl.InvalidModelError, match=r"outputs that are NaN or infinite .* the first observation"):
            kpl.export_c(overflowing(), tmp_path / "net.h", X, dtype)
    later = np.concatenate([np.zeros_like(X[:1]), X])
    with pytest.raises(kpl.InvalidDataError, match=r"values of .* are NaN or infinite on the calibration data"):
        kpl.export_c(overflowing(), tmp_path / "net.h", later, "int8")
    assert not list(tmp_path.iterdir())


def sequences() -> tuple[keras.Model, list[Any], Any]:
    model = keras.Sequential([keras.Input((None, 3)), L.GRU(5), L.Dense(2, activation="softmax")])
    rng = np.random.default_rng(0)
    return model, [rng.normal(size=(length, 3)).astype(np.float32) for length in (5, 7, 5, 9)], np.array([0, 1, 1, 0])


def test_c_is_calibrated_on_sequences_of_any_length(tmp_path: Path) -> None:
    model, inputs, labels = sequences()
    for data in (inputs, (inputs, labels), (inputs, list(labels))):
        kpl.export_c(model, tmp_path / "net.h", data, "int8")
        text = (tmp_path / "net.h").read_text()
        ends = min(float(each.min()) for each in inputs), max(float(each.max()) for each in inputs)
        assert f"#define NET_INPUT_SCALE {np.float32((ends[1] - ends[0]) / 255)!s}f" in text
        assert "net_test_input[15]" in text  # the first
    with pytest.raises(kpl.InvalidDataError, match=r"different lengths: \[3, 4\]"):
        kpl.export_c(model, tmp_path / "net.h", (inputs, labels[:3]), "int8")


@needs_litert
def test_files_are_measured_on_sequences_of_any_length(tmp_path: Path) -> None:
    model, inputs, labels = sequences()
    kpl.export_litert(model, tmp_path / "net.tflite")
    answers = [int(model.predict(each[None], verbose=0).argmax()) for each in inputs]
    found = kpl.evaluate_file(tmp_path / "net.tflite", (inputs, labels), model=model)
    assert found.metrics["accuracy"] == np.mean(np.array(answers) == labels)
    assert found.agreement == 1
    assert found.observations == 4


@needs_litert
def test_what_is_no_model_or_not_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(kpl.InvalidModelError, match=r"not str; keras.saving"):
        kpl.export_litert("net.keras", tmp_path / "net.tflite")
    with pytest.raises(kpl.InvalidModelError, match=r"is not built. Give it a keras.Input"):
        kpl.export_litert(keras.Sequential([L.Dense(3)]), tmp_path / "net.tflite")


@pytest.mark.parametrize("ending", [".h", ".tflite"])
def test_a_folder_that_is_missing_is_told_before_any_work(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if ending == ".tflite" and keras.config.backend() == "jax":
        pytest.skip("LiteRT files cannot be written on JAX")
    monkeypatch.setattr(keras.Model, "__call__", None)
    export = kpl.export_c if ending == ".h" else kpl.export_litert
    with pytest.raises(FileNotFoundError, match="make it before"):
        export(network(), f"none/net{ending}")


def test_c_takes_calibration_by_its_other_name(tmp_path: Path) -> None:
    model = network()
    for name in ("data", "calibration"):
        kpl.export_c(model, tmp_path / f"{name}.h", dtype="int8", name="net", **{name: X})
    texts = [(tmp_path / f"{name}.h").read_text() for name in ("data", "calibration")]
    assert texts[0] == texts[1]
    with pytest.raises(kpl.InvalidDataError, match="both were given"):
        kpl.export_c(model, tmp_path / "net.h", X, "int8", calibration=X)
