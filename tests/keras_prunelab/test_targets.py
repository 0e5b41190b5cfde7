"""Costs on Ethos-U, budgets on them, and what zeros bring where; against Vela itself, run by its own command."""

from __future__ import annotations

import csv
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._cost import _target_budget, _vela
from keras_prunelab._prune import _oneshot

pytest.importorskip("ethosu")
L = keras.layers
RNG = np.random.default_rng(0)
TARGET = "ethos-u55-128"


def dense(units: int = 64) -> keras.Model:
    return keras.Sequential([keras.Input((128,)), L.Dense(units, "relu"), L.Dense(10)])


def by_vela(model: keras.Model, folder: Path, target: str = TARGET) -> dict[str, str]:
    """The row that Vela writes for the int8 file of a model."""
    x = RNG.normal(size=(32, *model.input_shape[1:])).astype("float32")
    kpl.export_litert(model, folder / "net.tflite", "int8", calibration=x)
    command = [sys.executable, "-m", "ethosu.vela", "--accelerator-config", target, "--output-dir", folder / "out"]
    subprocess.run([*command, folder / "net.tflite"], check=True, capture_output=True)
    (summary,) = (folder / "out").glob("*.csv")
    with summary.open(encoding="utf-8") as file:
        return next(csv.DictReader(file))


def test_costs_are_those_of_the_compiler(tmp_path: Path) -> None:
    model = kpl.prune(dense(), 0.8)
    found = kpl.metrics(model, target=TARGET).target
    row = by_vela(model, tmp_path)
    assert found is not None
    assert found.cycles == pytest.approx(float(row["cycles_total"]), rel=0.02)
    assert found.flash_bytes == pytest.approx(1024 * float(row["off_chip_flash_memory_used"]), rel=0.02)
    assert found.sram_bytes == pytest.approx(1024 * float(row["sram_memory_used"]), rel=0.02)
    assert found.seconds == pytest.approx(float(row["inference_time"]), rel=0.02)
    assert (found.system, found.memory, found.cpu_operators) == (row["system_config"], row["memory_mode"], 0)
    assert "estimated by Vela" in str(found)
    assert TARGET in kpl.metrics(model, target=TARGET)._repr_html_()
    assert kpl.metrics(model).target is None


def test_zeros_pay_in_flash_and_in_cycles_of_dense_layers() -> None:
    """LeNet-300-100 at 90 %: at most 0.15 of the flash."""
    layers = [keras.Input((784,)), L.Dense(300, "relu"), L.Dense(100, "relu"), L.Dense(10, "softmax")]
    model = keras.Sequential(layers)
    whole, sparse = (kpl.metrics(each, target=TARGET).target for each in (model, kpl.prune(model, 0.9)))
    assert whole is not None
    assert sparse is not None
    assert sparse.flash_bytes <= 0.15 * whole.flash_bytes
    assert sparse.cycles <= 0.2 * whole.cycles


@pytest.mark.parametrize("target", ["ethos-u65-256", "ethos-u85-256"])
def test_weights_are_counted_where_other_targets_keep_them(target: str) -> None:
    found = kpl.metrics(dense(), target=target).target
    assert found is not None
    assert 128 * 64 * 0.8 < found.flash_bytes < 128 * 64 * 2


def cost_of_nonzeros(model: keras.Model, target: str, calibration: Any = None) -> _vela.TargetCost:
    """A compiler of our own: a byte and two cycles for each weight that is not zero, SRAM for each unit."""
    kernels = [np.array(layer.kernel) for layer in model.layers if hasattr(layer, "kernel")]
    count = sum(int(np.count_nonzero(kernel)) for kernel in kernels)
    return _vela.TargetCost(target, count, 10 * kernels[0].shape[1], 2 * count, 0.0, 1, 0, "", "", "ours")


@pytest.mark.parametrize("budget", [{"flash": 2000}, {"flash": 0.25}, {"flash": 5000, "cycles": 0.1, "sram": 640}])
def test_the_lowest_sparsity_within_the_budget(budget: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_target_budget, "target_cost", cost_of_nonzeros)
    model = dense()
    size = 128 * 64 + 64 * 10
    pruned = kpl.prune(model, budget=budget)
    flash = budget["flash"] if budget["flash"] >= 1 else budget["flash"] * size
    most = min(flash, budget.get("cycles", 1.0) * size)
    kept = size - round(kpl.sparsity(pruned) * size)
    assert kept <= most
    assert kept + round(0.001 * size) + 1 > most  # a step less would be too much
    expected = kpl.prune(model, round(kpl.sparsity(pruned), 3))
    for one, other in zip(pruned.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_budget_that_is_met_prunes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_target_budget, "target_cost", cost_of_nonzeros)
    assert kpl.sparsity(kpl.prune(dense(), budget={"flash": 10**6})) == 0
    assert kpl.remove_filters(dense(), budget={"sram": 10**6}).layers[0].units == 64


