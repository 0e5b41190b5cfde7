"""Traces of ExactOBS against greedy removals that solve every candidate anew."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_prunelab import _errors
from keras_prunelab._reconstruct import _steps
from keras_prunelab._reconstruct._gram import damp, squared_error
from keras_prunelab._reconstruct._solve import solve
from keras_prunelab._reconstruct._trace import Trace, trace

from .reconstruct_by_hand import Array, problem, removals


def gram_of(rows: Array) -> Array:
    return rows.T @ rows / len(rows)


def check(found: Trace, rows: Array, weights: Array, damping: float, units: list[list[int]], **choice: object) -> None:
    groups = range(0, weights.shape[1], found.together)
    assert found.order.shape[1] == len(groups)
    for group, first in enumerate(groups):
        own = weights[:, first : first + found.together]
        order, losses = removals(rows, own, damping, units=units, **choice)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.order[:, group], order)
        np.testing.assert_allclose(found.losses[:, group], losses, rtol=1e-6, atol=1e-9)


@pytest.fixture(params=[1, 3, 128], ids="block{}".format)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of updates shorter than the layers of these tests, too, and tiles that do not fill them."""
    monkeypatch.setattr(_steps, "_BLOCK", request.param)
    monkeypatch.setattr(_steps, "_TILE", 4)


@pytest.mark.parametrize("damping", [0.0, 0.001, 0.1])
def test_single_weights(block: None, damping: float) -> None:
    rows, weights = problem(11, 4, 60)
    check(trace(gram_of(rows), weights, damping=damping), rows, weights, damping, [[row] for row in range(11)])


@settings(max_examples=25, deadline=None)
@given(inputs=st.integers(1, 9), outputs=st.integers(1, 4), seed=st.integers(0, 1000))
def test_layers_of_any_size(inputs: int, outputs: int, seed: int) -> None:
    rows, weights = problem(inputs, outputs, 4 * inputs + 2, seed)
    check(trace(gram_of(rows), weights), rows, weights, 0.01, [[row] for row in range(inputs)])


