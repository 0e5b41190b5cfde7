"""A file that a result is made from is never written, by whatever path or link the result is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
import matlab_bridge as mb
from keras_prunelab import OverwriteError

from .command import run

SAME: dict[str, Callable[[Path, Path], object]] = {
    "a hard link": lambda source, other: os.link(source, other),
    "a symbolic link": lambda source, other: other.symlink_to(source),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: `net.keras`, `net.mat`, `dataWeights.mat`, and `data.mat` with inputs and labels."""
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, name="fc"), keras.layers.Softmax(name="sm")])
    model.save("net.keras")
    mb.save_portable("net.mat", model)
    shutil.copy("net.mat", "netWeights.mat")
    mb.save("data.mat", {"X": np.eye(6)[:4], "Y": np.array([1.0, 2.0, 3.0, 1.0])})
    np.savetxt("labels.csv", [1, 2, 3, 1], header="Y", comments="")
    Path("linked").symlink_to(tmp_path, target_is_directory=True)
    return tmp_path


DATA = ("--data", "data.mat", "--inputs", "X", "--labels", "Y")
COMMANDS = [
    (("prune", "net.keras", "--sparsity", "0.5", "--out"), "net.keras"),
    (("prune", "net.mat", "--sparsity", "0.5", "--out"), "net.mat"),
    (("compact", "net.keras", "--out"), "net.keras"),
    (("sweep", "net.keras", *DATA, "--out"), "data.mat"),
    (("sweep", "net.mat", *DATA, "--out"), "net.mat"),
    (("sweep", "net.keras", *DATA, "--store"), "data.mat"),
    (("sweep", "net.keras", *DATA, "--store"), "net.keras"),
    (("sweep", "net.keras", *DATA, "--train", "labels.csv", "--out"), "labels.csv"),
    (("sweep", "net.keras", "--data", "data.mat", "--labels", "labels.csv:Y", "--out"), "labels.csv"),
]


@pytest.mark.parametrize(("command", "source"), COMMANDS, ids=lambda part: part if isinstance(part, str) else part[0])
@pytest.mark.parametrize("path", ["itself", "another path", "through a link", *SAME])
def test_a_command_writes_none_of_its_sources(command, source, path, folder, capsys):
    before = Path(source).read_bytes()
    target = {"another path": f"./linked/../{folder.name}/{source}", "through a link": f"linked/{source}"}.get(
        path, source
    )
    if path in SAME:
        target = f"other{Path(source).suffix}"
        SAME[path](folder / source, folder / target)
    assert run(*command, target) == 3
    assert "is never written" in " ".join(capsys.readouterr().err.split())
    assert Path(source).read_bytes() == before


@pytest.mark.parametrize(
    "command", [("convert", "netWeights.mat", "net.m"), ("compact", "netWeights.mat", "--out", "net.m")]
)
def test_the_weights_beside_matlab_code_are_no_source_either(command, folder, capsys):
    before = Path("netWeights.mat").read_bytes()
    assert run(*command) == 3
    assert "netWeights.mat is what the result is made from" in " ".join(capsys.readouterr().err.split())
    assert Path("netWeights.mat").read_bytes() == before
    assert not Path("net.m").exists()


def test_a_table_does_not_replace_the_store_of_its_sweep(folder, capsys):
    Path("sweep.csv").write_bytes(b"a store")
    assert run("sweep", "net.keras", *DATA, "--store", "sweep.csv", "--out", "sweep.csv") == 3
    assert Path("sweep.csv").read_bytes() == b"a store"


@pytest.mark.parametrize("name", ["pruned.keras", "pruned.mat", "results.mat"])
def test_a_lab_does_not_replace_what_it_reads(name, folder, capsys):
    Path("lab").mkdir()
    source = Path("lab", name)
    shutil.copy(f"net{source.suffix}", source)
    before = source.read_bytes()
    assert run("lab", source, *DATA) == 3
    assert "is never written" in " ".join(capsys.readouterr().err.split())
    assert source.read_bytes() == before


def test_plots_go_into_no_folder_of_images(folder, capsys):
    Path("images", "a").mkdir(parents=True)
    assert run("lab", "net.keras", "--data", "images", "--out", "images/lab") == 3
    assert "a folder of data that is read" in " ".join(capsys.readouterr().err.split())
    assert not Path("images", "lab").exists()


def test_the_functions_of_the_bridge(folder):
    before = Path("net.mat").read_bytes()
    network = mb.load_network("net.mat")
    os.link("net.mat", "linkWeights.mat")
    result = kpl.sweep(network.to_keras(), (np.eye(6)[:3], np.arange(3)), [0.5])
    writers = [
        lambda: mb.save_network("linkWeights.mat", network, like="net.mat"),
        lambda: mb.save_portable("linkWeights.mat", network),
        lambda: mb.save_portable("net.mat", network.to_keras()),
        lambda: mb.export_matlab_code("link.m", network),
        lambda: mb.save_results("net.mat", result, network=network),
    ]
    for write in writers:
        with pytest.raises(mb.OverwriteError, match="never written"):
            write()
    assert Path("net.mat").read_bytes() == before
    assert not Path("link.m").exists()


def test_a_result_does_not_replace_the_file_it_was_loaded_from(folder):
    model = keras.saving.load_model("net.keras")
    kpl.sweep(model, (np.eye(6)[:3], np.arange(3)), [0.5]).to_json("result.json")
    os.link("result.json", "other.csv")
    result = kpl.SweepResult.load("result.json")
    for write in (
        lambda: result.to_csv("other.csv"),
        lambda: kpl.report(result, None, "result.json"),
        lambda: result.to_mat("result.json"),
    ):
        with pytest.raises(OverwriteError, match="never written"):
            write()
    assert kpl.SweepResult.load("other.csv").table.equals(result.table)
