"""Training on two devices, seen on each of them. The training itself is in `distributed_training.py`."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from .training import BATCH, ROUNDS, ROWS, SCHEDULE, expected_zeros

pytestmark = [pytest.mark.backends, pytest.mark.slow]

TOTAL, STEPS = 12 * 16 + 16 * 4, ROWS // BATCH

PRUNED = ["a score of data", "adamw", "averaging", "constrained", "ftrl", "scaled", "muon", "sgd"]
SPARSE = ["rigl", "set"]
# Keras itself cannot accumulate gradients within a MirroredStrategy.
CASES = {"tensorflow": [*PRUNED, *SPARSE, "rewind", "wrapped"]}
CASES["jax"] = [*CASES["tensorflow"], "accumulating"]
# Those of the backend in use; Keras distributes no training on torch.
CASE = [(keras.config.backend(), name) for name in CASES.get(keras.config.backend(), [])]
# Half of the numbers' digits in mixed precision; elsewhere sums of eight terms in another order.
TOLERANCE = {"scaled": 2e-3}


@functools.cache
def results(backend: str) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.keras_prunelab.distributed_training", backend],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    assert sorted(found) == sorted(CASES[backend])
    return found


def seen(backend: str, name: str, devices: int = 2) -> dict[str, Any]:
    found: dict[str, Any] = results(backend)[name][str(devices)]
    assert "error" not in found, found["error"]
    return found


def schedule_of(name: str, batch: int) -> int:
    if name in SPARSE:
        return expected_zeros(lambda _: 0.75, batch, TOTAL)
    step = batch // 2 if name == "accumulating" else batch
    return expected_zeros(ROUNDS if name == "rewind" else SCHEDULE, step, TOTAL)


@pytest.mark.parametrize(("backend", "name"), CASE)
def test_every_device_has_the_same_exact_zeros_at_every_batch(backend: str, name: str) -> None:
    found = seen(backend, name)
    assert found["devices"] == 2
    assert found["between_devices"] == 0
    if name != "wrapped":  # whose weights go on behind their masks
        assert found["pruned"] == 0
        assert found["slots"] == 0


@pytest.mark.parametrize(("backend", "name"), CASE)
def test_steps_and_sparsity_are_those_of_the_schedule(backend: str, name: str) -> None:
    found = seen(backend, name)
    if name == "wrapped":  # each layer for itself
        sizes = (12 * 16, 16 * 4)
        expected = [sum(expected_zeros(SCHEDULE, step, size) for size in sizes) for step in range(1, 3 * STEPS + 1)]
    else:
        expected = [schedule_of(name, batch) for batch in range(1, 3 * STEPS + 1)]
    assert found["zeros"] == expected
    assert found["sparsity"] == expected[-1] / TOTAL


@pytest.mark.parametrize(("backend", "name"), CASE)
def test_the_same_masks_and_weights_as_on_one_device(backend: str, name: str) -> None:
    found, alone = seen(backend, name), seen(backend, name, 0)
    assert alone["devices"] == 1
    assert found["masks"] == alone["masks"]
    for one, other in zip(found["weights"], alone["weights"], strict=True):
        assert_allclose(np.array(one), np.array(other), atol=TOLERANCE.get(name, 1e-5))


@pytest.mark.parametrize(("backend", "name"), CASE)
def test_nothing_is_left_in_the_optimizer(backend: str, name: str) -> None:
    found = seen(backend, name)
    assert found["left"] == []
    if name != "wrapped" and "afterwards" in found:  # where the masks stay, or Keras cannot fit twice
        assert found["afterwards"] < found["sparsity"], "a plain fit moves what was pruned"


@pytest.mark.parametrize("backend", CASES.keys() & {keras.config.backend()})
def test_a_strategy_of_one_device(backend: str) -> None:
    found, alone = seen(backend, "adamw", 1), seen(backend, "adamw", 0)
    assert found["devices"] == 1
    assert found["zeros"] == alone["zeros"]
    assert found["masks"] == alone["masks"]
    assert found["pruned"] == found["slots"] == 0