@pytest.mark.parametrize("n_of_m", [(2, 4), (1, 4), (1, 2)])
def test_n_of_every_m_inputs_stay(block: None, n_of_m: tuple[int, int]) -> None:
    rows, weights = problem(12, 3, 60)
    found = trace(gram_of(rows), weights, n_of_m=n_of_m)
    check(found, rows, weights, 0.01, [[row] for row in range(12)], n_of_m=n_of_m)
    kept = found.mask(len(found.order)).reshape(12 // n_of_m[1], n_of_m[1], 3)
    assert (kept.sum(axis=1) == n_of_m[0]).all()


def test_blocks_of_inputs(block: None) -> None:
    rows, weights = problem(12, 3, 60)
    units = np.arange(12) // 3
    check(
        trace(gram_of(rows), weights, units=units),
        rows,
        weights,
        0.01,
        [[3 * u, 3 * u + 1, 3 * u + 2] for u in range(4)],
    )


def test_units_of_inputs_that_are_apart(block: None) -> None:
    rows, weights = problem(12, 3, 60)
    units = np.arange(12) % 4
    check(trace(gram_of(rows), weights, units=units), rows, weights, 0.01, [[u, u + 4, u + 8] for u in range(4)])


@pytest.mark.parametrize("together", [2, 3, 5])
@pytest.mark.parametrize("size", [1, 2])
def test_outputs_that_share_their_masks(block: None, together: int, size: int) -> None:
    rows, weights = problem(10, 5, 60)
    found = trace(gram_of(rows), weights, units=np.arange(10) // size, together=together)
    check(found, rows, weights, 0.01, [list(range(u * size, (u + 1) * size)) for u in range(10 // size)])
    mask = found.mask(3)
    for first in range(0, 5, together):
        assert (mask[:, first : first + together] == mask[:, [first]]).all()


def test_a_bias_stays_and_makes_up_for_what_goes(block: None) -> None:
    rows, weights = problem(8, 3, 60)
    rows[:, 4] = 1
    units = np.array([0, 1, 2, 3, -1, 4, 5, 6])
    found = trace(gram_of(rows), weights, units=units)
    check(found, rows, weights, 0.01, [[0], [1], [2], [3], [5], [6], [7]])
    assert found.mask(7)[4].all()
    assert found.mask(7).sum() == 3
    assert np.isinf(found.scores()[4]).all()


@pytest.mark.parametrize("damping", [0.0, 0.01])
def test_the_losses_are_the_measured_errors(damping: float) -> None:
    rows, weights = problem(150, 7, 400)
    gram = gram_of(rows)
    found = trace(gram, weights, damping=damping)
    for count in (1, 40, 75, 120, 149, 150):
        change = solve(gram, weights, found.mask(count), damping=damping) - weights
        measured = np.square(rows @ change).sum(axis=0) / len(rows)
        pulled = damping * gram.trace() / 150 * np.square(change).sum(axis=0)
        np.testing.assert_allclose(found.losses[:count].sum(axis=0), measured + pulled, rtol=1e-6)
        np.testing.assert_allclose(squared_error(damp(gram, damping), change), measured + pulled, rtol=1e-6)


def test_the_size_of_blocks_and_the_number_of_lanes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, weights = problem(120, 9, 300)
    whole = trace(gram_of(rows), weights)
    monkeypatch.setattr(_steps, "_BLOCK", 7)
    blocked = trace(gram_of(rows), weights, memory=1)
    np.testing.assert_array_equal(whole.order, blocked.order)
    np.testing.assert_allclose(whole.losses, blocked.losses, rtol=1e-7)


def test_inputs_that_are_always_zero_go_first_at_no_cost() -> None:
    rows, weights = problem(10, 3, 60)
    rows[:, [8, 3]] = 0
    weights[[3, 8]] = 100
    found = trace(gram_of(rows), weights)
    np.testing.assert_array_equal(found.order[:2], [[3] * 3, [8] * 3])
    np.testing.assert_array_equal(found.losses[:2], 0)
    assert (found.losses[2:] > 0).all()


def test_of_equal_costs_the_first_goes() -> None:
    found = trace(np.eye(5), np.ones((5, 2)), damping=0)
    np.testing.assert_array_equal(found.order, np.arange(5)[:, None].repeat(2, axis=1))


def test_masks_of_one_trace_are_nested_and_exact() -> None:
    rows, weights = problem(20, 4, 60)
    found = trace(gram_of(rows), weights)
    masks = [found.mask(count) for count in range(21)]
    assert [int((~mask).sum()) for mask in masks] == [4 * count for count in range(21)]
    assert all((later <= earlier).all() for earlier, later in itertools.pairwise(masks))
    counts = np.array([0, 5, 20, 13])
    np.testing.assert_array_equal((~found.mask(counts)).sum(axis=0), counts)
    short = trace(gram_of(rows), weights, steps=6)
    np.testing.assert_array_equal(short.order, found.order[:6])


def test_the_lowest_scores_are_the_first_removals() -> None:
    rows, weights = problem(20, 4, 60)
    found = trace(gram_of(rows), weights, units=np.arange(20) // 2)
    scores = found.scores()
    for column in range(4):
        lowest = np.argsort(scores[:, column], kind="stable")
        for count in range(1, 11):
            if count < 10 and scores[lowest[2 * count], column] == scores[lowest[2 * count - 1], column]:
                continue  # a removal that costs no more than the one before it
            assert set(lowest[: 2 * count]) == set(np.flatnonzero(~found.mask(count)[:, column]))
    felt = found.scores(np.array([1.0, 2.0, 0.0, 0.5]))
    np.testing.assert_allclose(felt, scores * [1.0, 2.0, 0.0, 0.5])


def test_a_layer_without_inputs_or_outputs() -> None:
    assert trace(np.zeros((0, 0)), np.zeros((0, 3))).mask(0).shape == (0, 3)
    assert trace(np.eye(3), np.zeros((3, 0))).mask(2).shape == (3, 0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(_errors.InvalidDataError, match="damping > 0"):
        trace(np.ones((4, 4)), np.ones((4, 2)), damping=0)
    with pytest.raises(_errors.InvalidDataError, match="equally often"):
        trace(np.eye(4), np.ones((4, 2)), units=np.array([0, 0, 0, 1]))
    with pytest.raises(_errors.InvalidDataError, match="3 of every 4"):
        trace(np.eye(6), np.ones((6, 2)), n_of_m=(3, 4))
    with pytest.raises(_errors.InvalidDataError, match="4 removals"):
        trace(np.eye(4), np.ones((4, 2))).mask(5)


@pytest.mark.parametrize("size", [1, 3])
def test_large_layers_are_traced_as_well_in_single_precision(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inputs of a small one, far from each other in size and nearly dependent."""
    rows, weights = problem(36, 5, 30)
    rows = rows * np.logspace(0, 3, 36)
    units = np.arange(36) // size
    exact = trace(gram_of(rows), weights, units=units)
    monkeypatch.setattr("keras_prunelab._reconstruct._trace._SINGLE", 1)
    monkeypatch.setattr(_steps, "_TILE", 8)
    monkeypatch.setattr(_steps, "_BLOCK", 5)
    single = trace(gram_of(rows), weights, units=units)
    whole = squared_error(gram_of(rows), weights)
    for count in range(0, len(exact.order), 4):
        errors = [
            squared_error(gram_of(rows), solve(gram_of(rows), weights, each.mask(count)) - weights)
            for each in (single, exact)
        ]
        np.testing.assert_array_less(errors[0], 1.05 * errors[1] + 1e-4 * whole)
