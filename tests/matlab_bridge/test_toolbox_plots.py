"""The MATLAB functions that draw results, in Octave: what is drawn is recorded, or printed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from . import octave
from .toolbox_in_octave import load, write_functions

pytestmark = pytest.mark.octave

RESULTS = """
    sweep.Score = {'magnitude'; 'synflow'; 'magnitude'; 'synflow'};
    sweep.Sparsity = [0.5; 0.5; 0.25; 0.9]; sweep.Accuracy = [0.75; 0.5; 1; 0.25];
    about.Dense = 0.96875; about.Convention = 'matlab'; about.Details.Model = 'net_1';
    choice.Score = 'magnitude'; choice.Sparsity = 0.5; choice.Accuracy = 0.75; choice.Row = 1;
    blockStats.Block = {'conv_1'; 'conv^2'; 'fc'}; blockStats.Sparsity = [0.25; 0.5; 0.75];
    blockStats.Macs = [4000; 6000; NaN]; blockStats.MacsKept = [3000; 2000; NaN];
    layerStats.Layer = {'conv'}; layerStats.Sparsity = 0.625; layerStats.Macs = 2e6; layerStats.MacsKept = 5e5;
"""
SAVE_RESULTS = "save('-v7', 'results.mat', 'sweep', 'choice', 'about', 'blockStats', 'layerStats');"
DRAWN = [
    *("figure", "hold", "plot", "grid", "box", "xlabel", "ylabel", "title", "legend"),
    *("axes", "barh", "set", "text"),
]


@pytest.fixture
def canvas(tmp_path: Path) -> Path:
    """A folder in which drawing is recorded: Octave draws only where a display or gnuplot is."""
    code = (
        "function varargout = {0}(varargin)\nglobal CALLS\nCALLS{{end+1}} = [{{'{0}'}} varargin];\n"
        "varargout = num2cell(ones(1, nargout));\nend\n"
    )
    write_functions(
        tmp_path, {name: code.format(name) for name in DRAWN} | {"gca": "function h = gca()\nh = 1;\nend\n"}
    )
    return tmp_path


def calls_of(script: str, folder: Path) -> dict[str, list[Any]]:
    """The arguments of what was drawn, by the function; the results are in the file and in variables."""
    octave.run(
        f"global CALLS; CALLS = {{}}; {RESULTS} {SAVE_RESULTS} {script} save('-v7', 'calls.mat', 'CALLS');", folder
    )
    found: dict[str, list[Any]] = {}
    for call in load(folder / "calls.mat")["CALLS"]:
        if isinstance(call, np.ndarray):  # a call without arguments is a text
            found.setdefault(call[0], []).append(list(call[1:]))
    return found


class TestPlotSweep:
    def drawn(self, script: str, folder: Path) -> tuple[list[Any], dict[str, str]]:
        """The lines by their names in the legend, and what was written beside them."""
        calls = calls_of(script, folder)
        lines = [tuple(np.ravel(part).tolist() for part in call[:2]) for call in calls["plot"]]
        texts = {name: calls[name][0][0] for name in ("xlabel", "ylabel", "title")}
        return [(name, *line) for name, line in zip(calls["legend"][0][0], lines, strict=True)], texts

    def test_a_line_a_score_the_dense_network_and_the_choice(self, canvas: Path) -> None:
        lines, texts = self.drawn("plotSweep('results.mat');", canvas)
        assert lines == [
            ("magnitude", [25, 50], [100, 75]),
            ("synflow", [50, 90], [50, 25]),
            ("dense network, 96.88 %", [25, 90], [96.875, 96.875]),
            ("choice: magnitude at 50.0 %, 75.00 %", [50], [75]),
        ]
        assert texts["xlabel"] == "Sparsity (%)"
        assert texts["ylabel"] == "Accuracy (%)"
        assert texts["title"] == "Accuracy against sparsity of net_1, convention matlab"

    def test_a_regression_shows_its_error(self, canvas: Path) -> None:
        script = (
            "results.sweep = rmfield(sweep, 'Accuracy'); results.sweep.Rmse = [3; 4; 2; 5];"
            "results.about = about; results.about.Dense = 1.5; plotSweep(results);"
        )
        lines, texts = self.drawn(script, canvas)
        assert [y for _, _, y in lines] == [[2, 3], [4, 5], [1.5, 1.5]]
        assert lines[-1][0] == "dense network, 1.5"
        assert texts["ylabel"] == "Root-mean-square error"

    def test_a_metric_of_keras_follows_the_sparsity(self, canvas: Path) -> None:
        script = (
            "results.sweep = struct('Score', {sweep.Score}, 'Sparsity', sweep.Sparsity, 'MeanAbsoluteError',"
            "[3; 4; 2; 5], 'Loss', [9; 9; 9; 9]); results.about = about; plotSweep(results);"
        )
        lines, texts = self.drawn(script, canvas)
        assert [y for _, _, y in lines][:2] == [[2, 3], [4, 5]]
        assert texts["ylabel"] == "Mean absolute error"

    def test_scopes_are_curves_and_seeds_are_not(self, canvas: Path) -> None:
        script = """
            sweep = struct('Score', {repmat({'random'}, 6, 1)}, 'Seed', [0; 0; 1; 1; 0; 1]);
            sweep.Scope = {'layer'; 'layer'; 'layer'; 'layer'; 'global'; 'global'};
            sweep.SparsityTarget = [0.5; 0.75; 0.5; 0.75; 0.5; 0.5];
            sweep.Sparsity = [0.5; 0.75; 0.5; 0.75; 0.25; 0.75]; sweep.Accuracy = [1; 0.5; 0.5; 0.25; 0.75; 0.25];
            plotSweep(struct('sweep', sweep, 'about', about));
        """
        lines, _ = self.drawn(script, canvas)
        assert lines[:2] == [("random, layer", [50, 75], [75, 37.5]), ("random, global", [50], [50])]


class TestPlotBlocks:
    def test_sparsity_and_multiply_adds_of_blocks(self, canvas: Path) -> None:
        calls = calls_of("plotBlocks('results.mat');", canvas)
        sparsity, whole, kept = (np.ravel(call[1]).tolist() for call in calls["barh"])
        assert sparsity == [25, 50, 75]
        assert whole == [4, 6, pytest.approx(np.nan, nan_ok=True)]
        assert kept == [3, 2, pytest.approx(np.nan, nan_ok=True)]
        (line,) = calls["plot"]
        assert line[0].tolist() == [50, 50]
        assert [call[0] for call in calls["xlabel"]] == [
            "Sparsity (%)",
            "Multiply-adds for one observation (thousands)",
        ]
        assert [call[0] for call in calls["title"]] == [
            "magnitude, 50.0 % sparse in all",
            "50.0 % of multiply-adds kept (dark)",
        ]
        assert [call[2] for call in calls["text"]] == ["25.0", "50.0", "75.0"]

    def test_layers(self, canvas: Path) -> None:
        calls = calls_of("plotBlocks(load('results.mat'), 'layers');", canvas)
        assert [np.ravel(call[1]).tolist() for call in calls["barh"]] == [[62.5], [2], [0.5]]
        assert calls["xlabel"][1][0].endswith("(millions)")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("plotSweep()", "results file"),
        ("plotSweep(3)", "class double"),
        ("plotSweep('none.mat')", "no file 'none.mat'"),
        ("plotSweep(struct('sweep', 1))", "missing: about"),
        ("plotBlocks()", "results file"),
        ("plotBlocks({})", "class cell"),
        ("plotBlocks('results.mat', 'filters')", "'blocks' or 'layers', but got 'filters'"),
        ("plotBlocks(rmfield(load('results.mat'), 'choice'))", "choice=result.choose"),
        ("plotBlocks(rmfield(load('results.mat'), 'blockStats'))", "missing: blockStats"),
    ],
)
def test_plots_say_what_they_cannot_read(call: str, message: str, tmp_path: Path) -> None:
    printed = octave.run(f"{RESULTS} {SAVE_RESULTS} try, {call}; catch e, disp(e.message); end", tmp_path)
    assert message in printed


@pytest.mark.skipif(shutil.which("gnuplot") is None, reason="Octave prints without a display by gnuplot")
@pytest.mark.parametrize("call", ["plotSweep('results.mat')", "plotBlocks('results.mat')"])
def test_octave_prints_the_figure(call: str, tmp_path: Path) -> None:
    octave.run(
        f"{RESULTS} {SAVE_RESULTS} graphics_toolkit('gnuplot'); set(0, 'defaultfigurevisible', 'off');"
        f"ax = {call}; print('plot.png', '-dpng', '-r100'); assert(all(isaxes(ax)));",
        tmp_path,
    )
    pixels = keras.utils.img_to_array(keras.utils.load_img(tmp_path / "plot.png")).astype(int)
    blue = np.abs(pixels - [0, 114, 178]).max(axis=-1) < 30  # the first curve, or the bars of the sparsity
    assert blue.any()
    ink = pixels.min(axis=-1) < 128
    edges = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    assert not edges.any(), "something is cut off"
