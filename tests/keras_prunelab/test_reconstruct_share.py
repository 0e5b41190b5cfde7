"""Layers that share a sparsity by their costs, and the choice between exact and blocked work."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest

from keras_prunelab import _errors
from keras_prunelab._reconstruct._blocked import solve_blocked
from keras_prunelab._reconstruct._method import rank_map, solve_map
from keras_prunelab._reconstruct._share import masks_at
from keras_prunelab._reconstruct._solve import solve
from keras_prunelab._reconstruct._trace import Trace, trace

from .reconstruct_by_hand import Array, problem


def gram_of(rows: Array) -> Array:
    return rows.T @ rows / len(rows)


def merged(traces: list[Trace], sensitivities: list[Array], count: int) -> list[Array]:
    """How many weights each output gives where always the output whose next removal costs least loses one."""
    gone = [np.zeros(each.outputs, int) for each in traces]
    waiting = [
        (each.losses[0, column] * felt[column], layer, column)
        for layer, (each, felt) in enumerate(zip(traces, sensitivities, strict=True))
        for column in range(each.outputs)
    ]
    heapq.heapify(waiting)
    for _ in range(count):
        _, layer, column = heapq.heappop(waiting)
        gone[layer][column] += 1
        step, each = gone[layer][column], traces[layer]
        if step < len(each.losses):
            heapq.heappush(waiting, (each.losses[step, column] * sensitivities[layer][column], layer, column))
    return gone


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.9, 0.99])
def test_the_next_removal_is_always_the_cheapest_of_all_outputs(sparsity: float) -> None:
    layers = [problem(inputs, outputs, 60, seed=inputs) for inputs, outputs in [(12, 5), (7, 3), (20, 2)]]
    traces = [trace(gram_of(rows), weights) for rows, weights in layers]
    random = np.random.default_rng(0)
    felt = [random.random(each.outputs) for each in traces]
    masks = masks_at([each.scores(own) for each, own in zip(traces, felt, strict=True)], sparsity)
    total = sum(mask.size for mask in masks)
    count = math.floor(sparsity * total + 0.5)
    assert sum(int((~mask).sum()) for mask in masks) == count
    for mask, each, gone in zip(masks, traces, merged(traces, felt, count), strict=True):
        np.testing.assert_array_equal((~mask).sum(axis=0), gone)
        np.testing.assert_array_equal(mask, each.mask(gone))


def test_shares_of_a_layers_own_and_ties_by_position() -> None:
    costs = [np.zeros((3, 2)), np.ones((2, 2)), np.full((1, 2), np.inf)]
    one, two, three = masks_at(costs, 0.4)
    np.testing.assert_array_equal(one.ravel(), [False] * 4 + [True] * 2)
    assert two.all()
    assert three.all()
    one, two, three = masks_at(costs, 0.5, "layer")
    np.testing.assert_array_equal(one.ravel(), [False] * 3 + [True] * 3)
    np.testing.assert_array_equal(two.ravel(), [False, False, True, True])
    one, two, three = masks_at(costs, 0.5, [0.0, 1.0, 0.9])
    assert one.all()
    assert not two.any()
    assert three.all()


def test_bad_shares_are_refused() -> None:
    with pytest.raises(_errors.UnknownNameError, match="uniform"):
        masks_at([np.ones((2, 2))], 0.5, "uniform")  # type: ignore[arg-type]
    with pytest.raises(_errors.InvalidSparsityError, match="1 layers"):
        masks_at([np.ones((2, 2))], 0.5, [0.5, 0.5])
    with pytest.raises(_errors.InvalidSparsityError, match=r"1\.5"):
        masks_at([np.ones((2, 2))], 1.5)
    with pytest.raises(_errors.InvalidDataError, match="NaN"):
        masks_at([np.full((2, 2), np.nan)], 0.5)


def test_the_budget_chooses_how_a_map_is_solved() -> None:
    rows, weights = problem(30, 6, 90)
    mask = np.random.default_rng(0).random(weights.shape) < 0.5
    gram = gram_of(rows)
    exact, blocked = solve_map(gram, weights, mask), solve_map(gram, weights, mask, budget=0, steps=0)
    refined = solve_map(gram, weights, mask, budget=0)
    assert (exact.method, blocked.method, refined.method) == ("exact", "blocked", "refined")
    np.testing.assert_array_equal(exact.weights, solve(gram, weights, mask))
    np.testing.assert_array_equal(blocked.weights, solve_blocked(gram, weights, mask))
    for found in (exact, refined, blocked):
        assert found.before is not None
        assert found.after is not None
        np.testing.assert_allclose(found.before, np.square(rows @ (weights * ~mask)).mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(found.after, np.square(rows @ (weights - found.weights)).mean(axis=0), rtol=1e-9)
    assert refined.after is not None
    assert blocked.after is not None
    assert refined.after.sum() < blocked.after.sum()
    # A factor of what is kept for each output, and its two triangles.
    kept = mask.sum(axis=0).astype(float)
    assert exact.multiply_adds == pytest.approx((kept**3 / 3 + kept**2).sum())


@pytest.mark.parametrize("budget", [math.inf, 0])
def test_the_budget_chooses_how_weights_are_ranked(budget: float) -> None:
    rows, weights = problem(31, 6, 90)
    rows[:, 30] = 1
    units = np.append(np.arange(30), -1)
    felt = np.arange(6) / 3
    ranked = rank_map(gram_of(rows), weights, 0.5, units=units, sensitivity=felt, budget=budget)
    plain = rank_map(gram_of(rows), weights, 0.5, units=units, budget=budget)
    assert ranked.method == ("exact" if budget else "blocked")
    assert (ranked.trace is not None) == (ranked.method == "exact")
    np.testing.assert_allclose(ranked.costs[:30], plain.costs[:30] * felt)
    (mask,) = masks_at([ranked.costs], 0.5)
    assert np.count_nonzero(~mask) == 90
    assert mask[30].all()


def test_outputs_that_share_masks_are_weighed_among_each_other() -> None:
    rows, weights = problem(12, 4, 90)
    felt = np.array([1.0, 0.0, 0.0, 9.0])
    found = rank_map(gram_of(rows), weights, 0.5, together=2, sensitivity=felt)
    alone = trace(gram_of(rows), weights[:, [0, 3]])
    assert found.trace is not None
    np.testing.assert_array_equal(found.trace.order, alone.order)
    np.testing.assert_allclose(found.trace.losses, alone.losses * [1, 9])
    np.testing.assert_allclose(found.costs[:, 0], found.costs[:, 1])
