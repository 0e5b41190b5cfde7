"""The lab, end to end, as a student runs it: every file is there, and they agree with each other."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import keras_prunelab as kpl
import matlab_bridge as mb
from keras_prunelab._evaluate._evaluate import Evaluator

from .command import run

pytestmark = pytest.mark.slow

LEVELS = "0:0.9:0.1"
HTML = ("--format", "html")  # where the other formats would only cost time
needs_litert = pytest.mark.skipif(not importlib.util.find_spec("ai_edge_litert"), reason="it runs LiteRT files")


@pytest.fixture(scope="module")
def lab(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `prunelab lab` has written."""
    out = tmp_path_factory.mktemp("lab")
    shutil.copy(workspace, out / "lab5.mat")
    assert run("lab", out / "lab5.mat", "--sparsities", LEVELS, "--max-drop", "0.05", "--out", out / "report") == 0
    return out / "report"


def test_writes_what_the_readme_lists(lab: Path) -> None:
    names = {path.name for path in lab.iterdir()}
    assert names >= {
        "report.html",
        "sweep.csv",
        "sweep.json",
        "results.mat",
        "pruned.mat",
        "pruned.keras",
        "accuracy.png",
    }
    assert not [name for name in names if name.startswith(".")]


def test_the_source_is_untouched(lab: Path, workspace: Path) -> None:
    assert (lab.parent / "lab5.mat").read_bytes() == workspace.read_bytes()


def test_keras_and_matlab_get_the_same_zeros(lab: Path) -> None:
    choice, masks = (mb.load(lab / "results.mat")[name] for name in ("choice", "masks"))
    network = mb.load_network(lab / "pruned.mat")
    arrays = [array for layer in network.layers for array in layer.learnables.values()]
    zeros, total = sum(int((array == 0).sum()) for array in arrays), sum(array.size for array in arrays)
    assert zeros / total == pytest.approx(choice["Sparsity"].item(), abs=1e-12)
    assert sum(int((~mask).sum()) for mask in masks["Value"].flat) == zeros
    model = keras.saving.load_model(lab / "pruned.keras")
    weights = [weight.numpy() for weight in model.trainable_weights]
    assert sum(int((weight == 0).sum()) for weight in weights) == zeros
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1)).astype(np.float32)
    assert np.array_equal(network.to_keras().predict(images, verbose=0), model.predict(images, verbose=0))


def test_the_choice_is_a_row_of_the_table_and_its_accuracy_is_that_of_the_pruned_network(lab: Path) -> None:
    choice = mb.load(lab / "results.mat")["choice"]
    table = pd.read_csv(lab / "sweep.csv")
    row = table.iloc[int(choice["Row"].item()) - 1]
    assert row["score"] == choice["Score"]
    assert row["accuracy"] == choice["Accuracy"].item()
    assert set(table["convention"]) == {"matlab"}
    network = mb.load_network(lab / "pruned.mat")
    data = mb.load_dataset(lab.parent / "lab5.mat", network=network)
    outputs = network.to_keras().predict(np.asarray(data.inputs, dtype=np.float32), verbose=0)
    assert float((outputs.argmax(axis=1) == data.labels).mean()) == pytest.approx(row["accuracy"], abs=1e-12)


