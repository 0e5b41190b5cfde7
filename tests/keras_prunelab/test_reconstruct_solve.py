"""Least squares on the weights that stay, against NumPy's on the samples themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_prunelab import _errors
from keras_prunelab._reconstruct._gram import Gram, inverse, squared_error
from keras_prunelab._reconstruct._solve import solve

from .reconstruct_by_hand import Array, least_squares, problem


def gram_of(rows: Array, reference: Array | None = None) -> Gram:
    gram = Gram(rows.shape[1])
    for start in range(0, len(rows), 7):
        part = slice(start, start + 7)
        gram.add(rows[part], None if reference is None else reference[part])
    return gram


@settings(max_examples=60, deadline=None)
@given(
    inputs=st.integers(1, 12),
    outputs=st.integers(1, 6),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    damping=st.sampled_from([1e-3, 1e-2, 1.0]),
    seed=st.integers(0, 1000),
)
def test_each_output_is_numpys_least_squares(
    inputs: int, outputs: int, share: float, damping: float, seed: int
) -> None:
    rows, weights = problem(inputs, outputs, 3 * inputs + 2, seed)
    mask = np.random.default_rng(seed).random(weights.shape) < share
    new = solve(gram_of(rows).matrix, weights, mask, damping=damping)
    for column, kept in enumerate(mask.T):
        old = weights[:, column]
        expected = least_squares(rows, rows @ old, old, kept, damping)
        np.testing.assert_allclose(new[:, column], expected, rtol=1e-6, atol=1e-9)
    assert not new[~mask].any()


@pytest.mark.parametrize("share", [0.3, 0.97])
def test_the_inputs_of_a_pruned_network_aim_at_the_outputs_of_the_whole_one(share: float) -> None:
    reference, weights = problem(40, 5, 200)
    rows = reference * (np.random.default_rng(1).random(reference.shape) < 0.8)
    mask = np.random.default_rng(2).random(weights.shape) < share
    gram = gram_of(rows, reference)
    new = solve(gram.matrix, weights, mask, cross=gram.cross, damping=0.01)
    for column, kept in enumerate(mask.T):
        old = weights[:, column]
        expected = least_squares(rows, reference @ old, old, kept, 0.01)
        np.testing.assert_allclose(new[:, column], expected, rtol=1e-8, atol=1e-10)


def test_few_removals_are_solved_as_exactly_as_many() -> None:
    rows, weights = problem(60, 30, 300)
    mask = np.random.default_rng(0).random(weights.shape) < 0.95
    mask[:, 3], mask[:, 4] = True, False
    new = solve(gram_of(rows).matrix, weights, mask, damping=0.001)
    for column, kept in enumerate(mask.T):
        old = weights[:, column]
        np.testing.assert_allclose(new[:, column], least_squares(rows, rows @ old, old, kept, 0.001), rtol=1e-7)


def test_fewer_samples_than_inputs_have_a_solution() -> None:
    rows, weights = problem(30, 4, 10)
    mask = np.random.default_rng(0).random(weights.shape) < 0.5
    new = solve(gram_of(rows).matrix, weights, mask)
    for column, kept in enumerate(mask.T):
        old = weights[:, column]
        np.testing.assert_allclose(new[:, column], least_squares(rows, rows @ old, old, kept, 0.01), rtol=1e-7)


@pytest.mark.parametrize("damping", [0.0, 0.01])
def test_weights_of_inputs_that_are_always_zero_stay_as_they_are(damping: float) -> None:
    rows, weights = problem(10, 6, 50)
    rows[:, [2, 7]] = 0
    mask = np.random.default_rng(0).random(weights.shape) < 0.6
    new = solve(gram_of(rows).matrix, weights, mask, damping=damping)
    dead = np.zeros_like(mask)
    dead[[2, 7]] = True
    np.testing.assert_allclose(new[mask & dead], weights[mask & dead], rtol=1e-12)
    assert (new[mask] != 0).all()


def test_all_weights_kept_stay_as_they_are() -> None:
    rows, weights = problem(10, 6, 50)
    new = solve(gram_of(rows).matrix, weights, np.ones(weights.shape, np.bool_))
    np.testing.assert_allclose(new, weights, rtol=1e-10)


def test_the_squared_error_is_the_measured_one() -> None:
    rows, weights = problem(10, 6, 50)
    change = weights - np.random.default_rng(3).normal(size=weights.shape)
    measured = np.square(rows @ change).sum(axis=0) / len(rows)
    np.testing.assert_allclose(squared_error(gram_of(rows).matrix, change), measured, rtol=1e-10)


def test_a_large_matrix_is_inverted_in_its_own_memory() -> None:
    rows, _ = problem(600, 1, 1300)
    matrix = rows.T @ rows
    expected = np.linalg.inv(matrix)
    found = inverse(matrix)
    assert np.shares_memory(found, matrix)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(found, found.T)


def test_sums_are_exact_beyond_single_precision() -> None:
    gram = Gram(2)
    for _ in range(3):
        gram.add(np.full((1000, 2), 3000.1, np.float32))
    np.testing.assert_allclose(gram.matrix, float(np.float32(3000.1)) ** 2, rtol=1e-14)


def test_bad_input_is_refused() -> None:
    rows, weights = problem(4, 3, 20)
    gram = gram_of(rows).matrix
    mask = np.ones(weights.shape, np.bool_)
    with pytest.raises(_errors.InvalidMaskError, match=r"\(3, 4\).*\(4, 3\)"):
        solve(gram, weights, mask.T)
    with pytest.raises(_errors.InvalidMaskError, match="float64"):
        solve(gram, weights, mask.astype(float))
    with pytest.raises(_errors.InvalidDataError, match="damping"):
        solve(gram, weights, mask, damping=-1)
    mask[0] = False
    with pytest.raises(_errors.InvalidDataError, match="damping"):
        solve(np.ones((4, 4)), weights, mask, damping=0)
    with pytest.raises(_errors.InvalidDataError, match=r"samples x 4"):
        Gram(4).add(rows[:, :3])
    rows[1, 2] = np.nan
    with pytest.raises(_errors.InvalidDataError, match="NaN"):
        Gram(4).add(rows)
    with pytest.raises(_errors.InvalidDataError, match="NaN"):
        solve(np.full((4, 4), np.nan), weights, mask)
