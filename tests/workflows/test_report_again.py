"""`prunelab report`, and what `lab` refuses before Keras is loaded."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import keras_prunelab as kpl
import matlab_bridge as mb
from keras_prunelab.cli import _options
from keras_prunelab.cli._words import in_options
from keras_prunelab.scores import _registry

from .command import run

OPTIONS = ("--sparsities", "0:0.9:0.1", "--scores", "magnitude", "--no-reconstruct")


@pytest.fixture(scope="module")
def swept(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store and the folder `lab` that a lab has written."""
    folder = tmp_path_factory.mktemp("swept")
    stored = ("--store", folder / "lab.db", "--out", folder / "lab", "--format", "html")
    assert run("lab", workspace, *OPTIONS, "--min-metric", "0.6", *stored) == 0
    return folder


def _sections(page: Path) -> str:
    """What a report says, but for the files and the command."""
    text = page.read_text(encoding="utf-8")
    main = text[text.index("<main>") : text.index("</main>")]
    part = main[main.index("Question 1") : main.index("What was done")]
    return re.sub(r"All 10\spoints are in sweep\.csv\.|result\.to_csv writes all\spoints\.", "", part)


@pytest.mark.parametrize("source", ["lab.db", "lab/sweep.json", "lab/sweep.parquet"])
def test_the_report_again_says_the_same_without_measuring(
    source: str, swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras_prunelab._evaluate._evaluate import Evaluator

    if source.endswith("parquet"):
        pytest.importorskip("pyarrow")
        kpl.SweepResult.load(swept / "lab.db").to_parquet(swept / source)
    monkeypatch.setattr(Evaluator, "__call__", lambda _: pytest.fail("measured"))
    before = {path: path.read_bytes() for path in swept.rglob("*") if path.is_file()}
    about = ("--title", "Again", "--author", "Ada L.")
    assert run("report", swept / source, "--out", tmp_path / "again", "--format", "html,docx,pdf", *about) == 0
    again = tmp_path / "again"
    assert {path.name for path in again.iterdir()} == {"report.html", "report.docx", "report.pdf"}
    assert _sections(again / "report.html") == _sections(swept / "lab" / "report.html")
    assert "<h1>Again</h1>" in (again / "report.html").read_text(encoding="utf-8")
    assert {path: path.read_bytes() for path in swept.rglob("*") if path.is_file()} == before


def test_what_is_left_of_the_layers_comes_back_exactly(swept: Path, workspace: Path) -> None:
    """Against masks that are made anew, at every level."""
    result = kpl.SweepResult.load(swept / "lab.db")
    model = mb.load_network(workspace).to_keras()
    for level in sorted(result.table["sparsity_target"]):
        point = result.choose(sparsity=level)
        pruned = kpl.prune(model, level, "magnitude", convention="matlab")
        weights = {layer.name: layer.get_weights() for layer in pruned.layers}
        for _, layer in result.layers(point).iterrows():
            kernel, bias = weights[layer["layer"]]
            assert layer["zeros"] == (kernel == 0).sum() + (bias == 0).sum()
            gone = ~(kernel != 0).reshape(-1, kernel.shape[-1]).any(axis=0) & (bias == 0)
            assert layer["filters_removed"] == gone.sum()


def test_another_condition_chooses_anew(swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = kpl.SweepResult.load(swept / "lab.db")
    for number, (options, condition) in enumerate(
        {("--knee",): {"knee": True}, ("--max-drop", "0.2"): {"max_drop": 0.2}, (): {"min_metric": 0.6}}.items()
    ):
        assert run("report", swept / "lab.db", *options, "--format", "html", "--out", tmp_path / str(number)) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert " ".join(f"Choice: {result.choose(**condition).reason}".split()) in shown
    two = ("--knee", "--max-drop", "0.2")
    assert run("report", swept / "lab.db", *two, "--out", tmp_path / "two") == 2
    assert "a choice has one condition, but there are --max-drop and --knee" in " ".join(
        capsys.readouterr().err.replace("│", " ").split()
    )
    assert run("report", swept / "lab.db", "--min-metric", "1", "--format", "html", "--out", tmp_path / "none") == 4
    assert (tmp_path / "none" / "report.html").is_file()
    for mistake in (("--max-drop", "1"), ("--min-metric", "98")):
        assert run("report", swept / "lab.db", *mistake, "--format", "html", "--out", tmp_path / "mistake") == 4
        assert not (tmp_path / "mistake").exists()


def test_an_earlier_result_gives_a_report_without_layers_and_says_so(swept: Path, tmp_path: Path) -> None:
    about = json.loads((swept / "lab" / "sweep.json").read_text(encoding="utf-8"))
    for name in ("by_layer", "choice", "by_class"):
        del about[name]
    (tmp_path / "old.json").write_text(json.dumps(about), encoding="utf-8")
    assert run("report", tmp_path / "old.json", "--max-drop", "0.3", "--out", tmp_path / "r") == 0
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "This result is of an earlier version, which did not keep how many weights of each layer are zero." in page
    assert "How many observations of each class are right was not kept in this result." in page
    assert '"layers":null' in page


def test_a_store_without_a_result_says_how_to_get_one(
    swept: Path, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after SIGKILL: there are points, and the same sweep with that store has a result at once."""
    shutil.copy(swept / "lab.db", tmp_path / "lab.db")
    with closing(sqlite3.connect(tmp_path / "lab.db")) as store, store:
        store.execute("DELETE FROM facts WHERE name = 'result'")
        store.execute("DELETE FROM points WHERE level > 0.75")
    assert run("report", tmp_path / "lab.db", "--out", tmp_path / "r") == 3
    assert "holds 8 points and no result" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "r").exists()
    again = ("--store", tmp_path / "lab.db", "--out", tmp_path / "lab", "--format", "html")
    assert run("lab", workspace, *OPTIONS, "--min-metric", "0.6", *again) == 0
    assert run("report", tmp_path / "lab.db", "--out", tmp_path / "r", "--format", "html") == 0
    assert _sections(tmp_path / "r" / "report.html") == _sections(swept / "lab" / "report.html")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.db", "There is no file"),
        ("", "is a folder; name the result in it"),
        ("text.json", "is no result of a sweep"),
        ("other.db", "is not a store of a sweep"),
    ],
)
def test_what_is_no_result_is_refused(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.json").write_text("text", encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE people (name TEXT)")
    assert run("report", tmp_path / name, "--out", tmp_path / "r") == 3
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "r").exists()


def test_an_earlier_report_stays_unless_it_is_forced_or_the_store_goes_on(
    swept: Path, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    out, report = ("--out", tmp_path / "lab", "--format", "html"), tmp_path / "lab" / "report.html"
    lab = ("lab", workspace, *OPTIONS, "--min-metric", "0.6", *out)
    report.write_text("mine", encoding="utf-8")
    assert run(*lab) == 3
    assert "There is a report of an earlier run" in " ".join(capsys.readouterr().err.split())
    assert run(*lab, "--store", tmp_path / "new.db") == 3
    assert run("report", tmp_path / "lab.db", *out) == 3
    assert report.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "new.db").exists()
    assert run("lab", workspace, *OPTIONS, *out, "--format", "docx") == 0, "another format replaces nothing"
    assert run(*lab, "--store", tmp_path / "lab.db") == 0
    assert report.read_text(encoding="utf-8") != "mine"
    report.write_text("mine", encoding="utf-8")
    assert run(*lab, "--force") == 0
    assert report.read_text(encoding="utf-8") != "mine"
    assert "addpath(" in capsys.readouterr().out


def test_levels_that_are_found_and_the_knee(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--sparsities", "auto", "--scores", "magnitude", "--no-reconstruct", "--knee", "--format", "html")
    assert run("lab", workspace, *options, "--out", tmp_path) == 0
    assert "is the knee of the curve" in " ".join(capsys.readouterr().out.split())
    levels = np.sort(pd.read_csv(tmp_path / "sweep.csv")["sparsity_target"])
    assert levels[0] == 0
    assert np.diff(levels).max() > 3 * np.diff(levels).min()


CHECKS = """
import contextlib, io, json, sys
from keras_prunelab.cli import main
for arguments in json.loads(sys.stdin.read()):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            main(["lab", "lab5.mat", *arguments])
        except SystemExit as end:
            code = end.code
    loaded = sorted({"keras", "tensorflow", "jax", "torch", "matplotlib"} & set(sys.modules))
    print("FOUND", json.dumps([code, loaded, said.getvalue()]))
"""
MISTAKES = [
    (["--scores", "magnitud"], "--scores has 'magnitud', which is no score. Did you mean 'magnitude'?"),
    (["--sparsities", "80:98:2"], "Write fractions: 80 % is 0.8."),
    (["--format", "doc"], "--format takes html, docx, pdf"),
    (["--notes", "missing.md"], "missing.md"),
    (["--data", "missing.zip"], "There is no file or folder 'missing.zip'."),
    (["--data", "notes.txt"], "Data is a folder, or a file that ends in .mat, .npz, .npy, .csv, .zip"),
    (["--calibration", "missing.mat"], "There is no file or folder 'missing.mat'."),
    (["--image-root", "missing"], "--image-root is a folder"),
    (["--network", "nett"], "Did you mean 'net'?"),
    (["--inputs", "XValidatoin"], "Did you mean 'XValidation'?"),
    (["--inputs", "XValidation", "--labels", "few"], "There are 300 observations but 3 labels"),
    (["--inputs", "YValidation"], "Name another variable with --inputs, or another network."),
    (["--max-drop", "1"], "write --max-drop 0.01 for one point"),
    (["--min-metric", "98"], "--min-metric is a fraction from 0 to 1"),
    (["--out", "notes.txt"], "Results go into a folder"),
    (["--out", "notes.txt/deeper"], "Results go into a folder"),
    (["--out", "older"], "There is a report of an earlier run"),
]


def test_mistakes_are_found_before_keras_is_loaded(workspace: Path, tmp_path: Path) -> None:
    variables: dict[str, Any] = {**mb.load(workspace), "few": np.array([1.0, 2.0, 3.0])}
    mb.save(tmp_path / "lab5.mat", variables)
    (tmp_path / "notes.txt").write_text("text", encoding="utf-8")
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / "report.pdf").write_bytes(b"older")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", CHECKS],
        input=json.dumps([arguments for arguments, _ in MISTAKES]),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [json.loads(line.removeprefix("FOUND ")) for line in done.stdout.splitlines() if line.startswith("FOUND")]
    for (arguments, message), (code, loaded, said) in zip(MISTAKES, found, strict=True):
        assert message in " ".join(said.split()), arguments
        assert (code, loaded) == (4 if "of accuracy" in said or "min-metric" in said else 3, []), arguments
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_the_names_of_scores_are_those_that_there_are() -> None:
    kpl.scores.get("obs")  # registered where it is first asked for
    assert set(_options.SCORES) == set(_registry._SCORES._classes) - {"own"}
    for name in _options.SCORES:
        assert kpl.scores.get(name).name == name


def test_the_shell_completes_commands_and_scores() -> None:
    environment = {"_PRUNELAB_COMPLETE": "complete_bash", "COMP_WORDS": "prunelab la", "COMP_CWORD": "1"}
    assert "lab" in _completions(environment)
    scores = {**environment, "COMP_WORDS": "prunelab lab x.mat --scores magnitude,syn", "COMP_CWORD": "4"}
    assert "magnitude,synflow" in _completions(scores)
    assert _options.complete_scores("magnitude,li") == ["magnitude,linear_synflow"]


def _completions(environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "keras_prunelab"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Name it with inputs=.", "Name it with --inputs."),
        (
            "write inputs='X Y', labels='y.mat:Y'; or network=, then",
            "write --inputs 'X Y', --labels y.mat:Y; or --network, then",
        ),
        ("store= keeps points, max_drop=0.05, knee=True.", "--store keeps points, --max-drop 0.05, --knee."),
        (
            "call keras_prunelab.prune(model, 0.5, score=x), or workers=1.",
            "call keras_prunelab.prune(model, 0.5, score=x), or --workers 1.",
        ),
        ("pass describe=[WeightLayer('W')] there", "pass --network[WeightLayer('W')] there"),
        ("no argument here; a=b, x.inputs=3", "no argument here; a=b, x.inputs=3"),
    ],
)
def test_errors_are_in_the_words_of_the_command_line(message: str, expected: str) -> None:
    assert in_options(message) == expected


KILLED = """
import os, sys

from keras_prunelab._sweep._store import Store
from keras_prunelab.cli import main

add, calls = Store.add, []


def killed_after_three(self, *arguments):
    add(self, *arguments)
    calls.append(arguments)
    if len(calls) == 3:
        os.kill(os.getpid(), 9) if hasattr(os, "fork") else os._exit(9)


Store.add = killed_after_three
main(sys.argv[1:])
"""


def test_a_sweep_that_was_killed_has_a_report_and_goes_on(workspace: Path, tmp_path: Path, capfd: Any) -> None:
    store, levels = tmp_path / "sweep.db", "0,0.25,0.5,0.75,0.9"
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    options = ["--scores", "magnitude", "--sparsities", levels, "--store", str(store)]
    command = ["sweep", str(workspace), *options, "--out", str(tmp_path / "sweep.csv")]
    done = subprocess.run([sys.executable, str(script), *command], capture_output=True, check=False)
    assert done.returncode not in {0, 1, 2, 3}, done.stderr
    with closing(sqlite3.connect(store)) as connection:
        measured = [level for (level,) in connection.execute("SELECT level FROM points ORDER BY level")]
    assert len(measured) == 3

    partial = kpl.SweepResult.load(store)
    kept = partial.table["sparsity_target"].tolist()
    assert not partial.complete
    assert kept == measured
    assert run("report", store, "--max-drop", "1e-9", "--out", tmp_path / "report", "--format", "html") in {0, 4}
    page = unescape((tmp_path / "report" / "report.html").read_text(encoding="utf-8")).replace("\xa0", " ")
    assert "This sweep was stopped before its end, after 3 measured points." in page
    assert f"prunelab {shlex.join(command)}" in page
    assert f"prunelab {shlex.join(command)}" in capfd.readouterr().out.replace("\n", "")

    assert run(*command) == 0  # the command that the report names
    whole = kpl.SweepResult.load(store)
    assert whole.complete
    assert "resume" not in whole.metadata
    assert whole.table["sparsity_target"].tolist() == [0, 0.25, 0.5, 0.75, 0.9]
    pd.testing.assert_frame_equal(whole.table.iloc[:3], partial.table)


def test_the_accuracy_by_snr_from_the_workspace_to_the_reports(workspace: Path, tmp_path: Path, capfd: Any) -> None:
    network, images = mb.load_network(workspace), mb.load_dataset(workspace)
    snr = np.resize([0.0, 10.0, 20.0], len(images.labels))
    signals = tmp_path / "signals.mat"
    names = np.array(images.class_names)[images.labels]
    variables = {
        "XValidation": images.inputs.transpose(1, 2, 3, 0),
        "YValidation": pd.Categorical(names, categories=list(images.class_names)),
        "SNR": snr[:, None],
    }
    mb.save(signals, variables)
    out = tmp_path / "out"
    given = ("lab", workspace, "--data", signals, *OPTIONS[:4], "--out", out)
    assert run(*given, "--group-by", "snr", "--format", "html") == 3
    assert "Did you mean 'SNR'?" in capfd.readouterr().err.replace("\n", " ")
    split = ("--reconstruct", "--calibration-split", "0.2")
    assert run(*given, *split, "--group-by", "SNR", "--format", "html,docx,pdf", "--max-drop", "0.9") == 0
    capfd.readouterr()

    order = np.random.default_rng(0).permutation(len(snr))
    measured = np.sort(order[round(0.2 * len(snr)) :])
    answers = network.to_keras().predict(images.inputs[measured].astype("float32"), verbose=0).argmax(axis=1)
    right = answers == images.labels[measured]
    dense = [right[snr[measured] == ratio].mean() for ratio in (0, 10, 20)]
    result = kpl.SweepResult.load(out / "sweep.json")
    table = result.groups(result.choice)
    np.testing.assert_allclose(table["dense"].astype(float), dense)
    stored = mb.load(out / "results.mat")["groupTable"]
    assert stored["Value"].tolist() == [0.0, 10.0, 20.0]
    np.testing.assert_allclose(stored["Dense"], dense)
    page = unescape((out / "report.html").read_text(encoding="utf-8"))
    assert "Accuracy by SNR, before pruning and at the choice." in page
    code = [block for block in re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL) if "kpl.sweep" in block]
    there: dict[str, Any] = {}
    exec(re.sub(r"</?\w+[^>]*>", "", code[0]), there)  # noqa: S102  # what the report says
    np.testing.assert_allclose(there["result"].groups(result.choice)["dense"].astype(float), dense)
