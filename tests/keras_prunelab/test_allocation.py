"""How a sparsity is shared out among the layers, against the rules written out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab._select import _allocation
from keras_prunelab._select._selection import select

from .sparsity_by_hand import count_by_hand, sparsities

Array = NDArray[Any]

SHAPES = [(20, 10), (10, 30), (30, 4)]  # 200, 300 and 120 weights


def make_model() -> keras.Model:
    names = ("one", "two", "three")
    layers = [keras.layers.Dense(shape[1], name=name) for name, shape in zip(names, SHAPES, strict=True)]
    return keras.Sequential([keras.Input((20,)), *layers], name="net")


MODEL = make_model()
FOUND = kpl.prunable(MODEL)


def gone(scores: list[Array], sparsity: float, scope: Any, kept: Any = None) -> list[int]:
    by_path = {item.path: score for item, score in zip(FOUND, scores, strict=True)}
    masks = select(FOUND, by_path, sparsity, scope=scope, kept=kept)
    return [int(np.count_nonzero(~mask)) for mask in masks.values()]


def random_scores(seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.random(shape) * scale for shape, scale in zip(SHAPES, (1.0, 0.5, 3.0), strict=True)]


@given(sparsity=sparsities(), seed=st.integers(0, 3))
def test_global_is_one_sorted_list(sparsity: float, seed: int) -> None:
    scores = [np.round(score, 1) for score in random_scores(seed)]  # with ties
    by_path = {item.path: score for item, score in zip(FOUND, scores, strict=True)}
    masks = select(FOUND, by_path, sparsity)
    flat = np.concatenate([score.reshape(-1) for score in scores])
    lowest = sorted(range(620), key=lambda index: (flat[index], index))[: count_by_hand(sparsity, 620)]
    expected = np.ones(620, np.bool_)
    expected[lowest] = False
    np.testing.assert_array_equal(np.concatenate([mask.reshape(-1) for mask in masks.values()]), expected)


@given(sparsity=sparsities())
def test_layer_takes_the_same_share_of_each(sparsity: float) -> None:
    assert gone(random_scores(0), sparsity, "layer") == [count_by_hand(sparsity, size) for size in (200, 300, 120)]


def test_erk_is_the_rule_of_the_paper() -> None:
    # Density in proportion to (in + out) / (in * out): 30/200, 40/300, 34/120; times sizes: 30, 40, 34.
    # At sparsity 0.9, 62 weights stay: a scale of 62/104; the densities are below 1.
    assert gone(random_scores(0), 0.9, "erk") == [200 - 18, 300 - 24, 120 - 20]  # 17.88, 23.85, 20.27 stay


def test_erk_leaves_no_layer_more_than_dense() -> None:
    # At sparsity 0.5, 310 stay: a scale of 310/104 gives the densities 0.447, 0.397, 0.845. At 0.3, 434 stay:
    # 4.17 * 34/120 = 1.18, so the third is dense, and 434 - 120 = 314 are shared 30 : 40.
    assert gone(random_scores(0), 0.3, "erk") == [200 - 135, 300 - 179, 0]  # 134.57 and 179.43 stay


def test_erk_sees_each_kernel_of_a_layer_for_itself() -> None:
    # Kernels (1, 1, 8, 2) and (1, 1, 16, 4): lengths 12 and 22 over 16 and 64 weights. 20 of 80 stay: a scale of
    # 20 / 34, and so 7.06 and 12.94 of the weights.
    layer = keras.layers.SeparableConv2D(4, 1, depth_multiplier=2, name="separable")
    pruned = kpl.prune(keras.Sequential([keras.Input((5, 5, 8)), layer]), 0.75, scope="erk")
    assert [np.count_nonzero(item.value()) for item in kpl.prunable(pruned)] == [7, 13]


@given(sparsity=sparsities(), rule=st.sampled_from(["global", "erk", "lamp"]), seed=st.integers(0, 3))
def test_the_total_is_exact_under_every_rule(sparsity: float, rule: str, seed: int) -> None:
    assert sum(gone(random_scores(seed), sparsity, rule)) == count_by_hand(sparsity, 620)


@pytest.mark.parametrize("sparsity", [0.2, 0.7, 0.95])
def test_lamp_takes_what_a_global_ranking_of_its_scores_takes(sparsity: float) -> None:
    by_rule = kpl.trajectory(MODEL, sparsity, scope="lamp").masks(0)
    by_score = kpl.trajectory(MODEL, sparsity, "lamp").masks(0)
    assert by_rule == by_score


def test_lamp_shares_out_and_the_score_ranks() -> None:
    lamp = [np.count_nonzero(~mask) for mask in kpl.trajectory(MODEL, 0.7, "lamp").masks(0).values()]
    path = kpl.trajectory(MODEL, 0.7, kpl.scores.Random(1), scope="lamp").masks(0)
    assert [np.count_nonzero(~mask) for mask in path.values()] == lamp
    assert path != kpl.trajectory(MODEL, 0.7, "lamp").masks(0)


@given(
    sparsity=sparsities(0.15, 0.6),
    rule=st.sampled_from(["global", "layer", "erk", "lamp"]),
    low=st.floats(0, 0.1),
    high=st.floats(0.65, 1),
    seed=st.integers(0, 3),
)
def test_limits_hold_and_the_total_stays_exact(sparsity: float, rule: Any, low: float, high: float, seed: int) -> None:
    scope = kpl.Allocation(rule, min_sparsity=low, max_sparsity=high)
    counts = gone(random_scores(seed), sparsity, scope)
    assert sum(counts) == count_by_hand(sparsity, 620)
    for count, size in zip(counts, (200, 300, 120), strict=True):
        assert np.ceil(low * size - 1e-5) <= count <= np.floor(high * size + 1e-5)


def test_limits_hold_whatever_the_signs_of_the_scores_and_leave_them_as_they_are() -> None:
    scores = [np.full(SHAPES[0], -1.0), np.full(SHAPES[1], 5.0), np.full(SHAPES[2], -2.0)]
    before = [score.copy() for score in scores]
    scope = kpl.Allocation("global", min_sparsity={"two": 0.5}, max_sparsity={"three": 0.25})
    assert gone(scores, 0.5, scope) == [130, 150, 30]  # 310 in all: the floor of the second, the ceiling of the third
    for score, was in zip(scores, before, strict=True):
        np.testing.assert_array_equal(score, was)


def test_limits_by_name_and_pattern() -> None:
    scope = kpl.Allocation("global", max_sparsity={"two": 0.1, "net/three/*": 0.5}, min_sparsity={"t*": 0.05})
    one, two, three = gone([np.zeros(shape) for shape in SHAPES], 0.4, scope)
    assert (one, two, three) == (200, 30, 18)  # the first goes whole, by position; 248 in all


@pytest.mark.parametrize(("protect", "dense"), [("first", [0]), ("last", [2]), (("first", "last"), [0, 2])])
def test_protected_ends_stay_dense(protect: Any, dense: list[int]) -> None:
    for rule in ("global", "layer", "erk", "lamp"):
        counts = gone(random_scores(1), 0.3, kpl.Allocation(rule, protect=protect))
        assert [index for index, count in enumerate(counts) if count == 0] == dense
        assert sum(counts) == 186


def test_the_lowest_go_within_limits() -> None:
    scores = random_scores(2)
    by_path = {item.path: score for item, score in zip(FOUND, scores, strict=True)}
    masks = select(FOUND, by_path, 0.5, scope=kpl.Allocation("global", max_sparsity={"two": 0.4}))
    for item, score in zip(FOUND, scores, strict=True):
        mask = masks[item.path]
        assert score[~mask].max() < score[mask].min()
    free = [np.sort(score[masks[item.path]].reshape(-1)) for item, score in zip(FOUND, scores, strict=True)]
    taken = [score[~masks[item.path]].max() for item, score in zip(FOUND, scores, strict=True)]
    assert max(taken[0], taken[2]) < min(free[0][0], free[2][0])


def test_what_is_gone_stays_gone_under_every_rule() -> None:
    scores = random_scores(0)
    kept = {item.path: np.random.default_rng(5).random(item.shape) > 0.2 for item in FOUND}
    already = sum(int(np.count_nonzero(~mask)) for mask in kept.values())
    rules: tuple[Any, ...] = ("global", "layer", "erk", "lamp")
    for scope in (*rules, *(kpl.Allocation(rule, min_sparsity=0.3) for rule in rules)):
        by_path = {item.path: score for item, score in zip(FOUND, scores, strict=True)}
        masks = select(FOUND, by_path, 0.6, scope=scope, kept=kept)
        assert all(not (masks[path] & ~kept[path]).any() for path in kept)
        if scope != "layer":
            assert sum(int(np.count_nonzero(~mask)) for mask in masks.values()) == 372 > already


@pytest.mark.parametrize(
    ("scope", "sparsity", "message"),
    [
        (kpl.Allocation(max_sparsity=0.5), 0.8, "0.8 is out of reach: .* from 0 to 0.5"),
        (kpl.Allocation(min_sparsity=0.5), 0.2, "0.2 is out of reach: .* from 0.5 to 1"),
        (kpl.Allocation(protect=("first", "last")), 0.5, "from 0 to 0.483871"),
        (kpl.Allocation(min_sparsity=0.5, max_sparsity=0.4), 0.45, "at least 100 weights would go and at most 80"),
    ],
)
def test_what_the_limits_do_not_allow_is_refused(scope: Any, sparsity: float, message: str) -> None:
    class Unasked(kpl.scores.Score):
        def __call__(self, context: kpl.scores.ScoreContext) -> dict[str, Array]:
            pytest.fail("scores were computed for masks that cannot be made")

    for score in ("magnitude", Unasked()):
        with pytest.raises(kpl.InvalidSparsityError, match=message):
            kpl.prune(MODEL, sparsity, score, scope=scope)


def test_bad_allocations_are_refused() -> None:
    with pytest.raises(kpl.UnknownNameError, match="scope='uniform' is unknown; it is one of 'global', 'layer'"):
        kpl.prune(MODEL, 0.5, scope="uniform")  # type: ignore[arg-type]
    with pytest.raises(kpl.UnknownNameError, match="protect='middle'"):
        kpl.Allocation(protect="middle")
    with pytest.raises(kpl.InvalidSparsityError, match="max_sparsity=80"):
        kpl.Allocation(max_sparsity=80)
    with pytest.raises(kpl.UnknownNameError, match=r"min_sparsity names 'four', .* there are: one, two, three"):
        kpl.prune(MODEL, 0.5, scope=kpl.Allocation(min_sparsity={"four": 0.1}))
    with pytest.raises(kpl.UnknownNameError, match="prunes single weights"):
        kpl.prune(MODEL, 0.5, scope="erk", convention="matlab")


@given(
    targets=st.lists(st.floats(0, 50), min_size=1, max_size=6),
    limits=st.data(),
)
def test_fill_rounds_to_the_total_between_limits(targets: list[float], limits: Any) -> None:
    size = len(targets)
    low = np.array(limits.draw(st.lists(st.integers(0, 20), min_size=size, max_size=size)))
    high = low + np.array(limits.draw(st.lists(st.integers(0, 30), min_size=size, max_size=size)))
    total = limits.draw(st.integers(int(low.sum()), int(high.sum())))
    counts = _allocation.fill(np.array(targets), low, high, total)
    assert counts.sum() == total
    assert ((low <= counts) & (counts <= high)).all()


@pytest.mark.parametrize(
    ("targets", "low", "high", "total", "expected"),
    [
        ([10, 10], [0, 0], [70, 50], 27, [14, 13]),  # 7 more over rooms of 60 and 40: 4.2 and 2.8
        ([10, 10], [0, 0], [70, 10], 27, [17, 10]),
        ([10.5, 10.5], [0, 0], [50, 50], 21, [11, 10]),  # of equal remainders the first is rounded up
        ([30, 10], [0, 5], [50, 50], 26, [18, 8]),  # 14 fewer over rooms of 30 and 5: 12 and 2
        ([30, 2], [0, 5], [50, 50], 20, [15, 5]),
    ],
)
def test_what_is_over_or_missing_is_shared_by_the_room_for_it(
    targets: list[float], low: list[int], high: list[int], total: int, expected: list[int]
) -> None:
    counts = _allocation.fill(np.array(targets, float), np.array(low), np.array(high), total)
    assert counts.tolist() == expected
