"""Measures of the files that a sweep exports, against files exported one by one and run by LiteRT's own interpreter."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._backend import _converter
from keras_prunelab._evaluate._file_metrics import _measured_file

L = keras.layers
RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(4, 12)).astype(np.float32)
Y = np.arange(160) % 4
X = (CENTRES[Y] + 0.4 * RNG.normal(size=(160, 12))).astype(np.float32)
LEVELS = [0.0, 0.5, 0.9]
needs_files = pytest.mark.skipif(
    keras.config.backend() == "jax" or not importlib.util.find_spec("ai_edge_litert"),
    reason="LiteRT files cannot be written on JAX, or ai-edge-litert, which runs them, is not installed",
)
needs_micro = pytest.mark.skipif(
    not importlib.util.find_spec("tflite_micro"), reason="tflite-micro, which runs the files, is not installed"
)


def classifier() -> keras.Model:
    """Two layers that tell the centres apart, the first by random features."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((12,)), L.Dense(64, "relu"), L.Dense(4)], name="blobs")
    hidden = keras.ops.convert_to_numpy(model.layers[0](X))
    kernel = np.linalg.lstsq(hidden, np.eye(4, dtype=np.float32)[Y], rcond=None)[0]
    model.layers[1].set_weights([kernel, np.zeros(4)])
    return model


