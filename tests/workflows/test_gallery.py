"""Every example runs, and says what its page promises; the pages of the gallery show what these runs leave behind."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.matlab_bridge import octave

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
RUNS = ROOT / "build" / "gallery"


def run(script: str, *arguments: str) -> str:
    """Run an example into its folder of the gallery, and keep what it prints there."""
    folder = RUNS / Path(script).stem
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, str(EXAMPLES / script), "--out", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.replace(f"{ROOT}/", "")
    (folder / "output.txt").write_text(printed, encoding="utf-8")
    assert list(folder.glob("*.png"))
    return printed


def rows(printed: str) -> dict[str, list[float]]:
    """The numbers of a printed table by the name of the row."""
    found = {}
    for line in printed.splitlines():
        name, *cells = re.split(r" +(?=[\d.,%]+(?: |$))", line.strip())
        if len(cells) > 1:
            found[name] = [float(text.strip("%").replace(",", "")) for text in cells]
    return found


@pytest.mark.slow
def test_the_lab_and_its_results_in_matlab_alone() -> None:
    *_, choice, html, word, pdf, matlab = run("mnist_lab.py", "--epochs", "4").splitlines()
    assert choice.startswith("Choice: ")
    assert matlab.startswith("In MATLAB: addpath(")
    folder = RUNS / "mnist_lab"
    names = ("report.html", "report.docx", "report.pdf")
    assert [html, word, pdf] == [f"Report: build/gallery/mnist_lab/{name}" for name in names]
    assert all((folder / name).is_file() for name in (*names, "pruned.mat"))
    if shutil.which("octave") is None or shutil.which("gnuplot") is None:
        return
    there = RUNS / "pruned_network"
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir(parents=True)
    shutil.copy(folder / "results.mat", there)
    code = "graphics_toolkit('gnuplot'); set(0, 'defaultfigurevisible', 'off'); folder = '.';"
    printed = octave.run(f"{code} source('{EXAMPLES / 'matlab_only' / 'pruned_network.m'}');", there)
    (there / "output.txt").write_text(printed, encoding="utf-8")
    assert re.search(r"\d+ points were measured\. Chosen: \w+ at [\d.]+ % sparsity", printed)
    assert {path.name for path in there.glob("*.png")} == {"plotSweep.png", "plotBlocks.png"}


@pytest.mark.slow
def test_pruned_files_are_smaller_and_as_accurate() -> None:
    table = rows(run("prune_while_training.py"))
    assert list(table) == ["dense", "dense-int8", "pruned", "pruned-int8"]
    sizes = {name: numbers[0] for name, numbers in table.items()}
    assert sizes["pruned"] < 0.3 * sizes["dense"]
    assert sizes["pruned-int8"] < 0.6 * sizes["dense-int8"]
    assert min(numbers[1] for numbers in table.values()) > 90


@pytest.mark.slow
def test_solving_brings_back_what_removed_filters_cost() -> None:
    table = rows(run("fewer_filters.py"))
    whole, removed, solved, tuned = table.values()
    assert removed[:2] == solved[:2] == tuned[:2]
    assert removed[1] < 0.4 * whole[1]  # multiply-adds
    assert solved[3] > whole[3] - 0.03 > removed[3]
    assert tuned[3] > whole[3] - 0.03


@pytest.mark.slow
def test_modulations_are_told_apart_and_obs_keeps_more() -> None:
    printed = run("modulation.py")
    kept = [int(text) for text in re.findall(r"up to (\d+)%", printed)]
    for magnitude, obs in (kept[:2], kept[2:]):
        assert obs >= magnitude
    assert max(kept) > 50
    assert min(float(text) for text in re.findall(r"([\d.]+)% before", printed)) > 50  # of four classes


@pytest.mark.slow
def test_masks_hold_in_the_loop() -> None:
    epochs = re.findall(r"sparsity ([\d.]+)%, accuracy ([\d.]+)%", run("custom_loop.py"))
    sparsity, accuracy = np.array(epochs, float).T
    assert list(sparsity) == sorted(sparsity)
    assert sparsity[-1] == 90
    assert accuracy[-1] > 80


@pytest.mark.slow
def test_a_sweep_on_dask() -> None:
    pytest.importorskip("distributed")
    assert "is the sparsest level whose accuracy" in run("dask_sweep.py")
    assert (RUNS / "dask_sweep" / "sweep.db").is_file()


def test_signals_have_the_power_and_the_noise_that_they_say() -> None:
    """A filter matched to the pulse gives the points back, and what is beside them is the noise."""
    signals = runpy.run_path(str(EXAMPLES / "signals.py"))
    pulse = signals["root_raised_cosine"](0.35, 8)
    matched = np.convolve(pulse, pulse)[::8] / 8  # at the moments of the symbols: no interference, after Nyquist
    middle = len(matched) // 2
    assert_allclose(matched[middle], 1, rtol=1e-3)
    assert np.abs(np.delete(matched, middle)).max() < 0.02
    for name in signals["CLASSES"]:
        points = signals["constellation"](name)
        assert_allclose(np.mean(np.abs(points) ** 2), 1)
        assert len(set(np.round(points, 6))) == {"BPSK": 2, "QPSK": 4, "8-PSK": 8, "16-QAM": 16}[name]
    made = signals["make_signals"](2000, seed=0)
    assert_allclose(np.mean(made.inputs**2) * 2, 1, rtol=1e-5)
    # White noise keeps its power beyond the signal's band (1.35 / 16 of the rate), from which the ratio is found again.
    spectrum = np.abs(np.fft.fft(made.inputs[..., 0] + 1j * made.inputs[..., 1])) ** 2 / made.inputs.shape[1]
    noise = spectrum[:, 24:105].mean(axis=1)
    for ratio in signals["RATIOS"][:4]:
        share = noise[made.ratios == ratio].mean()
        assert_allclose(10 * np.log10((1 - share) / share), ratio, atol=0.7)


def test_every_example_has_a_page() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "build_gallery.py"))["EXAMPLES"]
    scripts = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.[pm]*") if "__" not in str(path)}
    assert scripts - set(pages) == {"gallery.py", "signals.py"}
