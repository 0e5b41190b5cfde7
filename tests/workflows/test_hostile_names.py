"""Names from files reach MATLAB code, terminals, pages, plots and spreadsheets as text, never as code."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import unicodedata
import warnings

import numpy as np
import pytest
from matplotlib.text import Text

import keras_prunelab as kpl
import matlab_bridge as mb
from keras_prunelab._evaluate._metric import Metric
from keras_prunelab._report._plots import bar_figure, filter_figure
from keras_prunelab._report._svg import svg
from keras_prunelab._result._plot import accuracy_figure
from keras_prunelab.cli._console import shell_word
from matlab_bridge.write._matlab_text import quote, settings_field
from tests.keras_prunelab.results_by_hand import FALLING, OUTLINE, result
from tests.matlab_bridge.octave import run as octave

from .command import run

NAMES = [
    "in\nsystem('touch PWNED');\nend\n%{\n",
    "a\rb",
    "a\x1b[31mred\x1b]0;title\x07",
    "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe\N{POP DIRECTIONAL FORMATTING}",
    "a\N{LINE SEPARATOR}b\x85c",
    "it's 100 % '...",
    r"$\frac{1}{$x$",
    r"\$\input{/etc/passwd}$",
    "<script>alert(1)</script>\"'&",
    "=cmd|' /C calc'!A0",
    "[bold red]",
    "tab\tnul\0",
    "",
]


def is_safe(text: str) -> bool:
    return not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in text)


@pytest.mark.parametrize("name", NAMES)
def test_matlab_code_has_a_name_on_one_line(name):
    assert is_safe(quote(name))


@pytest.mark.octave
def test_octave_reads_the_names_as_they_are(tmp_path):
    known = [name for name in NAMES if name.isascii()]  # Octave's characters are bytes
    code = "".join(f"disp(sprintf('%d ', double({quote(name)})));\n" for name in known)
    lines = octave(code, tmp_path).splitlines()
    assert ["".join(map(chr, map(int, line.split()))) for line in lines] == known


def test_a_whole_function_has_no_line_of_a_name(tmp_path):
    evil = NAMES[0]
    layers = [
        mb.Layer(evil, "nnet.cnn.layer.FeatureInputLayer", {"InputSize": 4.0, "Normalization": "none"}),
        mb.Layer(
            "fc",
            "nnet.cnn.layer.FullyConnectedLayer",
            {"InputSize": 4.0, "OutputSize": 2.0},
            {"Weights": np.ones((2, 4), np.float32), "Bias": np.zeros((2, 1), np.float32)},
        ),
    ]
    network = mb.Network(tuple(layers), (mb.Connection(evil, "fc"),), class_names=("a\nquit", "b"))
    weights = tmp_path / "x\nquit\n.mat"
    mb.export_matlab_code(tmp_path / "build.m", network, weights)
    lines = (tmp_path / "build.m").read_text(encoding="utf-8").splitlines()
    assert all(map(is_safe, lines))
    assert not any(line.lstrip().startswith(("system", "end\n%{", "quit")) for line in lines)


def test_large_settings_of_similar_names_have_fields_of_their_own():
    taken: dict[str, int] = {}
    for name in ("a b", "a_b", "a-b", "é", "1", "x" * 100, "x" * 101):
        taken[settings_field(name, "Mean", taken)] = 1
    assert len(taken) == 7
    assert all(field.isascii() and field.isidentifier() and len(field) <= 63 for field in taken)


def hostile_result() -> kpl.SweepResult:
    """A sweep whose layers, scores, metric and classes have such names."""
    layers = [dataclasses.replace(OUTLINE.layers[1], name=NAMES[0]), OUTLINE.layers[2], OUTLINE.layers[3]]
    layers += [dataclasses.replace(OUTLINE.layers[3], name=name, variables=()) for name in NAMES if name]
    curves = {name: FALLING["magnitude"] for name in NAMES if name}
    found = result(curves, metric=Metric("=acc$x$"), class_names=tuple(NAMES))
    outline = dataclasses.replace(OUTLINE, layers=tuple(layers))
    return dataclasses.replace(found, outline=outline, metadata={**found.metadata, "model": NAMES[2]})


def test_plots_show_names_as_they_are(monkeypatch):
    import matplotlib as mpl

    swept = hostile_result()
    choice = swept.choose(sparsity=0.9)
    layers = swept.layers(choice).assign(layer=lambda table: [NAMES[row % 12] for row in range(len(table))])
    with warnings.catch_warnings(), mpl.rc_context({"text.usetex": True}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figures = [accuracy_figure(swept, choice), bar_figure(layers, "layer"), filter_figure(layers)]
        for figure in figures:
            drawn = svg(figure)
            assert is_safe(drawn.replace("\n", ""))
            for text in figure.findobj(Text):
                shown, is_math = text._preprocess_math(text.get_text())
                assert is_math is not True or "mathdefault" in shown
                assert is_safe(text.get_text().replace("\n", ""))


def test_pages_and_tables_of_a_sweep(tmp_path):
    swept = hostile_result()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        page = kpl.report(swept, swept.choose(sparsity=0.9), tmp_path / "r.html", title=NAMES[8], notes=NAMES)
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script") == 3  # uPlot, the page's own, and the data
    assert "<script" not in text[: text.index("</main>")]
    assert is_safe(text.replace("\n", "").replace("\t", ""))
    lines = swept.to_csv(tmp_path / "s.csv").read_text(encoding="utf-8")
    assert "'=cmd" in lines
    assert "'=acc$x$" in lines.splitlines()[0]
    assert not any(cell.startswith(("=", "+", "@")) for line in lines.splitlines() for cell in line.split(","))


def test_what_a_terminal_shows(tmp_path, capsys):
    path = tmp_path / "evil.mat"
    # A v4 file: its names are not checked by any writer of ours.
    name = b"v\x1b[31mred\n\xe2\x80\xae\0"
    path.write_bytes(np.array([0, 1, 1, 0, len(name)], "<i4").tobytes() + name + np.array([7.0]).tobytes())
    assert run("info", path) == 0
    assert run("info", path, "--network", "x\x1b[31m") == 3
    assert run("lab", path, "--debug") == 3
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in shown.out + shown.err
    assert r"v\x1b[31mred" in shown.out
    for error in (mb.BridgeError(NAMES[2]), kpl.PruneLabError(NAMES[2])):
        assert is_safe(str(error))
    assert is_safe(str(mb.info(path)).replace("\n", ""))


@pytest.mark.parametrize("name", ["net", "models{2}", "$(touch x)", '"; touch x; "', "`touch x`", "a'b"])
@pytest.mark.skipif(sys.platform == "win32", reason="there is no sh")
def test_a_command_to_copy_is_one_word(name):
    done = subprocess.run(["sh", "-c", f"printf %s {shell_word(name)}"], capture_output=True, text=True, check=True)
    assert done.stdout == name


def test_a_summary_of_a_network_is_one_line_a_layer():
    network = mb.Network((mb.Layer(NAMES[0] + "\x1b", "nnet.cnn.layer.ReLULayer", {}),), ())
    assert is_safe(network.summary().replace("\n", ""))
    assert len(network.summary().splitlines()) == 4