def test_solved_weights_are_within_the_budget_too(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def cost(model: keras.Model, target: str, calibration: Any = None) -> _vela.TargetCost:
        found = cost_of_nonzeros(model, target)
        compiled.append(found.flash_bytes)
        return found

    monkeypatch.setattr(_target_budget, "target_cost", cost)
    model, x = dense(), RNG.normal(size=(300, 128)).astype("float32")
    pruned = kpl.prune(model, budget={"flash": 1000}, reconstruct=True, calibration=x)
    plain = kpl.prune(model, budget={"flash": 1000})
    assert compiled[-1] <= 1000
    np.testing.assert_array_equal(np.array(pruned.layers[0].kernel) == 0, np.array(plain.layers[0].kernel) == 0)
    error, worse = (float(np.square(model(x) - each(x)).mean()) for each in (pruned, plain))
    assert error < worse
    assert len(compiled) < 40


def test_filters_are_removed_until_the_budget_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_target_budget, "target_cost", cost_of_nonzeros)
    small = kpl.remove_filters(dense(), budget={"sram": 325, "flash": 0.9})
    assert small.layers[0].units == 32  # 10 bytes of SRAM each; the flash goes with them
    trained: list[int] = []
    kpl.remove_filters(dense(), budget={"cycles": 0.5}, train=lambda model: trained.append(1), rounds=2)
    assert len(trained) == 2


def test_a_budget_that_the_highest_level_misses_and_others_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def cost(model: keras.Model, target: str, calibration: Any = None) -> _vela.TargetCost:
        found = cost_of_nonzeros(model, target)
        compiled.append(found.flash_bytes)
        # As Vela does: what has hardly a weight is packed worse.
        return found if found.flash_bytes > 100 else dataclasses.replace(found, flash_bytes=4000)

    monkeypatch.setattr(_target_budget, "target_cost", cost)
    kept = [int(np.count_nonzero(layer.kernel)) for layer in kpl.prune(dense(), budget={"flash": 1000}).layers]
    assert 990 <= sum(kept) <= 1000
    compiled.clear()
    solved: list[int] = []
    monkeypatch.setattr(_oneshot, "solve_into", lambda *_: solved.append(1))
    options: dict[str, Any] = {"reconstruct": True, "calibration": RNG.normal(size=(50, 128)).astype("float32")}
    with pytest.raises(
        kpl.NothingToPruneError, match=r"comes nearest at 9\d.\d%, where it still takes \d+ bytes of flash"
    ):
        kpl.prune(dense(), budget={"flash": 50}, **options)
    assert len(compiled) <= 10
    assert not solved


def test_what_vela_packs_best_is_no_model_without_weights() -> None:
    model = dense(96)
    half = kpl.metrics(kpl.prune(model, 0.98, scope="layer"), target=TARGET).target
    fitting = kpl.prune(model, budget={"flash": half.flash_bytes}, scope="layer")
    assert kpl.metrics(fitting, target=TARGET).target.flash_bytes <= half.flash_bytes


def test_a_budget_with_the_compiler(tmp_path: Path) -> None:
    model = dense(96)
    whole = kpl.metrics(model, target=TARGET).target
    pruned = kpl.prune(model, budget={"flash": 0.5})
    found = kpl.metrics(pruned, target=TARGET).target
    assert whole is not None
    assert found is not None
    assert 0.45 * whole.flash_bytes < found.flash_bytes <= 0.5 * whole.flash_bytes
    assert 0.3 < kpl.sparsity(pruned) < 0.8
    with pytest.raises(kpl.NothingToPruneError, match=r"bytes of flash .* are allowed"):
        kpl.prune(model, budget={"flash": 10})


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"sparsity": 0.5, "budget": {"flash": 0.5}}, kpl.InvalidSparsityError, "give one of them"),
    ({}, kpl.InvalidSparsityError, "give one of them"),
    ({"budget": {}}, kpl.InvalidSparsityError, "dictionary"),
    ({"budget": 5}, kpl.InvalidSparsityError, "dictionary"),
    ({"budget": {"ram": 5}}, kpl.UnknownNameError, "'flash', 'sram', 'cycles'"),
    ({"budget": {"flash": 0}}, kpl.InvalidSparsityError, "positive numbers"),
    ({"budget": {"flash": float("nan")}}, kpl.InvalidSparsityError, "positive numbers"),
    ({"budget": {"flash": "60 kB"}}, kpl.InvalidSparsityError, "positive numbers"),
    ({"budget": {"flash": 0.5}, "target": "ethos-n78"}, kpl.UnknownNameError, "ethos-u55-128"),
]


