from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_prunelab import InvalidSparsityError
from keras_prunelab._select._selection import check_sparsities, pruned_count


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


def test_sparsities_are_sorted_each_once() -> None:
    assert check_sparsities([0.9, 0.5, 0.9, 0]) == (0.0, 0.5, 0.9)
    assert check_sparsities(0.5) == (0.5,)


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
        check_sparsities(wrong)  # type: ignore[arg-type]
