"""From a student's network to files for a device, from the command line: their size and their accuracy."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import keras_prunelab as kpl
import matlab_bridge as mb
from tests.workflows.command import run


@pytest.fixture(scope="module")
def pruned(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("device") / "pruned.mat"
    assert run("prune", workspace, "--sparsity", "0.6", "--out", path) == 0
    return path


def test_int8_loses_less_than_a_point(pruned: Path, workspace: Path, tmp_path: Path) -> None:
    network = mb.load_network(pruned)
    model = network.to_keras()
    data = mb.load_dataset(workspace, network=network)
    written = kpl.export_litert(model, tmp_path / "net.tflite", "int8", calibration=data.inputs[:100])
    assert written.quantize == "int8"
    found = kpl.evaluate_file(tmp_path / "net.tflite", data, model=model)
    outputs = model.predict(np.asarray(data.inputs, np.float32), verbose=0)
    expected = float((outputs.argmax(axis=1) == data.labels).mean())
    assert found.model_metrics["accuracy"] == pytest.approx(expected, abs=1e-12)
    assert found.metrics["accuracy"] >= expected - 0.01
    assert found.agreement is not None
    assert found.agreement >= 0.98


@pytest.mark.parametrize("quantize", [(), ("--quantize", "int8"), ("--quantize", "float16")])
def test_convert_and_evaluate(
    quantize: tuple[str, ...],
    pruned: Path,
    workspace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "out" / "net.tflite"
    assert run("convert", pruned, target, *quantize, "--data", workspace) == 0
    told = capsys.readouterr().out
    size = f"{target.stat().st_size:,}"
    assert f"Wrote {target}" in told
    assert re.search(rf"net\.tflite.*{size}.*\d\d\.\d\d %", told)
    assert "File and model give the same class for" in told
    assert run("evaluate", target, "--model", pruned, "--data", workspace, "--kernels", "reference") == 0
    assert "300 observations, reference kernels." in capsys.readouterr().out


def test_sparse_onnx(pruned: Path, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    assert run("prune", pruned, "--sparsity", "0.95", "--out", tmp_path / "sparse.mat") == 0
    assert run("convert", tmp_path / "sparse.mat", tmp_path / "dense.onnx") == 0
    assert run("convert", tmp_path / "sparse.mat", tmp_path / "net.onnx", "--sparse", "--data", workspace) == 0
    told = capsys.readouterr().out
    assert "initializers stored sparsely" in told
    assert "File and model give the same class for 100.00%" in told
    assert (tmp_path / "net.onnx").stat().st_size < 0.5 * (tmp_path / "dense.onnx").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.tflite", "--quantize", "int8"], "--quantize int8 needs --calibration DATA"),
        (["net.tflite", "--calibration", "lab5.mat"], "--calibration goes with --quantize int8 alone"),
        (["net.h", "--quantize", "int8"], "--quantize means nothing for a .h file"),
        (["net.onnx", "--calibration", "lab5.mat"], "--calibration means nothing for a .onnx file"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], message: str, pruned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, *options = arguments
    network, folder = tmp_path / "alone.keras", tmp_path / "out"
    folder.mkdir()
    mb.load_network(pruned).to_keras().save(network)
    assert run("convert", network, folder / target, *options) == 3
    assert message in capsys.readouterr().err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("with_data", [False, True])
def test_training_data_beside_the_network_calibrates(
    with_data: bool, pruned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, rng = mb.load_network(pruned), np.random.default_rng(0)
    shape = tuple(np.ravel(network.layers[0].settings["InputSize"]).astype(int))
    names = np.array(network.class_names, object)
    pairs = {}
    for split, count in (("Train", 40), ("Test", 20)):
        pairs[f"X{split}"] = rng.integers(0, 256, (*shape, count)).astype(np.uint8)
        pairs[f"Y{split}"] = names[np.arange(count) % len(names)][:, None]
    lab = tmp_path / "lab.mat"
    mb.save_portable(lab, network)
    mb.save(lab, {**mb.load(lab), **pairs})
    used = []
    export = kpl.export_litert
    monkeypatch.setattr(
        kpl,
        "export_litert",
        lambda *given, calibration, **options: (
            used.append(calibration),
            export(*given, calibration=calibration, **options),
        )[1],
    )
    data = ("--data", lab) if with_data else ()
    assert run("convert", lab, tmp_path / "net.tflite", "--quantize", "int8", *data) == 0
    assert "Calibration: 40 observations, XTrain of lab.mat." in capsys.readouterr().out
    (found,) = used
    np.testing.assert_array_equal(found, np.moveaxis(pairs["XTrain"], -1, 0))


def test_prune_within_a_budget(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ethosu")
    out = tmp_path / "fitting.mat"
    whole = kpl.metrics(mb.load_network(workspace).to_keras(), target="ethos-u55-64").target
    assert whole is not None
    limit = whole.flash_bytes // 2
    assert run("prune", workspace, "--budget", f"flash={limit}", "--target", "ethos-u55-64", "--out", out) == 0
    assert "of the weights are zero (matlab convention)" in capsys.readouterr().out
    fitting = kpl.metrics(mb.load_network(out).to_keras(), target="ethos-u55-64").target
    assert fitting is not None
    assert 0.4 * limit < fitting.flash_bytes <= limit


BUDGETS = [
    (("--budget", "flash=60 kB"), 2, "no list such as"),
    (("--budget", "flash=0.5", "--sparsity", "0.5"), 2, "one of them"),
    (("--budget", "ram=500"), 3, "'flash', 'sram', 'cycles'"),
    (("--budget", "flash=0"), 3, "positive numbers"),
    (("--budget", "flash=0.5", "--target", "ethos-n78"), 3, "ethos-u55-128"),
    (("--budget", "flash=10"), 3, "cannot be reached"),
]


@pytest.mark.parametrize(("options", "code", "message"), BUDGETS)
def test_budgets_that_cannot_be(
    options: tuple[str, ...],
    code: int,
    message: str,
    workspace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("ethosu")
    out = tmp_path / "out.mat"
    assert run("prune", workspace, *options, "--out", out) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not out.exists()