@pytest.mark.parametrize(("options", "error", "text"), BAD)
def test_bad_budgets_are_refused_before_work(
    options: dict[str, Any], error: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_target_budget, "target_cost", lambda *_: pytest.fail("it was compiled"))
    with pytest.raises(error, match=text):
        kpl.prune(dense(), **options)


def test_targets_are_checked_before_work(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(_vela, "export_litert", lambda *_, **__: pytest.fail("it was converted"))
    with pytest.raises(kpl.UnknownNameError, match="ethos-u55-128"):
        kpl.metrics(dense(), target="cortex-m4")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ethosu" else find(name))
    for call in (lambda: kpl.metrics(dense(), target=TARGET), lambda: kpl.prune(dense(), budget={"flash": 0.5})):
        with pytest.raises(kpl.MissingBackendError, match=r"keras-prunelab\[device\]"):
            call()


def test_a_loop_is_an_error_that_says_what_to_do() -> None:
    model = keras.Sequential([keras.Input((80, 4)), L.GRU(8), L.Dense(3)])
    with pytest.raises(kpl.InvalidModelError, match=r"80 steps.*unroll=True"):
        kpl.metrics(model, target=TARGET)


def mobile(stride: int = 2) -> keras.Model:
    layers = [keras.Input((16, 16, 3)), L.Rescaling(1 / 255), L.Conv2D(8, 3, strides=stride, padding="same")]
    layers += [L.ReLU(), L.Conv2D(32, 1, name="wide"), L.ReLU(), L.DepthwiseConv2D(3, padding="same", name="depth")]
    return keras.Sequential([*layers, L.GlobalAveragePooling2D(), L.Dense(4, name="last")])


def test_what_zeros_bring_by_layer() -> None:
    found = kpl.deployment(kpl.prune(mobile(), 0.9, scope="layer"))
    rows = found.layers.set_index("layer")
    assert rows.loc["wide", "LiteRT, ARM"] == "size and speed in float"
    assert rows.loc["wide", "zeros"] == pytest.approx(0.9, abs=0.01)
    assert rows.loc["last", "Ethos-U"] == "size and cycles"
    assert rows.loc["wide", "Ethos-U"] == "size"
    # 256 weights, 26 of them not zero: 32 bytes of bits and 26 values.
    assert rows.loc["wide", "TFLM"] == f"size, to {58 / 256:.0%}"
    assert "speed" in rows.loc["wide", "C"]
    assert "speed" not in rows.loc["depth", "C"]
    assert set(found.sources) == set(found.targets) <= set(found.layers.columns)
    assert "benchmarks/device.py" in str(found)
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("make", "sparsity", "text"),
    [
        (lambda: mobile(1), 0.9, "stride 2"),
        (mobile, 0.5, "two thirds"),
        (lambda: keras.Sequential([*mobile().layers[:-2], L.Flatten(), L.Dense(3)]), 0.9, "flatten.* no such kernel"),
        (lambda: keras.Sequential([keras.Input((16, 16, 3)), *mobile().layers[:-2]]), 0.9, "does not end"),
    ],
)
def test_what_keeps_sparse_kernels_from_running(make: Any, sparsity: float, text: str) -> None:
    import re

    model = make()
    model.build((None, 16, 16, 3))
    rows = kpl.deployment(kpl.prune(model, sparsity, scope="layer")).layers.set_index("layer")
    assert re.search(text, rows.loc["wide", "LiteRT, ARM"])
    assert rows.loc["wide", "LiteRT, ARM"].startswith("no speed")


def test_nothing_where_there_are_no_zeros_and_loops_are_named() -> None:
    model = keras.Sequential([keras.Input((9, 4)), L.LSTM(8, name="loop"), L.Dense(3, name="last")])
    rows = kpl.deployment(model).layers
    assert rows.loc[rows["layer"] == "last", ["LiteRT, x86", "LiteRT, ARM", "TFLM"]].to_numpy().tolist() == [
        ["nothing"] * 3
    ]
    loops = rows[rows["layer"].str.startswith("loop")]
    assert len(loops) == 2
    assert loops["Ethos-U"].str.contains("unroll=True").all()


def test_inputs_of_free_length_are_refused() -> None:
    model = keras.Sequential([keras.Input((None, 3)), L.Conv1D(5, 3), L.GlobalAveragePooling1D(), L.Dense(2)])
    with pytest.raises(kpl.InvalidModelError, match=r"shape \(None, None, 3\), and ethos-u55-128 takes fixed lengths"):
        kpl.metrics(model, target=TARGET)
