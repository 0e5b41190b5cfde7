from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_prunelab import InvalidSparsityError
from keras_prunelab.cli._levels import DEFAULT_LEVELS, parse_levels


def test_default_is_fine_and_holds_the_levels_of_the_example() -> None:
    levels = parse_levels(DEFAULT_LEVELS)
    coarse, fine = np.linspace(0, 0.8, 41), np.linspace(0.8, 0.98, 91)
    assert levels == pytest.approx(np.union1d(coarse.round(10), fine.round(10)))
    assert set(np.linspace(0, 0.9, 10).round(10)) <= set(levels)


@pytest.mark.parametrize("text", ["0.8:0.98:0.002", "0.8:0.002:0.98"])
def test_both_orders_of_a_range_are_understood(text: str) -> None:
    assert parse_levels(text) == pytest.approx(np.linspace(0.8, 0.98, 91))


def test_a_range_that_its_steps_do_not_meet_stops_before_its_end() -> None:
    assert parse_levels("0.1:0.4:0.2") == (0.1, 0.3)


def test_levels_are_sorted_and_occur_once() -> None:
    assert parse_levels("0.9, 0.5,0.9") == (0.5, 0.9)


@given(st.floats(0, 0.5), st.integers(2, 40), st.floats(0.001, 0.012))
def test_no_range_has_two_readings(start: float, count: int, step: float) -> None:
    stop = start + count * step
    assert parse_levels(f"{start!r}:{stop!r}:{step!r}") == parse_levels(f"{start!r}:{step!r}:{stop!r}")


@pytest.mark.parametrize("text", ["", "half", "0.8:0.9", "0.9:0.8:0.01", "0.8:0.9:0", "1:2:3:4"])
def test_what_is_no_level_is_named(text: str) -> None:
    with pytest.raises(InvalidSparsityError, match=r"is neither a number nor a range: write 0\.9, or start:stop:step"):
        parse_levels(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", "A sparsity is a fraction from 0 to below 1, but got 1 in '1'."),
        ("-0.1", "A sparsity is a fraction from 0 to below 1, but got -0.1 in '-0.1'."),
        (
            "80:98:2",
            "A sparsity is a fraction from 0 to below 1, but got 80 in '80:98:2'. Write fractions: 80 % is 0.8.",
        ),
        ("nan", "A sparsity is a fraction from 0 to below 1, but got nan in 'nan'."),
    ],
)
def test_a_level_outside_the_range_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidSparsityError) as caught:
        parse_levels(text)
    assert str(caught.value) == message
