"""The pass over the inputs of large layers, against its recursion with an inverse for each step."""

from __future__ import annotations

import numpy as np
import pytest

from keras_prunelab import _errors
from keras_prunelab._reconstruct import _blocked
from keras_prunelab._reconstruct._blocked import choose_blocked, solve_blocked
from keras_prunelab._reconstruct._solve import solve

from .reconstruct_by_hand import Array, objective, penalty, problem


def gram_of(rows: Array) -> Array:
    return rows.T @ rows / len(rows)


def frozen_one_by_one(rows: Array, start: Array, gone: Array, damping: float) -> Array:
    """Fix one input after the other: those behind it are solved anew each time, by the inverse of their own H."""
    whole = gram_of(rows) + penalty(rows, damping) * np.eye(rows.shape[1])
    new = start.copy()
    for place in range(len(start)):
        behind = np.linalg.inv(whole[place:, place:])
        error = np.where(gone[place], new[place], 0.0) / behind[0, 0]
        new[place:] -= np.outer(behind[:, 0], error)
        new[place, gone[place]] = 0.0
    return new


@pytest.fixture(params=[(4, 2), (8, 8), (128, 16)], ids=str)
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocked, "_BLOCK", request.param[0])
    monkeypatch.setattr(_blocked, "_INNER", request.param[1])
    monkeypatch.setattr(_blocked, "_COLUMNS", 5)


@pytest.mark.parametrize("inputs", [1, 8, 21])
def test_a_mask_given(blocks: None, inputs: int) -> None:
    rows, weights = problem(inputs, 12, 80)
    # Nested masks, whose order of inputs is that of their numbers.
    mask = np.arange(inputs)[:, None] > np.random.default_rng(0).integers(-1, inputs, 12)
    new = solve_blocked(gram_of(rows), weights, mask)
    np.testing.assert_allclose(new, frozen_one_by_one(rows, weights, ~mask, 0.01), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(new, solve(gram_of(rows), weights, mask), rtol=1e-7, atol=1e-9)


def test_random_masks_cost_less_than_no_solution_and_no_less_than_the_exact_one(blocks: None) -> None:
    rows, weights = problem(30, 12, 80)
    mask = np.random.default_rng(0).random(weights.shape) < 0.5
    new = solve_blocked(gram_of(rows), weights, mask)
    order = np.argsort(mask.sum(axis=1), kind="stable")
    expected = frozen_one_by_one(rows[:, order], weights[order], ~mask[order], 0.01)
    np.testing.assert_allclose(new[order], expected, rtol=1e-8, atol=1e-10)
    assert not new[~mask].any()
    exact = objective(rows, weights, solve(gram_of(rows), weights, mask), 0.01)
    assert exact <= objective(rows, weights, new, 0.01) < objective(rows, weights, weights * mask, 0.01)


def test_the_inputs_of_a_pruned_network(blocks: None) -> None:
    reference, weights = problem(20, 7, 80)
    rows = reference * (np.random.default_rng(1).random(reference.shape) < 0.8)
    mask = np.arange(20)[:, None] > np.random.default_rng(0).integers(0, 18, 7)
    cross = rows.T @ reference / len(rows)
    new = solve_blocked(gram_of(rows), weights, mask, cross=cross)
    np.testing.assert_allclose(new, solve(gram_of(rows), weights, mask, cross=cross), rtol=1e-7, atol=1e-9)


def test_exactly_so_many_go_and_the_others_are_solved_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocked, "_BLOCK", 32)
    rows, weights = problem(75, 9, 200)
    for gone in (0, 1, 175, 350, 670, 675):
        found = choose_blocked(gram_of(rows), weights, gone)
        assert np.count_nonzero(~found.mask) == gone
        np.testing.assert_array_equal(found.weights != 0, found.mask)
        lost = objective(rows, weights, found.weights, 0.01)
        expected = frozen_one_by_one(rows, weights, ~found.mask, 0.01)
        np.testing.assert_allclose(found.weights, expected, rtol=1e-6, atol=1e-8)
        assert lost <= objective(rows, weights, weights * found.mask, 0.01) * (1 + 1e-9)


def test_in_each_block_the_cheapest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocked, "_BLOCK", 32)
    rows, weights = problem(50, 6, 150)
    found = choose_blocked(gram_of(rows), weights, 170)
    for part in (slice(0, 32), slice(32, 50)):
        assert found.costs[part][~found.mask[part]].max() <= found.costs[part][found.mask[part]].min()


@pytest.mark.parametrize("n_of_m", [(2, 4), (1, 4), (4, 8)])
def test_n_of_every_m_inputs_stay(blocks: None, n_of_m: tuple[int, int]) -> None:
    n, m = n_of_m
    rows, weights = problem(33, 6, 100)
    rows[:, 32] = 1
    found = choose_blocked(gram_of(rows), weights, n_of_m, stays=np.arange(33) == 32)
    assert (found.mask[:32].reshape(32 // m, m, 6).sum(axis=1) == n).all()
    assert found.mask[32].all()
    assert np.isinf(found.costs[32]).all()
    expected = frozen_one_by_one(rows, weights, ~found.mask, 0.01)
    np.testing.assert_allclose(found.weights, expected, rtol=1e-7, atol=1e-9)
    costs = np.where(found.mask[:32], np.nan, found.costs[:32])
    kept = np.where(found.mask[:32], found.costs[:32], np.nan)
    assert (np.nanmax(costs.reshape(-1, m, 6), axis=1) <= np.nanmin(kept.reshape(-1, m, 6), axis=1)).all()


def test_a_bias_in_front_is_decided_last() -> None:
    rows, weights = problem(12, 5, 100)
    rows[:, 0] = 1
    found = choose_blocked(gram_of(rows), weights, 55, stays=np.arange(12) == 0)
    assert not found.mask[1:].any()
    np.testing.assert_allclose(found.weights, solve(gram_of(rows), weights, found.mask), rtol=1e-8)


def test_inputs_that_are_always_zero_go_first_and_else_stay_as_they_are() -> None:
    rows, weights = problem(12, 5, 100)
    rows[:, [3, 8]] = 0
    weights[[3, 8]] = 50
    found = choose_blocked(gram_of(rows), weights, 10)
    assert not found.mask[[3, 8]].any()
    np.testing.assert_allclose(solve_blocked(gram_of(rows), weights, ~found.mask | found.mask)[[3, 8]], 50)


def test_bad_input_is_refused() -> None:
    gram, weights = np.eye(6), np.ones((6, 2))
    with pytest.raises(_errors.InvalidDataError, match="13 weights"):
        choose_blocked(gram, weights, 13)
    with pytest.raises(_errors.InvalidDataError, match="1 of every 4"):
        choose_blocked(gram, weights, (1, 4))
    with pytest.raises(_errors.InvalidDataError, match="damping > 0"):
        choose_blocked(np.ones((6, 6)), weights, 3, damping=0)
    with pytest.raises(_errors.InvalidMaskError, match="bool"):
        solve_blocked(gram, weights, np.ones((6, 2)))
    with pytest.raises(_errors.InvalidDataError, match="5 inputs"):
        choose_blocked(np.eye(5), weights, 3)
