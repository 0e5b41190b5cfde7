"""The lab with calibration data: what it takes, the curve that it adds, and the weights that MATLAB gets."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import keras_prunelab as kpl
import matlab_bridge as mb

from .command import run
from .test_lab import HTML, assert_repeated

pytestmark = pytest.mark.slow

LEVELS = "0.5,0.7,0.8"


@pytest.fixture
def trained_on(workspace: Path, example: ModuleType, tmp_path: Path) -> Path:
    """A workspace that also has digits of the training set."""
    images, labels, x, y = example.digits()
    digits = [f"{digit}" for digit in range(10)]
    mb.save_portable(
        tmp_path / "lab5.mat",
        mb.load_network(workspace).to_keras(),
        class_names=tuple(digits),
        variables={
            "XValidation": x[:200].transpose(1, 2, 3, 0),
            "YValidation": pd.Categorical.from_codes(y[:200], categories=digits),
            "XTrain": images[:150].transpose(1, 2, 3, 0),
            "YTrain": pd.Categorical.from_codes(labels[:150], categories=digits),
        },
    )
    return tmp_path / "lab5.mat"


def test_the_lab_takes_training_data_and_writes_solved_weights(
    trained_on: Path, example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, x, y = example.digits()
    out = tmp_path / "out"
    arguments = ("--scores", "magnitude", "--sparsities", LEVELS, "--max-drop", "0.1", "--out", out)
    assert run("lab", tmp_path / "lab5.mat", *arguments, *HTML) == 0
    said = capsys.readouterr().out
    assert "Calibration: 150 observations, XTrain" in said
    table = pd.read_csv(out / "sweep.csv")
    assert {*zip(table["score"], table["training"], strict=True)} >= {("magnitude", "none"), ("obs", "reconstruction")}
    sparsest = table[table["sparsity_target"] == 0.8].set_index("training")["accuracy"]
    assert sparsest["reconstruction"] > sparsest["none"]
    choice = mb.load(out / "results.mat")["choice"]
    assert choice["Score"] == "obs"
    # What MATLAB gets: as many zeros as were chosen, and other numbers than before in the weights that are left.
    before, after = (mb.load_network(path).to_keras() for path in (tmp_path / "lab5.mat", out / "pruned.mat"))
    assert kpl.sparsity(after, convention="matlab") == pytest.approx(choice["Sparsity"].item(), abs=1e-9)
    pairs = list(zip(before.trainable_weights, after.trainable_weights, strict=True))
    kept = [(one.numpy()[two.numpy() != 0], two.numpy()[two.numpy() != 0]) for one, two in pairs]
    assert any(not np.allclose(one, two) for one, two in kept)
    right = after.predict(x[:200].astype(np.float32), verbose=0).argmax(-1) == y[:200]
    assert right.mean() == pytest.approx(choice["Accuracy"].item())
    assert "XTrain" in (out / "report.html").read_text(encoding="utf-8")
    note = mb.load(out / "pruned.mat")["prunelab_note"]
    assert note.startswith("Pruned by obs, ")
    assert note.endswith("Calibration: 150 observations, XTrain of lab5.mat.")


def test_without_any_it_says_so_and_halves_on_demand(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(workspace, tmp_path / "lab5.mat")
    sweep = ("sweep", tmp_path / "lab5.mat", "--sparsities", "0.8", "--out", tmp_path / "sweep.csv")
    assert run(*sweep, "--reconstruct", "--calibration-split", "0.5") == 0
    assert "150 of the 300 observations" in capsys.readouterr().out
    assert list(pd.read_csv(tmp_path / "sweep.csv")["training"]) == ["none", "reconstruction"]
    assert run(*sweep, "--reconstruct") == 0
    assert "flatters" in capsys.readouterr().out
    assert run(*sweep, "--reconstruct", "--calibration-split", "1.5") == 3
    pruned = tmp_path / "pruned.mat"
    given = ("--sparsity", "0.8", "--score", "obs", "--reconstruct", "--calibration", workspace, "--out", pruned)
    assert run("prune", tmp_path / "lab5.mat", *given) == 0
    assert kpl.sparsity(mb.load_network(pruned).to_keras(), convention="matlab") == pytest.approx(0.8, abs=0.02)
    note = mb.load(pruned)["prunelab_note"]
    assert "then sequential reconstruction. Calibration: " in note
    assert workspace.name in note
    assert run("prune", tmp_path / "lab5.mat", "--sparsity", "0.8", "--out", tmp_path / "plain.mat") == 0
    assert "prunelab_note" not in mb.load(tmp_path / "plain.mat")


def test_one_report_compares_as_it_is_solved_trained_and_both(
    trained_on: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ("--scores", "magnitude", "--sparsities", "0.5,0.9", "--max-drop", "0.3", "--finetune", "2")
    assert run("lab", trained_on, *arguments, *HTML, "--out", out) == 0
    said = capsys.readouterr().out
    assert "4 networks, 2 epochs each, on 150 observations" in said
    table = pd.read_csv(out / "sweep.csv")
    assert {*zip(table["score"], table["training"], strict=True)} >= {
        *(("magnitude", "none"), ("magnitude", "2 epochs")),
        *(("obs", "reconstruction"), ("obs", "reconstruction, 2 epochs")),
    }
    sparsest = table[table["sparsity_target"] == 0.9].set_index(["score", "training"])["accuracy"]
    assert sparsest["magnitude", "2 epochs"] > sparsest["magnitude", "none"]
    # What is written is the network that was measured, whichever was chosen.
    choice = mb.load(out / "results.mat")["choice"]
    written, data = mb.load_network(out / "pruned.mat"), mb.load_dataset(trained_on, "XValidation")
    right = written.to_keras().predict(data.inputs.astype(np.float32), verbose=0).argmax(-1) == data.labels
    assert right.mean() == pytest.approx(choice["Accuracy"].item())
    assert mb.load(out / "results.mat")["about"]["Details"]["Calibration"] == "150 observations, XTrain of lab5.mat"
    assert_repeated(out)


def test_the_report_repeats_a_split(workspace: Path, tmp_path: Path) -> None:
    shutil.copy(workspace, tmp_path / "lab5.mat")
    arguments = ("--scores", "magnitude", "--sparsities", "0.5,0.8", "--max-drop", "0.3", "--calibration-split", "0.5")
    assert run("lab", tmp_path / "lab5.mat", *arguments, *HTML, "--out", tmp_path / "out") == 0
    assert_repeated(tmp_path / "out")


def test_a_sweep_has_all_four_curves(trained_on: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep.csv"
    given = ("--sparsities", "0.8", "--reconstruct", "--finetune", "1", "--out", out)
    assert run("sweep", trained_on, *given) == 0
    assert list(pd.read_csv(out)["training"]) == ["none", "1 epoch", "reconstruction", "reconstruction, 1 epoch"]
    assert run("sweep", trained_on, "--sparsities", "0.8", "--train", trained_on, "--epochs", "1", "--out", out) == 0
    assert list(pd.read_csv(out)["training"]) == ["1 epoch"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--finetune", "1"], "--finetune needs training data with labels, but there is no data beside"),
        (["--finetune", "1", "--calibration", "{workspace}"], "would train on the observations that are measured"),
        (["--finetune", "0"], "--finetune"),
    ],
)
def test_training_on_nothing_or_on_what_is_measured_is_refused(
    arguments: list[str], message: str, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(workspace, tmp_path / "lab5.mat")
    for command in ("lab", "sweep"):
        given = [each.format(workspace=workspace) for each in arguments]
        out = tmp_path / ("out.csv" if command == "sweep" else "out")
        assert run(command, tmp_path / "lab5.mat", "--sparsities", "0.5", *given, "--out", out) in (2, 3)
        shown = capsys.readouterr()
        assert message in " ".join(shown.err.split())
        assert not out.exists()
