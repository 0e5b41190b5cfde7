"""Least squares at many levels from one factor an output, against NumPy's on the samples of each level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_prunelab import _errors
from keras_prunelab._reconstruct import _method
from keras_prunelab._reconstruct._method import solve_map_levels
from keras_prunelab._reconstruct._nested import Nest, solve_nested

from .reconstruct_by_hand import Array, least_squares, problem


def nested_masks(shape: tuple[int, int], shares: list[float], seed: int) -> Array:
    """Masks of which each keeps the highest of the same random numbers."""
    ranks = np.random.default_rng(seed).random(shape)
    return np.stack([ranks >= share for share in shares])


@settings(max_examples=60, deadline=None)
@given(
    inputs=st.integers(1, 12),
    outputs=st.integers(1, 6),
    shares=st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.8, 0.95, 1.0]), min_size=1, max_size=5).map(sorted),
    damping=st.sampled_from([1e-3, 1e-2, 1.0]),
    equal=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_each_level_is_numpys_least_squares(
    inputs: int, outputs: int, shares: list[float], damping: float, equal: bool, seed: int
) -> None:
    rows, weights = problem(inputs, outputs, 3 * inputs + 2, seed)
    masks = nested_masks((inputs, 1 if equal else outputs), shares, seed)
    masks = np.ascontiguousarray(np.broadcast_to(masks, (len(shares), inputs, outputs)))
    nest = Nest.of(masks)
    assert nest is not None
    found = solve_nested(rows.T @ rows / len(rows), weights, nest, damping=damping)
    for mask, new in zip(masks, found, strict=True):
        for column, kept in enumerate(mask.T):
            old = weights[:, column]
            expected = least_squares(rows, rows @ old, old, kept, damping)
            np.testing.assert_allclose(new[:, column], expected, rtol=1e-6, atol=1e-9)
        assert not new[~mask].any()


def test_masks_that_are_not_nested_are_solved_one_by_one() -> None:
    rows, weights = problem(20, 3, 80)
    masks = np.random.default_rng(0).random((4, *weights.shape)) < 0.5
    assert Nest.of(masks) is None
    assert Nest.of(nested_masks(weights.shape, [0.2, 0.6], 0)[::-1]) is None  # the fullest comes first
    for mask, new in zip(masks, solve_map_levels(rows.T @ rows / len(rows), weights, masks), strict=True):
        for column, kept in enumerate(mask.T):
            old = weights[:, column]
            np.testing.assert_allclose(new[:, column], least_squares(rows, rows @ old, old, kept, 0.01), rtol=1e-7)


@pytest.mark.parametrize(("budget", "together"), [(1e12, True), (0.0, False)])
def test_levels_share_factors_where_each_would_be_solved_exactly(
    budget: float, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(_method, "solve_nested", lambda *args, **how: (calls.append(1), solve_nested(*args, **how))[1])
    rows, weights = problem(40, 5, 200)
    gram = rows.T @ rows / len(rows)
    masks = nested_masks(weights.shape, [0.3, 0.5, 0.7, 0.9], 0)
    found = solve_map_levels(gram, weights, masks, budget=budget)
    assert bool(calls) is together
    for mask, new in zip(masks, found, strict=True):
        alone = _method.solve_map(gram, weights, mask, budget=budget).weights
        np.testing.assert_allclose(new, alone, rtol=1e-9, atol=1e-12)


def test_levels_that_keep_nearly_everything_are_solved_for_what_they_lack() -> None:
    _, weights = problem(200, 50, 20)
    nest = Nest.of(nested_masks(weights.shape, [0.01, 0.02], 0))
    assert nest is not None
    assert sum(nest.work_alone()) < nest.work()


def test_bad_input_is_refused() -> None:
    rows, weights = problem(4, 3, 20)
    nest = Nest.of(nested_masks((3, 4), [0.0, 0.5], 0))
    assert nest is not None
    with pytest.raises(_errors.InvalidMaskError, match=r"\(3, 4\).*\(4, 3\)"):
        solve_nested(rows.T @ rows, weights, nest)
    whole = Nest.of(np.ones((2, 4, 3), np.bool_))
    assert whole is not None
    with pytest.raises(_errors.InvalidDataError, match="damping"):
        solve_nested(np.ones((4, 4)), weights, whole, damping=0)
