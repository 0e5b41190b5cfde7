"""Solvers in use: statistics and traces are made once for all who need them, and anew for what is not the same."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._reconstruct import _score, _statistics, _trace
from keras_prunelab._reconstruct._estimate import estimate
from keras_prunelab._reconstruct._solver import Solver

pytestmark = pytest.mark.backends

L = keras.layers
X = np.random.default_rng(0).normal(size=(80, 6)).cumsum(axis=1).astype(np.float32)
Y = np.arange(80) % 3


@pytest.fixture
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,)), L.Dense(7, "relu"), L.Dense(3, "softmax")])


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often statistics were collected, gradients taken and layers traced."""
    found = {"collected": 0, "gradients": 0, "traced": 0}

    def counted(name: str, function: Any) -> Any:
        def count(*args: Any, **options: Any) -> Any:
            found[name] += 1
            return function(*args, **options)

        return count

    monkeypatch.setattr(_statistics, "_collect_group", counted("collected", _statistics._collect_group))
    monkeypatch.setattr(_score, "squared_gradients", counted("gradients", _score.squared_gradients))
    monkeypatch.setattr(_trace, "trace", counted("traced", _trace.trace))
    return found


def test_one_that_is_in_use_serves_who_asks_for_the_same(model: keras.Model) -> None:
    first = Solver.of(model, X)
    assert Solver.of(model, X) is first
    assert Solver.of(model, X, 0.1) is not first
    assert Solver.of(model, X[:40]) is not first
    changed = X.copy()
    second = Solver.of(model, changed)
    changed[0] += 1
    assert Solver.of(model, changed) is not second
    model.layers[0].kernel.assign(2 * model.layers[0].kernel)
    assert Solver.of(model, X) is not first


def test_nobody_keeps_one_but_who_uses_it(model: keras.Model) -> None:
    left = weakref.ref(Solver.of(model, X))
    gc.collect()
    assert left() is None


def test_a_sweep_and_those_after_it_collect_and_trace_once(model: keras.Model, counts: dict[str, int]) -> None:
    first = kpl.sweep(model, (X, Y), [0.5, 0.8], ["obs", "magnitude"], calibration=X, reconstruct=[False, True])
    assert counts == {"collected": 1, "gradients": 1, "traced": 2}
    more = kpl.sweep(model, (X, Y), [0.6], "obs", calibration=X, reconstruct=True)
    assert counts == {"collected": 1, "gradients": 1, "traced": 2}
    assert first.metadata["traces"] == more.metadata["traces"]
    kpl.sweep(model, (X, Y), [0.6], "obs", calibration=X, granularity="kernel", reconstruct=True)
    assert counts["gradients"] == 2
    model.layers[0].kernel.assign(2 * model.layers[0].kernel)
    kpl.sweep(model, (X, Y), [0.6], "obs", calibration=X, reconstruct=True)
    assert counts["collected"] == 2


def test_a_pass_is_made_for_each_aim(model: keras.Model, counts: dict[str, int]) -> None:
    solver, score = Solver.of(model, X), kpl.scores.OBS(budget=0)
    for sparsity, taken in ((0.5, 1), (0.5, 1), (0.8, 2)):
        kpl.prune(model, sparsity, score=score, calibration=X)
        assert counts["gradients"] == taken
    assert set(score.methods.values()) == {"blocked"}
    assert counts["traced"] == 0
    assert solver.layers


def test_a_trace_says_what_it_costs_and_how_far_it_is(model: keras.Model) -> None:
    said: list[str] = []
    kpl.trajectory(model, [0.5], "obs", calibration=X, on_score=said.append)
    assert said[0].startswith("traces of 2 layers: ")
    assert any("dense" in line and "parts" in line for line in said[1:])
    assert "obs: traces of 2 layers" in str(kpl.plan_sweep(model, (X, Y), [0.5], "obs", calibration=X))
    # 784 x 300 by the definition: a third of n^3 as half of a symmetric matrix for each output, and an inverse.
    large = keras.Sequential([keras.Input((784,)), L.Dense(300, use_bias=False)])
    assert estimate(large).multiply_adds == pytest.approx(784**3 * (1 + 300 / 6))
    assert estimate(large, budget=0).passes == 1
