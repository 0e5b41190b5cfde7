from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_prunelab import InvalidSparsityError
from keras_prunelab._select._lowest import lowest
from keras_prunelab._select._selection import check_sparsities, pruned_count, sparsities_of_rounds

from .sparsity_by_hand import count_by_hand, sparsities


@given(sparsities(), st.integers(1, 100_000))
def test_count_is_rounded_half_up_as_written_in_decimal(sparsity: float, total: int) -> None:
    assert pruned_count(sparsity, total) == count_by_hand(sparsity, total)


@pytest.mark.parametrize(
    ("sparsity", "total", "count"),
    [(0.29, 100, 29), (0.145, 100, 15), (0.5, 1, 1), (0.5, 3, 2), (0.8, 21_578, 17_262)],
)
def test_count_examples(sparsity: float, total: int, count: int) -> None:
    assert pruned_count(sparsity, total) == count


def test_sparsities_are_sorted_each_once() -> None:
    assert check_sparsities([0.9, 0.5, 0.9, 0]) == (0.0, 0.5, 0.9)
    assert check_sparsities(0.5) == (0.5,)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (1.0, r"in \[0, 1\), not 1; write 0.9 for 90 %"),
        (-0.1, r"not -0\.1; write 0\.9 for 90 %"),
        (100, r"not 100; write 0\.9 for 90 %"),
        (80, r"not 80; write 0.8 for 80 %"),
        (float("nan"), "not nan"),
        ([], "is empty"),
        ("many", "not 'many'"),
        (np.linspace(0, 0.9, 70_000), "70000 levels are more than 65535"),
    ],
)
def test_what_is_no_sparsity_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(InvalidSparsityError, match=message):
        check_sparsities(wrong)  # type: ignore[arg-type]


@given(sparsities(0.001), st.integers(1, 9))
def test_each_round_keeps_the_same_share_of_what_the_one_before_kept(sparsity: float, rounds: int) -> None:
    share = (1 - sparsity) ** (1 / rounds)
    kept = [1 - each for each in sparsities_of_rounds(sparsity, rounds)]
    assert kept == pytest.approx([share ** (number + 1) for number in range(rounds)])
    assert sparsities_of_rounds(sparsity, rounds)[-1] == sparsity


def by_sorting(scores: list[np.ndarray], is_open: list[np.ndarray], need: int) -> list[list[int]]:
    """The lowest by the definition: all that take part, sorted by score and place."""
    ranked = sorted(
        (score, part, place)
        for part, (row, may) in enumerate(zip(scores, is_open, strict=True))
        for place, score in enumerate(row.tolist())
        if may[place]
    )
    chosen = {(part, place) for _, part, place in ranked[: max(need, 0)]}
    return [[place for place in range(len(row)) if (part, place) in chosen] for part, row in enumerate(scores)]


@pytest.mark.parametrize("need", [-1, 0, 1, 2, 1999, 15_000, 29_999, 30_000, 10**6])
@pytest.mark.parametrize("kind", ["distinct", "tied", "equal", "sampled", "hidden"])
def test_the_lowest_are_those_of_a_sorted_list(kind: str, need: int) -> None:
    """Also where every third score, which are the ones that are looked at first, tells nothing of the others."""
    random = np.random.default_rng(1)
    scores = {"distinct": random.random(30_000), "tied": random.integers(0, 40, 30_000), "equal": np.zeros(30_000)}
    flat = scores.get(kind, random.random(30_000)).astype(np.float32)
    if kind in ("sampled", "hidden"):
        flat[::3] += -1 if kind == "sampled" else 1
    parts, may = (np.split(row, [12_000, 12_000, 13_001]) for row in (flat, random.random(30_000) > 0.2))
    assert [found.tolist() for found in lowest(parts, may, need)] == by_sorting(parts, may, need)
