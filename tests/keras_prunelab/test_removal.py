from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from keras_prunelab._select import _removal
from keras_prunelab._select._removal import Levels, removal_levels

from .sparsity_by_hand import count_by_hand, sparsities

# Few different scores make many ties.
SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]) | st.floats(0, 4, width=32), min_size=1, max_size=60)
SEVERAL = st.lists(sparsities(), min_size=1, max_size=8).map(sorted)


def levels_of(values: np.ndarray, counts: Sequence[int], ties: str = "exact") -> Levels:
    return removal_levels([values], counts, ties)[0]  # type: ignore[arg-type]


@given(SCORES, SEVERAL)
def test_exact_levels_are_those_of_a_stable_sort(scores: list[float], sparsities: list[float]) -> None:
    values = np.asarray(scores, np.float32)
    counts = [count_by_hand(sparsity, values.size) for sparsity in sparsities]
    levels = levels_of(values, counts)
    order = np.argsort(values, kind="stable")
    for level, count in enumerate(counts):
        assert_array_equal(np.sort(order[:count]), np.flatnonzero(levels <= level))


@given(SCORES, SEVERAL)
def test_matlab_levels_keep_what_is_above_the_threshold(scores: list[float], sparsities: list[float]) -> None:
    values = np.asarray(scores, np.float32)
    counts = [count_by_hand(sparsity, values.size) for sparsity in sparsities]
    levels = levels_of(values, counts, "matlab")
    for level, count in enumerate(counts):
        threshold = np.sort(values)[count - 1] if count else 0
        assert_array_equal(levels > level, values > threshold)


@given(SCORES, SEVERAL)
def test_chunks_change_nothing(scores: list[float], sparsities: list[float]) -> None:
    values = np.asarray(scores)
    counts = [count_by_hand(sparsity, values.size) for sparsity in sparsities]
    whole = levels_of(values, counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_removal, "_CHUNK", 7)
        assert_array_equal(levels_of(values, counts), whole)


def test_many_levels_within_few_different_scores() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        values = random.integers(0, 4, 30).astype(np.float32)
        counts = np.sort(random.integers(0, 31, 9)).tolist()
        order = np.argsort(values, kind="stable")
        expected = np.empty(30, np.int64)
        expected[order] = [sum(count <= place for count in counts) for place in range(30)]
        assert_array_equal(levels_of(values, counts), expected)


def test_equal_scores_go_by_position() -> None:
    assert levels_of(np.ones(6, np.float32), [0, 2, 2, 5]).tolist() == [1, 1, 3, 3, 3, 4]


@pytest.mark.parametrize("ties", ["exact", "matlab"])
def test_memory_stays_below_two_and_a_half_times_the_weights(ties: str) -> None:
    scores = np.random.default_rng(0).random(1 << 24, np.float32)
    scores[::2] = 0  # half of them tie
    counts = [count_by_hand(sparsity, scores.size) for sparsity in np.linspace(0.3, 0.98, 91)]
    tracemalloc.start()
    levels = levels_of(scores, counts, ties)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scores.nbytes + peak <= 2.5 * scores.nbytes
    assert np.count_nonzero(levels <= 90) == counts[-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("ties", ["exact", "matlab"])
@pytest.mark.parametrize("shift", [0.0, -0.5])
def test_the_table_gives_what_a_search_does(
    dtype: type, ties: str, shift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    values = (random.random(5000) ** 3 + shift).astype(dtype)
    values[random.integers(0, 5000, 400)] = values[0]  # ties
    values[:100] = np.copysign(0.0, shift) if shift else 0.0
    counts = [0, 0, *range(100, 4900, 37), 5000]
    monkeypatch.setattr(_removal, "_WORTH_A_TABLE", 1 << 60)
    searched = levels_of(values, counts, ties)
    monkeypatch.setattr(_removal, "_WORTH_A_TABLE", 0)
    monkeypatch.setattr(_removal, "_CHUNK", 777)
    monkeypatch.setattr(_removal, "_SAMPLE", 500)
    assert_array_equal(levels_of(values, counts, ties), searched)


@pytest.mark.parametrize("lowest", [1, 60, 2500, 4999])
def test_a_sample_that_misleads_changes_nothing(lowest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random(5000, np.float32)
    values[::10] += 10  # every tenth, which are the ones that are sampled, is high
    counts = [lowest, 5000]
    expected = levels_of(values, counts)
    monkeypatch.setattr(_removal, "_WORTH_A_TABLE", 0)
    monkeypatch.setattr(_removal, "_SAMPLE", 500 + 1)
    monkeypatch.setattr(_removal, "_MARGIN", 0.0)
    assert 5000 // _removal._SAMPLE + 1 == 10
    assert_array_equal(levels_of(values, counts), expected)


def test_negative_zero_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_removal, "_WORTH_A_TABLE", 0)
    values = np.float32([-0.0, 0.0, -0.0, 1.0, 2.0, 0.5])
    assert levels_of(values, [0, 2, 4, 5]).tolist() == [1, 1, 2, 3, 4, 2]
    assert levels_of(values, [0, 4], "matlab").tolist() == [0, 0, 0, 2, 2, 1]


def test_variables_that_are_ranked_together_are_one_array_in_their_order() -> None:
    random = np.random.default_rng(2)
    parts = [random.integers(0, 9, shape).astype(np.float32) for shape in [(3, 4), (5,), (1, 2, 3)]]
    joined = np.concatenate([part.reshape(-1) for part in parts])
    found = removal_levels(parts, [3, 9, 20])
    assert [levels.shape for levels in found] == [(3, 4), (5,), (1, 2, 3)]
    assert_array_equal(np.concatenate([levels.reshape(-1) for levels in found]), levels_of(joined, [3, 9, 20]))


@pytest.mark.parametrize(("levels", "dtype"), [(91, np.uint8), (254, np.uint8), (255, np.uint16), (491, np.uint16)])
def test_a_level_takes_as_few_bytes_as_it_can(levels: int, dtype: type) -> None:
    values = np.random.default_rng(0).random(1000)
    found = levels_of(values, np.linspace(0, 999, levels).astype(int).tolist())
    assert found.dtype == dtype
    assert found.max() == levels