def test_prune_convert_and_sweep(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", workspace, tmp_path / "net.keras") == 0
    assert run("prune", tmp_path / "net.keras", "--sparsity", "0.5", "--out", tmp_path / "half.keras") == 0
    assert run("prune", workspace, "--sparsity", "0.5", "--out", tmp_path / "half.mat") == 0
    assert "50.00% of the weights are zero (matlab convention)" in capsys.readouterr().out
    sweep = [
        "sweep",
        tmp_path / "half.keras",
        "--data",
        workspace,
        "--sparsities",
        "0,0.5,0.9",
        "--scores",
        "random",
    ]
    assert run(*sweep, "--out", tmp_path / "sweep.csv") == 0
    table = pd.read_csv(tmp_path / "sweep.csv")
    assert table["sparsity"].tolist() == pytest.approx([0, 0.5, 0.9], abs=1e-4)
    assert set(table["convention"]) == {"paper"}


@pytest.mark.parametrize("source", ["lab5.mat", "net.keras"])
def test_convert_to_matlab_code_and_to_onnx(source: str, workspace: Path, example: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    shutil.copy(workspace, tmp_path / "lab5.mat")
    model = example.classifier()
    model.save(tmp_path / "net.keras")
    assert run("convert", tmp_path / source, tmp_path / "out" / "buildNet.m") == 0
    assert run("convert", tmp_path / source, tmp_path / "out" / "net.onnx") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"buildNet.m", "buildNetWeights.mat", "net.onnx"}
    has_classes = "classNames = {'0'; '1'; '2';" in (tmp_path / "out" / "buildNet.m").read_text(encoding="utf-8")
    assert has_classes == (source == "lab5.mat")
    weights = mb.load(tmp_path / "out" / "buildNetWeights.mat")["weights"]["Value"]
    assert sum(value.size for value in weights.flat) == model.count_params()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["info", "missing.mat"], 3, "missing.mat"),
        (["convert", "README.md", "out.keras"], 3, "convert reads a .mat, a .keras or an .h5 file"),
        (["convert", "{workspace}", "my-net.m"], 3, "my-net.m cannot be a function of MATLAB"),
        (["lab", "text.mat"], 3, "text"),
        (["lab", "{workspace}", "--sparsities", "80:98:2"], 3, "Write fractions: 80 % is 0.8."),
        (["lab", "{workspace}", "--network", "nett"], 3, "nett"),
        (["lab", "{workspace}", "--scores", "magnitud"], 3, "magnitud"),
        (["lab", "{workspace}", "--labels", "YTest"], 3, "YTest"),
        (["prune", "{workspace}", "--sparsity", "1.5", "--out", "p.mat"], 3, "1.5"),
        (["prune", "{workspace}", "--sparsity", "0.5", "--out", "{workspace}"], 3, "is never written"),
        (["lab"], 2, ""),
        (["labb", "x.mat"], 2, "labb"),
    ],
)
def test_typical_mistakes_end_in_one_paragraph(
    arguments: list[str],
    code: int,
    message: str,
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mat").write_text("just text", encoding="utf-8")
    before = workspace.read_bytes()
    assert run(*(argument.format(workspace=workspace) for argument in arguments)) == code
    shown = capsys.readouterr().err
    assert message in " ".join(shown.split())
    assert "Traceback" not in shown
    assert workspace.read_bytes() == before


def test_no_level_is_good_enough(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("lab", workspace, "--sparsities", "0.97,0.98", "--scores", "magnitude", "--out", out) == 4
    assert "Allow more, or test lower sparsities." in " ".join(capsys.readouterr().err.split())
    assert len(pd.read_csv(out / "sweep.csv")) == 2
    assert "Allow more, or test lower sparsities." in (out / "report.html").read_text(encoding="utf-8")
    reports = {f"report.{each}" for each in ("html", "docx", "pdf")}
    assert {path.name for path in out.iterdir()} == reports | {"sweep.csv", "sweep.json", "results.mat", "accuracy.png"}


def test_debug_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", tmp_path / "missing.mat", "--debug") == 3
    assert "Traceback" in capsys.readouterr().err


def test_info_answers_without_keras(workspace: Path) -> None:
    script = (
        "import sys\nfrom keras_prunelab.cli import main\n"
        f"try:\n    main(['info', {str(workspace)!r}])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'keras', 'tensorflow', 'jax', 'torch', 'matplotlib'} & set(sys.modules), 'imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "XValidation" in done.stdout


def test_ctrl_c_ends_the_sweep_and_keeps_what_was_measured(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = 0

    def measure(evaluator: Evaluator) -> float:
        nonlocal measured
        measured += 1
        if measured > 4:  # the dense network, then three points
            raise KeyboardInterrupt
        return measure_for_real(evaluator)

    measure_for_real = Evaluator.__call__
    monkeypatch.setattr(Evaluator, "__call__", measure)
    assert run("lab", workspace, "--sparsities", LEVELS, "--max-drop", "0.9", *HTML, "--out", tmp_path) == 130
    assert len(pd.read_csv(tmp_path / "sweep.csv")) == 3
    assert (tmp_path / "report.html").is_file()
    assert "Stopped after 3 points" in capsys.readouterr().out


def test_a_network_with_shuffled_labels_ends_well_and_chooses_nothing(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {name: mb.load(workspace)[name] for name in ("XValidation", "YValidation")}
    codes = np.random.default_rng(0).permutation(np.asarray(variables["YValidation"].codes))
    names = list("0123456789")
    mb.save(
        tmp_path / "shuffled.mat",
        {**variables, "YValidation": pd.Categorical.from_codes(codes.ravel().astype(int) - (codes.min() > 0), names)},
    )
    out = tmp_path / "out"
    out.mkdir()
    (out / "pruned.mat").write_bytes(b"of an earlier run")
    data = ("--data", tmp_path / "shuffled.mat", "--inputs", "XValidation", "--labels", "YValidation")
    assert run("lab", workspace, *data, "--sparsities", "0,0.5,0.9", "--out", out) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Warning: No level is meaningful: the dense network has accuracy" in shown
    assert f"Warning: pruned.mat in {out} is of an earlier run." in shown
    (out / "pruned.mat").unlink()
    page = (out / "report.html").read_text(encoding="utf-8")
    assert '<p class="warning">No level is meaningful' in page
    reports = {f"report.{each}" for each in ("html", "docx", "pdf")}
    assert {path.name for path in out.iterdir()} == reports | {"sweep.csv", "sweep.json", "results.mat", "accuracy.png"}


def test_the_reports_have_title_author_course_and_notes(workspace: Path, tmp_path: Path) -> None:
    docx, pypdf = pytest.importorskip("docx"), pytest.importorskip("pypdf")
    (tmp_path / "notes.md").write_text("Made by *hand*, on a Sunday.", encoding="utf-8")
    about = ("--title", "Lab 5", "--author", "Ada L.", "--course", "Signals", "--notes", tmp_path / "notes.md")
    levels = ("--sparsities", LEVELS, "--max-drop", "0.05")
    out = tmp_path / "out"
    assert run("lab", workspace, *levels, *about, "--format", "docx,pdf", "--paper", "letter", "--out", out) == 0
    assert {path.name for path in out.iterdir() if path.stem == "report"} == {"report.docx", "report.pdf"}
    word = docx.Document(str(out / "report.docx"))
    assert (word.core_properties.title, word.core_properties.author) == ("Lab 5", "Ada L.")
    words = [paragraph.text for paragraph in word.paragraphs]
    assert "Made by hand, on a Sunday." in words
    cells = [[cell.text for cell in row.cells] for table in word.tables for row in table.rows]
    for name in (workspace.name, "sweep.csv", "results.mat", "pruned.mat", "pruned.keras"):
        path = workspace if name == workspace.name else out / name
        assert [row for row in cells if row[0] == name and row[-1] == f"{path.stat().st_size:,}"], name
    pdf = pypdf.PdfReader(out / "report.pdf")
    assert (pdf.metadata.title, pdf.metadata.author) == ("Lab 5", "Ada L.")
    assert len(pdf.pages) <= 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "html,doc"], "--format takes html, docx, pdf, with commas between, but got 'doc'."),
        (["--format", ","], "--format takes html, docx, pdf, with commas between, but got nothing."),
        (["--notes", "picture.png"], "--notes is a text file in UTF-8, but 'picture.png' is none"),
        (["--notes", "missing.md"], "missing.md"),
    ],
)
def test_wrong_reports_are_refused_before_any_work(
    arguments: list[str],
    message: str,
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("picture.png").write_bytes(b"\x89PNG\xff")
    assert run("lab", workspace, *arguments, "--out", tmp_path / "out") == 3
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_without_the_extra_there_is_the_page_and_a_line_that_names_it(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from keras_prunelab._report import _extra

    monkeypatch.setattr(_extra, "NEEDED", {".docx": ("docx_not_there", "python-docx"), ".pdf": ("typst_no", "typst")})
    out = tmp_path / "out"
    assert run("lab", workspace, "--sparsities", "0,0.5", "--scores", "magnitude", "--out", out) == 0
    assert {path.name for path in out.iterdir() if path.stem == "report"} == {"report.html"}
    assert 'pip install "keras-prunelab[report]"' in " ".join(capsys.readouterr().out.split())
    assert run("lab", workspace, "--format", "docx", "--out", tmp_path / "no") != 0
    assert 'pip install "keras-prunelab[report]"' in " ".join(capsys.readouterr().err.split())


def printed(page: Path) -> tuple[str, list[str]]:
    """The Python and the command line of a report, as a reader copies them."""
    shown = page.read_text(encoding="utf-8").split("What was done")[-1]
    command, python = (unescape(part.split("</code>")[0]) for part in shown.split("<code>")[1:3])
    words = shlex.split(command)
    assert words[0] == "prunelab"
    return python, words[1:]


def assert_repeated(folder: Path) -> None:
    """Both make the same points as those in the folder: the Python, and the command, which writes there again."""
    python, words = printed(folder / "report.html")
    table = pd.read_csv(folder / "sweep.csv")
    there: dict[str, Any] = {}
    exec(python, there)  # noqa: S102
    (folder / "sweep.csv").unlink()
    for report in folder.glob("report.*"):
        report.unlink()
    assert run(*words) == 0
    for again in (there["result"].table, pd.read_csv(folder / "sweep.csv")):
        assert again["accuracy"].tolist() == pytest.approx(table["accuracy"].tolist(), abs=1e-12)
        assert again["zeros"].tolist() == table["zeros"].tolist()


def test_the_report_repeats_what_the_command_did(lab: Path) -> None:
    assert_repeated(lab)


def test_the_report_of_a_keras_file_on_inputs_of_another_scale_repeats_it(workspace: Path, tmp_path: Path) -> None:
    assert run("convert", workspace, tmp_path / "net.keras") == 0
    variables = mb.load(workspace)
    spoiled = np.asarray(variables["XValidation"]) / np.float32(255)
    mb.save(tmp_path / "small.mat", {"XValidation": spoiled, "YValidation": variables["YValidation"]})
    arguments = (
        "--data",
        tmp_path / "small.mat",
        "--sparsities",
        "0,0.5",
        "--max-drop",
        "0.9",
        *HTML,
        "--out",
        tmp_path / "o",
    )
    assert run("lab", tmp_path / "net.keras", *arguments) == 0
    assert pd.read_csv(tmp_path / "o" / "sweep.csv")["accuracy"].max() > 0.5
    assert_repeated(tmp_path / "o")


def test_the_report_of_described_weights_repeats_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    weights, bias, x = rng.normal(size=(4, 6)), rng.normal(size=(4, 1)), rng.normal(size=(200, 6))
    labels = (x @ weights.T + bias.T).argmax(axis=1) + 1.0
    mb.save(tmp_path / "plain.mat", {"W1": weights, "b1": bias, "XTest": x, "YTest": labels[:, None]})
    arguments = ("--network", "W1 b1 softmax", "--sparsities", "0,0.5", "--max-drop", "0.9", "--out", tmp_path / "o")
    assert run("lab", tmp_path / "plain.mat", *arguments, *HTML) == 0
    assert_repeated(tmp_path / "o")


@pytest.mark.parametrize("change", [lambda x: x, lambda x: x / np.float32(255), lambda x: x[..., ::2]])
def test_what_is_measured_never_calibrates(
    change: Callable[[Any], Any], workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not under another name, not in another scale, and not in part."""
    variables = mb.load(workspace)
    images = np.asarray(variables["XValidation"])
    spoiled = {"XTrain": change(images), "XValidation": images, "YValidation": variables["YValidation"]}
    mb.save(tmp_path / "data.mat", spoiled)
    data = ("--data", tmp_path / "data.mat", "--inputs", "XValidation", "--labels", "YValidation")
    options = ("--sparsities", "0,0.5", "--max-drop", "0.9", *HTML)
    assert run("lab", workspace, *data, *options, "--out", tmp_path / "o") == 0
    assert "there is no data beside what is measured" in " ".join(capsys.readouterr().out.split())


@pytest.fixture(scope="module")
def quantized(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `prunelab lab --quantize int8` has written."""
    out = tmp_path_factory.mktemp("quantized")
    shutil.copy(workspace, out / "lab5.mat")
    arguments = ["--sparsities", "0:0.9:0.05", "--scores", "magnitude", "--max-drop", "0.05", "--store", out / "lab.db"]
    assert run("lab", out / "lab5.mat", *arguments, "--quantize", "int8", "--out", out / "report") == 0
    return out / "report"


@needs_litert
def test_quantized_levels_are_every_tenth_those_beside_the_choice_and_the_choice(quantized: Path) -> None:
    table, results = pd.read_csv(quantized / "sweep.csv"), mb.load(quantized / "results.mat")
    measured = table[table["int8_accuracy"].notna()]
    row = int(results["choice"]["Row"].item()) - 1
    assert set(measured.index) == {0, 10, row - 1, row, row + 1} & set(table.index)
    assert np.isnan(results["sweep"]["Int8Accuracy"]).sum() == len(table) - len(measured)
    assert measured["litert_bytes"].notna().all()
    after = results["quantizedChoice"]
    assert table["int8_accuracy"][int(after["Row"].item()) - 1] == after["Accuracy"].item()
    assert "int8 accuracy" in str(after["Reason"])


@needs_litert
def test_the_quantized_file_of_the_choice_answers_as_the_report_says(quantized: Path, tmp_path: Path) -> None:
    model = keras.saving.load_model(quantized / "pruned.keras")
    data = mb.load_dataset(quantized.parent / "lab5.mat", network=mb.load_network(quantized / "pruned.mat"))
    inputs = np.asarray(data.inputs, np.float32)
    written = kpl.export_litert(model, tmp_path / "net.tflite", "int8", calibration=inputs)
    found = kpl.evaluate_file(tmp_path / "net.tflite", (inputs, data.labels)).metrics["accuracy"]
    row = pd.read_csv(quantized / "sweep.csv").iloc[int(mb.load(quantized / "results.mat")["choice"]["Row"].item()) - 1]
    assert row["int8_accuracy"] == pytest.approx(found, abs=1e-9)
    assert row["litert_bytes"] == written.bytes
    page = unescape((quantized / "report.html").read_text(encoding="utf-8"))
    assert "After quantization" in page
    assert "Chosen by the files:" in page


@needs_litert
def test_a_quantized_lab_goes_on_from_its_store(quantized: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_prunelab._backend._converter._PROCESS.ask", lambda _: pytest.fail("it was converted"))
    before = pd.read_csv(quantized / "sweep.csv")
    arguments = ["--sparsities", "0:0.9:0.05", "--scores", "magnitude", "--max-drop", "0.05"]
    store = quantized.parent / "lab.db"
    lab5 = quantized.parent / "lab5.mat"
    assert run("lab", lab5, *arguments, "--store", store, "--quantize", "int8", "--out", quantized) == 0
    assert pd.read_csv(quantized / "sweep.csv").equals(before)


@needs_litert
@pytest.mark.parametrize(("levels", "count"), [("all", 4), ("0.29,0.6", 3)])
def test_quantize_levels(levels: str, count: int, workspace: Path, tmp_path: Path) -> None:
    arguments = ["--sparsities", "0:0.9:0.3", "--scores", "magnitude", "--max-drop", "0.05", "--format", "html"]
    more = ["--quantize", "float16", "--quantize-levels", levels, "--out", tmp_path]
    assert run("lab", workspace, *arguments, *more) == 0
    table = pd.read_csv(tmp_path / "sweep.csv")
    found = set(table["sparsity_target"][table["float16_accuracy"].notna()])
    chosen = table["sparsity_target"][int(mb.load(tmp_path / "results.mat")["choice"]["Row"].item()) - 1]
    assert found == (set(table["sparsity_target"]) if levels == "all" else {0.3, 0.6, chosen})
    assert len(found) <= count
