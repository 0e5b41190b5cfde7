"""Schedules, each against its definition written out here: a formula of exact fractions, and the steps that hold it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_prunelab import InvalidScheduleError, InvalidSparsityError, UnknownNameError, schedules

from .training import ROUNDS, SCHEDULE, rounds_by_hand, scheduled_by_hand

FIRST, LAST = 0.125, 0.875
CURVES: dict[str, Callable[[float], float]] = {
    "polynomial": lambda way: LAST - (LAST - FIRST) * (1 - way) ** 3,
    "cosine": lambda way: FIRST + (LAST - FIRST) * math.sin(math.pi * way / 2) ** 2,
    "exponential": lambda way: 1 - (1 - FIRST) ** (1 - way) * (1 - LAST) ** way,
}
CLASSES = {"polynomial": schedules.Polynomial, "cosine": schedules.Cosine, "exponential": schedules.Exponential}


def updates(begin: int, end: int, frequency: int) -> list[int]:
    """The steps at which a gradual schedule changes the masks."""
    return [*range(begin, end, frequency), end]


@given(
    st.sampled_from(sorted(CURVES)),
    st.integers(0, 30),
    st.integers(1, 60),
    st.integers(1, 25),
)
def test_a_gradual_schedule_is_its_curve_at_updates_and_held_between_them(
    name: str, begin: int, length: int, frequency: int
) -> None:
    end = begin + length
    schedule = CLASSES[name](FIRST, LAST, begin_step=begin, end_step=end, frequency=frequency)
    due, expected = updates(begin, end, frequency), 0.0
    for step in range(end + frequency + 2):
        if step in due:
            expected = CURVES[name](float(Fraction(step - begin, length)))
        assert schedule(step) == pytest.approx(expected, abs=1e-12), step


def test_the_first_update_of_a_gradual_schedule_has_its_first_sparsity() -> None:
    for made in CLASSES.values():
        schedule = made(FIRST, LAST, begin_step=3, end_step=9, frequency=2)
        assert [schedule(2), schedule(9), schedule(10**9)] == [0.0, LAST, LAST]
        assert schedule(3) == schedule(4) == pytest.approx(FIRST)


def test_defaults_are_those_that_are_documented() -> None:
    for made in CLASSES.values():
        assert made(0.0, 0.5, end_step=900) == made(0.0, 0.5, begin_step=0, end_step=900, frequency=100)
    cubic = schedules.Polynomial(0.0, 0.5, end_step=900)
    assert cubic == schedules.Polynomial(0.0, 0.5, end_step=900, power=3)
    straight = schedules.Polynomial(0.0, 0.5, end_step=4, frequency=1, power=1)
    assert [straight(step) for step in range(5)] == [0.0, 0.125, 0.25, 0.375, 0.5]


def test_the_schedules_of_the_tests_of_training_are_what_is_written_there() -> None:
    for step in range(20):
        assert SCHEDULE(step) == pytest.approx(scheduled_by_hand(step), abs=1e-12)
        assert ROUNDS(step) == pytest.approx(rounds_by_hand(step), abs=1e-12)


@pytest.mark.parametrize("frequency", [1, 5])
@pytest.mark.parametrize("begin", [0, 7])
def test_each_round_takes_the_same_share_of_what_is_left(begin: int, frequency: int) -> None:
    schedule = schedules.Iterative(0.25, rounds=3, frequency=frequency, begin_step=begin)
    left = {begin + frequency * number: (3 / 4) ** (number + 1) for number in range(3)}
    kept = 1.0
    for step in range(begin + 40):
        kept = left.get(step, kept)
        assert schedule(step) == 1 - kept, step
    assert schedules.Iterative(0.25, rounds=1, frequency=5)(0) == 0.25


def test_levels_hold_until_the_next() -> None:
    schedule = schedules.Piecewise({"2ep": 0.75, 3: 0.25, "0.5ep": 0.5})
    assert [schedule(step, 10) for step in (0, 2, 3, 4, 5, 19, 20, 99)] == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    mixed = schedules.Piecewise({"1ep": 0.25, 3: 0.5})
    assert mixed(2, 2) == 0.25
    with pytest.raises(InvalidScheduleError, match="fall with time"):  # 0.5 from step 3 on, and 0.25 from step 10 on
        mixed(2, 10)
    assert schedules.Piecewise({0: 0.5})(0) == 0.5


@pytest.mark.parametrize("made", [schedules.Constant(0.5, 4), schedules.OneShot(0.5, 4), schedules.OneShot(0.5, "1ep")])
def test_at_once(made: schedules.Schedule) -> None:
    assert [made(step, 4) for step in (0, 3, 4, 5)] == [0, 0, 0.5, 0.5]
    assert schedules.Constant(0.5)(0) == 0.5


@pytest.mark.parametrize(
    ("text", "per_epoch", "steps"),
    [
        (7, None, 7),
        ("7", None, 7),
        ("7.0", None, 7),
        ("2ep", 50, 100),
        ("0.1ep", 30, 3),
        (" 1.5 ep ", 3, 5),
        ("1ep", 0.5, 1),
    ],
)
def test_moments_in_steps(text: Any, per_epoch: float | None, steps: int) -> None:
    moment = schedules.Step(text)
    assert moment.steps(per_epoch) == steps
    assert moment == schedules.Step(moment) == schedules.Step(str(moment))
    assert repr(moment) == f"Step({str(moment)!r})"


@pytest.mark.parametrize("text", ["1.5", "-1", -1, 1.5, "two", "ep", "1 epoch", None, True, ""])
def test_what_is_no_moment(text: Any) -> None:
    with pytest.raises(InvalidScheduleError, match="no moment of training"):
        schedules.Step(text)


def test_epochs_need_their_length() -> None:
    with pytest.raises(InvalidScheduleError, match=r"'2ep' counts epochs"):
        schedules.Step("2ep").steps()
    with pytest.raises(InvalidScheduleError, match="counts epochs"):
        schedules.OneShot(0.5, "2ep")(3)


EVERY = [
    schedules.Constant(0.5, begin_step="1ep"),
    schedules.OneShot(0.5, step=3),
    schedules.Polynomial(0.25, 0.5, begin_step=1, end_step="3ep", frequency=7, power=2),
    schedules.Cosine(0.25, 0.5, begin_step=1, end_step=30, frequency="0.5ep"),
    schedules.Exponential(0.25, 0.5, begin_step=1, end_step=30, frequency=7),
    schedules.Iterative(0.25, rounds=3, frequency=4, begin_step=2),
    schedules.Piecewise({2: 0.25, "1ep": 0.5}),
]


@pytest.mark.parametrize("schedule", EVERY, ids=lambda schedule: schedule.name)
def test_a_schedule_is_made_again_from_json_values(schedule: schedules.Schedule) -> None:
    stored = schedules.serialize(schedule)
    again = schedules.get(stored)
    assert again == schedule == schedules.deserialize(stored)
    assert again is not schedule
    assert schedules.get(schedule) is schedule
    assert hash(again) == hash(schedule)
    assert stored == {"name": type(schedule).name, "config": schedule.get_config()}
    assert [again(step, 11) for step in range(50)] == [schedule(step, 11) for step in range(50)]
    assert repr(schedule).startswith(f"{type(schedule).__name__}(")
    assert all(other != schedule for other in EVERY if other is not schedule)
    assert schedule != 0.5


def test_arguments_are_what_was_given() -> None:
    assert EVERY[2].get_config() == {
        "initial_sparsity": 0.25,
        "final_sparsity": 0.5,
        "begin_step": 1,
        "end_step": "3ep",
        "frequency": 7,
        "power": 2.0,
    }
    assert EVERY[5].get_config() == {"fraction": 0.25, "rounds": 3, "frequency": 4, "begin_step": 2}
    assert EVERY[6].get_config() == {"levels": {"2": 0.25, "1ep": 0.5}}


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: schedules.Constant(1.0), InvalidSparsityError),
        (lambda: schedules.Constant(-0.1), InvalidSparsityError),
        (lambda: schedules.OneShot(math.nan, 1), InvalidSparsityError),
        (lambda: schedules.Polynomial(0.0, 1.0, end_step=10), InvalidSparsityError),
        (lambda: schedules.Polynomial(0.6, 0.5, end_step=10), InvalidScheduleError),
        (lambda: schedules.Polynomial(0.0, 0.5, begin_step=10, end_step=10), InvalidScheduleError),
        (lambda: schedules.Polynomial(0.0, 0.5, begin_step="2ep", end_step="2ep"), InvalidScheduleError),
        (lambda: schedules.Polynomial(0.0, 0.5, end_step="0ep"), InvalidScheduleError),
        (lambda: schedules.Polynomial(0.0, 0.5, begin_step=9, end_step="1ep")(0, 9), InvalidScheduleError),
        (lambda: schedules.Polynomial(0.0, 0.5, end_step=10, frequency=0), InvalidScheduleError),
        (lambda: schedules.Polynomial(0.0, 0.5, end_step=10, power=0), InvalidScheduleError),
        (lambda: schedules.Polynomial(0.0, 0.5, end_step=10, power=math.inf), InvalidScheduleError),
        (lambda: schedules.Polynomial(0.0, 0.5, end_step=10, power="3"), InvalidScheduleError),
        (lambda: schedules.Iterative(0.0, rounds=1, frequency=1), InvalidScheduleError),
        (lambda: schedules.Iterative(1.0, rounds=1, frequency=1), InvalidScheduleError),
        (lambda: schedules.Iterative("half", rounds=1, frequency=1), InvalidScheduleError),
        (lambda: schedules.Iterative(0.5, rounds=0, frequency=1), InvalidScheduleError),
        (lambda: schedules.Iterative(0.5, rounds=1.5, frequency=1), InvalidScheduleError),
        (lambda: schedules.Iterative(0.5, rounds=1, frequency=0), InvalidScheduleError),
        (lambda: schedules.Piecewise({}), InvalidScheduleError),
        (lambda: schedules.Piecewise([0.5]), InvalidScheduleError),
        (lambda: schedules.Piecewise({0: 1.0}), InvalidSparsityError),
        (lambda: schedules.Piecewise({0: 0.5, 1: 0.25}), InvalidScheduleError),
        (lambda: schedules.Piecewise({"1ep": 0.5, "2ep": 0.25}), InvalidScheduleError),
        (lambda: schedules.get("polynomial"), UnknownNameError),
        (lambda: schedules.get(1.0), InvalidSparsityError),
    ],
)
def test_what_is_no_schedule(make: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_levels_that_may_be_equal_are_taken() -> None:
    assert schedules.Piecewise({0: 0.5, 1: 0.5})(1) == 0.5
    assert schedules.Polynomial(0.5, 0.5, end_step=10)(3) == 0.5
    mixed = schedules.Polynomial(0.0, 0.5, begin_step="2ep", end_step=10)  # who knows how long an epoch is?
    assert mixed(10, 2) == 0.5


@pytest.mark.parametrize("begin", ["0ep", "0.25ep", 0])
def test_a_schedule_may_begin_and_end_within_one_epoch(begin: Any) -> None:
    schedule = schedules.Polynomial(0.0, 0.5, begin_step=begin, end_step="0.75ep", frequency=1)
    assert [schedule(step, 100) for step in (0, 75)] == [0, 0.5]
    with pytest.raises(InvalidScheduleError, match="must be later than begin_step"):  # of one step, which is both
        schedules.Polynomial(0.0, 0.5, begin_step="0.25ep", end_step="0.75ep")(0, 1)


@pytest.mark.parametrize("left_out", ["at", "get_config"])
def test_a_schedule_of_ones_own_needs_both_methods(left_out: str) -> None:
    methods: dict[str, Any] = {"at": lambda *_: 0.5, "get_config": lambda _: {}}
    assert type("Whole", (schedules.Schedule,), methods)()(0) == 0.5
    del methods[left_out]
    with pytest.raises(TypeError, match=rf"abstract.* '?{left_out}'?"):
        type("Partial", (schedules.Schedule,), methods)()


def test_a_schedule_of_ones_own_is_checked_at_each_step() -> None:
    class Broken(schedules.Schedule):
        name = "broken"

        def at(self, step: int, steps_per_epoch: float | None) -> Any:
            return [0, 0.5, 1.0, "much", -0.5][step]

        def get_config(self) -> dict[str, Any]:
            return {}

    assert [Broken()(0), Broken()(1)] == [0.0, 0.5]
    for step in (2, 3, 4):
        with pytest.raises(InvalidSparsityError, match=rf"Broken\(\) at step {step}"):
            Broken()(step)
    with pytest.raises(UnknownNameError):
        schedules.serialize(Broken())