def answers(path: Path, x: np.ndarray) -> np.ndarray:
    """The outputs of a file with int8 ends, one observation at a time, by the interpreter alone."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = source["quantization"]
    found = []
    for each in x:
        steps = np.clip(np.round(each / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], steps[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0].astype(np.float64))
    scale, zero = target["quantization"]
    return scale * (np.array(found) - zero)


@needs_files
@needs_micro
def test_each_level_is_measured_as_the_file_that_is_exported_of_it(tmp_path: Path) -> None:
    model = classifier()
    metrics = ["accuracy", "int8_accuracy", "litert_bytes", "flash_bytes"]
    result = kpl.sweep(model, (X, Y), LEVELS, calibration=X[::2], metrics=metrics)
    assert list(result.table.columns)[8:12] == metrics
    for level, row in zip(LEVELS, result.table.to_dict("records"), strict=True):
        pruned = kpl.prune(model, level)
        written = kpl.export_litert(pruned, tmp_path / "net.tflite", "int8", calibration=X[::2])
        # Of the same LiteRT file, whose dense layers have a scale for each output.
        micro = kpl.export_litert(
            pruned, tmp_path / "micro.tflite", "int8", runtime="tflm", calibration=X[::2], dense_scales="channel"
        )
        right = answers(tmp_path / "net.tflite", X).argmax(axis=1) == Y
        assert row["int8_accuracy"] == pytest.approx(right.mean(), abs=1e-12)
        assert (row["litert_bytes"], row["flash_bytes"]) == (written.bytes, micro.bytes)
    assert result.table["flash_bytes"].is_monotonic_decreasing
    assert result.metadata["dense_int8_accuracy"] == result.table["int8_accuracy"][0]
    assert result.metadata["calibration"] == "data of its own"
    assert "files_left_out" not in result.metadata


@needs_files
def test_the_first_measure_is_what_choices_go_by() -> None:
    result = kpl.sweep(classifier(), (X, Y), LEVELS, metrics=["int8_accuracy", "accuracy"])
    assert (result.metric.name, result.metric.is_fraction) == ("int8_accuracy", True)
    choice = result.choose(max_drop=0.02)
    row = result.table.iloc[choice.index]
    assert choice.accuracy == row["int8_accuracy"]
    lost, gained = row["lost"], row["gained"]
    assert (gained - lost) / len(X) == pytest.approx(row["int8_accuracy"] - result.dense, abs=1e-12)
    smallest = kpl.sweep(classifier(), (X, Y), LEVELS, metrics=["litert_bytes"])
    assert not smallest.metric.higher_is_better
    assert "accuracy" not in smallest.table


@needs_files
@pytest.mark.parametrize("name", ["int8_rmse", "float16_rmse", "int8_weights_rmse"])
def test_responses(name: str, tmp_path: Path) -> None:
    model = classifier()
    wanted = np.eye(4, dtype=np.float32)[Y] + 0.25
    result = kpl.sweep(model, (X, wanted), [0.5], metrics=["rmse", name])
    quantize: Any = name.removesuffix("_rmse").replace("_", "-")
    calibration = X if quantize == "int8" else None
    kpl.export_litert(kpl.prune(model, 0.5), tmp_path / "net.tflite", quantize, calibration=calibration)
    found = kpl.evaluate_file(tmp_path / "net.tflite", (X, wanted)).metrics["rmse"]
    assert result.table[name][0] == pytest.approx(found, rel=1e-6)
    assert result.table[name][0] == pytest.approx(result.table["rmse"][0], rel=0.02)


@needs_files
def test_a_stored_sweep_goes_on_without_converting_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, made = classifier(), []
    convert = _measured_file.MeasuredFile

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return convert(*arguments)

    monkeypatch.setattr("keras_prunelab._evaluate._file_metrics._meter.MeasuredFile", counted)
    options: dict[str, Any] = {"metrics": ["accuracy", "int8_accuracy"], "store": tmp_path / "sweep.db"}
    first = kpl.sweep(model, (X, Y), LEVELS, **options)
    assert len(made) == 1 + len(LEVELS)
    again = kpl.sweep(model, (X, Y), LEVELS, **options)
    assert len(made) == 1 + len(LEVELS)
    assert again.table.equals(first.table)
    with pytest.raises(kpl.StoreMismatchError, match="metrics"):
        kpl.sweep(model, (X, Y), LEVELS, metrics=["accuracy", "float16_accuracy"], store=tmp_path / "sweep.db")


@needs_files
def test_a_level_that_cannot_be_converted_is_missing_with_its_reason_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier()
    ask = _converter._PROCESS.ask

    def refuse(job: dict[str, Any]) -> Any:
        kernel = keras.ops.convert_to_numpy(model.layers[0].kernel)
        return "no such operator" if (kernel == 0).mean() > 0.4 else ask(job)

    monkeypatch.setattr(_converter._PROCESS, "ask", refuse)
    options: dict[str, Any] = {"metrics": ["accuracy", "int8_accuracy"], "store": tmp_path / "sweep.db"}
    for _ in range(2):  # measured, and read from the store
        result = kpl.sweep(model, (X, Y), [0.0, 0.5, 0.9], **options)
        assert result.complete
        assert np.isnan(result.table["int8_accuracy"]).tolist() == [False, True, True]
        assert np.isfinite(result.table["accuracy"]).all()
        reason = str(result.metadata["files_left_out"])
        assert reason.startswith("from 50.00 % on, ")
        assert reason.count("no such operator") == 1


@needs_files
def test_a_network_that_cannot_be_int8_is_refused_before_any_point() -> None:
    model = keras.Sequential([keras.Input((None, 3)), L.LSTM(4), L.Dense(2)])
    lengths = [6, 9] * 10  # no length is the one in use
    data = [RNG.normal(size=(length, 3)).astype("float32") for length in lengths], np.arange(20) % 2
    told: list[int] = []
    with pytest.raises(kpl.InvalidModelError, match="free length") as caught:
        kpl.sweep(model, data, LEVELS, metrics=["accuracy", "int8_accuracy"], progress=lambda at: told.append(at.done))
    assert str(caught.value).count("free length") == 1
    assert not any(told)
    result = kpl.sweep(model, data, [0.5], metrics=["accuracy", "float16_accuracy", "litert_bytes"])
    assert result.table["float16_accuracy"][0] == pytest.approx(result.table["accuracy"][0], abs=0.051)


def sequences(length: int | None) -> keras.Model:
    keras.utils.set_random_seed(1)
    # Files hold the layers' names, which Keras counts on.
    conv, out = L.Conv1D(8, 5, padding="same", name="conv"), L.Dense(2, name="out")
    body = [keras.Input((length, 3), name="in"), conv, L.GlobalAveragePooling1D(name="mean"), out]
    return keras.Sequential(body, name="net")


@needs_files
@needs_micro
@pytest.mark.parametrize("form", ["array", "list", "stream"])
def test_free_lengths_are_those_of_the_data(form: str, tmp_path: Path) -> None:
    x, y = RNG.normal(size=(40, 12, 3)).astype("float32"), np.arange(40) % 2
    data: Any = {"array": (x, y), "list": (list(x), y), "stream": lambda: iter([(x[:25], y[:25]), (x[25:], y[25:])])}
    metrics = ["accuracy", "int8_accuracy", "flash_bytes"]
    result = kpl.sweep(sequences(None), data[form], [0.25], calibration=x, metrics=metrics)
    pruned = kpl.prune(sequences(12), 0.25)  # the same network, built for that length
    kpl.export_litert(pruned, tmp_path / "net.tflite", "int8", calibration=x)
    micro = kpl.export_litert(
        pruned, tmp_path / "micro.tflite", "int8", runtime="tflm", calibration=x, dense_scales="channel"
    )
    right = answers(tmp_path / "net.tflite", x).argmax(axis=1) == y
    assert result.table["int8_accuracy"][0] == pytest.approx(right.mean(), abs=1e-12)
    assert result.table["flash_bytes"][0] == micro.bytes
    assert result.metadata["file_lengths"] == "12"


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"metrics": ["int8_rmse"]}, kpl.UnknownNameError, "'int8_accuracy'"),
    ({"metrics": ["int8_accuracy", "float16_accuracy"]}, kpl.UnknownNameError, "one kind of numbers"),
    ({"metrics": ["float16_accuracy", "flash_bytes"]}, kpl.UnknownNameError, "'flash_bytes' is of int8"),
    ({"metrics": ["int8_acuracy"]}, kpl.UnknownNameError, "int8_accuracy"),
]


@needs_files
@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_bad_measures_are_refused_before_work(
    options: dict[str, Any], error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_converter._PROCESS, "ask", lambda _: pytest.fail("it was converted"))
    if any("flash" in each for each in options["metrics"]) and not importlib.util.find_spec("tflite_micro"):
        pytest.skip("tflite-micro is not installed")
    with pytest.raises(error, match=message):
        kpl.sweep(classifier(), (X, Y), LEVELS, **options)


@needs_files
@pytest.mark.parametrize(
    ("missing", "metric", "extra"),
    [("tflite_micro", "flash_bytes", "device"), ("tensorflow", "int8_accuracy", "tensor")],
)
def test_what_is_not_installed_is_named(missing: str, metric: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == missing else find(name, *more))
    with pytest.raises(kpl.MissingBackendError, match=rf"keras-prunelab\[{extra}"):
        kpl.plan_sweep(classifier(), (X, Y), LEVELS, metrics=["accuracy", metric])


@pytest.mark.backends
@pytest.mark.skipif(keras.config.backend() != "jax", reason="only JAX cannot write LiteRT files")
def test_on_jax_the_backends_that_write_files_are_named() -> None:
    with pytest.raises(kpl.MissingBackendError, match="KERAS_BACKEND=tensorflow or KERAS_BACKEND=torch"):
        kpl.plan_sweep(classifier(), (X, Y), LEVELS, metrics=["int8_accuracy"])


@needs_files
def test_ranges_are_measured_on_observations_from_all_of_the_data() -> None:
    kept = _measured_file.spread(
        (_Batch(np.arange(start, min(start + 256, 5000))[:, None]) for start in range(0, 5000, 256)), 200
    )
    ((found,),) = kept()
    places = found[:, 0]
    assert 200 <= len(places) < 400
    assert len(set(np.diff(places))) == 1
    assert places[0] == 0
    assert places[-1] > 4900


class _Batch:
    def __init__(self, inputs: np.ndarray) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)
