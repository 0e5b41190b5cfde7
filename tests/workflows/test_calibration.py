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

LEVELS = "0.5,0.7,0.8"


def test_the_lab_takes_training_data_and_writes_solved_weights(
    workspace: Path, example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels, x, y = example.digits()
    digits = [f"{digit}" for digit in range(10)]
    network = mb.load_network(workspace)
    mb.save_portable(
        tmp_path / "lab5.mat",
        network.to_keras(),
        class_names=tuple(digits),
        variables={
            "XValidation": x[:200].transpose(1, 2, 3, 0),
            "YValidation": pd.Categorical.from_codes(y[:200], categories=digits),
            "XTrain": images[:150].transpose(1, 2, 3, 0),
            "YTrain": pd.Categorical.from_codes(labels[:150], categories=digits),
        },
    )
    out = tmp_path / "out"
    arguments = ("--scores", "magnitude", "--sparsities", LEVELS, "--max-drop", "0.1", "--out", out)
    assert run("lab", tmp_path / "lab5.mat", *arguments) == 0
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
