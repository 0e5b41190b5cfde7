"""Conjugate gradients on the weights that stay, against the exact solution."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from keras_prunelab._reconstruct import _refine
from keras_prunelab._reconstruct._refine import refine

from .reconstruct_by_hand import Array, least_squares, objective, problem


def gram_of(rows: Array) -> Array:
    return rows.T @ rows / len(rows)


@pytest.fixture(autouse=True)
def few_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_refine, "_COLUMNS", 3)


@pytest.mark.parametrize("damping", [0.001, 0.01, 1.0])
def test_many_steps_are_least_squares(damping: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_refine, "_ENOUGH", 0.0)
    rows, weights = problem(30, 7, 100)
    mask = np.random.default_rng(0).random(weights.shape) < 0.5
    mask[:, 2], mask[:, 5] = True, False
    found = refine(gram_of(rows), weights, mask, weights * mask, damping=damping, steps=200)
    for column, kept in enumerate(mask.T):
        old = weights[:, column]
        expected = least_squares(rows, rows @ old, old, kept, damping)
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-6, atol=1e-8)


def test_the_inputs_of_a_pruned_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_refine, "_ENOUGH", 0.0)
    reference, weights = problem(20, 4, 100)
    rows = reference * (np.random.default_rng(1).random(reference.shape) < 0.8)
    mask = np.random.default_rng(0).random(weights.shape) < 0.5
    cross = rows.T @ reference / len(rows)
    found = refine(gram_of(rows), weights, mask, weights * mask, cross=cross, steps=200)
    for column, kept in enumerate(mask.T):
        old = weights[:, column]
        expected = least_squares(rows, reference @ old, old, kept, 0.01)
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-6, atol=1e-8)


def test_each_step_makes_it_better_and_none_makes_it_worse() -> None:
    rows, weights = problem(40, 6, 100)
    mask = np.random.default_rng(0).random(weights.shape) < 0.5
    start = weights * mask
    reached = [objective(rows, weights, start, 0.01)]
    for steps in (0, 1, 2, 4, 8, 16, 200):
        found = refine(gram_of(rows), weights, mask, start, steps=steps)
        assert not found[~mask].any()
        reached.append(objective(rows, weights, found, 0.01))
    assert reached[0] == reached[1]
    assert all(later <= earlier for earlier, later in itertools.pairwise(reached))
    best = sum(
        objective(rows, old, least_squares(rows, rows @ old, old, kept, 0.01), 0.01)
        for old, kept in zip(weights.T, mask.T, strict=True)
    )
    assert reached[-1] == pytest.approx(best, rel=1e-2)
    assert reached[3] < reached[2] < reached[1]


def test_what_is_reached_stays_as_it_is() -> None:
    rows, weights = problem(10, 3, 50)
    rows[:, 4] = 0
    mask = np.ones(weights.shape, np.bool_)
    np.testing.assert_array_equal(refine(gram_of(rows), weights, mask, weights), weights)
