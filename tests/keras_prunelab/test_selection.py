from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from keras_prunelab import InvalidSparsityError, _selection
from keras_prunelab._selection import checked_sparsities, pruned_count, removal_levels

# Few different scores make many ties.
SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]) | st.floats(0, 4, width=32), min_size=1, max_size=60)
SPARSITIES = st.lists(st.floats(0, 0.999), min_size=1, max_size=8).map(sorted)


def rounded(sparsity: float, total: int) -> int:
    """Round s N, s as it is written in decimal, halves up."""
    return int(Fraction(repr(sparsity)) * total + Fraction(1, 2))


@given(st.integers(0, 1000).map(lambda thousandths: thousandths / 1000), st.integers(1, 100_000))
def test_count_is_rounded_half_up_as_written_in_decimal(sparsity: float, total: int) -> None:
    assert pruned_count(sparsity, total) == rounded(sparsity, total)


@pytest.mark.parametrize(
    ("sparsity", "total", "count"),
    [(0.29, 100, 29), (0.145, 100, 15), (0.5, 1, 1), (0.5, 3, 2), (0.8, 21_578, 17_262)],
)
def test_count_examples(sparsity: float, total: int, count: int) -> None:
    assert pruned_count(sparsity, total) == count


@given(SCORES, SPARSITIES)
def test_exact_levels_are_those_of_a_stable_sort(scores: list[float], sparsities: list[float]) -> None:
    values = np.asarray(scores, np.float32)
    counts = [pruned_count(sparsity, values.size) for sparsity in sparsities]
    levels = removal_levels(values, counts)
    order = np.argsort(values, kind="stable")
    for level, count in enumerate(counts):
        assert_array_equal(np.sort(order[:count]), np.flatnonzero(levels <= level))


@given(SCORES, SPARSITIES)
def test_matlab_levels_keep_what_is_above_the_threshold(scores: list[float], sparsities: list[float]) -> None:
    values = np.asarray(scores, np.float32)
    counts = [pruned_count(sparsity, values.size) for sparsity in sparsities]
    levels = removal_levels(values, counts, "matlab")
    for level, count in enumerate(counts):
        threshold = np.sort(values)[count - 1] if count else 0
        assert_array_equal(levels > level, values > threshold)


@given(SCORES, SPARSITIES)
def test_chunks_change_nothing(scores: list[float], sparsities: list[float]) -> None:
    values = np.asarray(scores)
    counts = [pruned_count(sparsity, values.size) for sparsity in sparsities]
    whole = removal_levels(values, counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_selection, "_CHUNK", 7)
        assert_array_equal(removal_levels(values, counts), whole)


def test_equal_scores_go_by_position() -> None:
    assert removal_levels(np.ones(6, np.float32), [0, 2, 2, 5]).tolist() == [1, 1, 3, 3, 3, 4]


@pytest.mark.parametrize("ties", ["exact", "matlab"])
def test_memory_stays_below_two_and_a_half_times_the_weights(ties: str) -> None:
    scores = np.random.default_rng(0).random(1 << 24, np.float32)
    scores[::2] = 0  # half of them tie
    counts = [pruned_count(sparsity, scores.size) for sparsity in np.linspace(0.3, 0.98, 91)]
    tracemalloc.start()
    levels = removal_levels(scores, counts, ties)  # type: ignore[arg-type]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scores.nbytes + peak <= 2.6 * scores.nbytes + 40 * _selection._CHUNK
    assert np.count_nonzero(levels <= 90) == counts[-1]


def test_sparsities_are_sorted_each_once() -> None:
    assert checked_sparsities([0.9, 0.5, 0.9, 0]) == (0.0, 0.5, 0.9)
    assert checked_sparsities(0.5) == (0.5,)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (1.0, r"in \[0, 1\), not 1; write 0.9 for 90 %"),
        (-0.1, r"not -0.1"),
        (80, r"not 80; write 0.8 for 80 %"),
        (float("nan"), "not nan"),
        ([], "is empty"),
        ("many", "not 'many'"),
        (np.linspace(0, 0.9, 70_000), "70000 levels are more than 65535"),
    ],
)
def test_what_is_no_sparsity_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(InvalidSparsityError, match=message):
        checked_sparsities(wrong)  # type: ignore[arg-type]
