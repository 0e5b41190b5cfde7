from __future__ import annotations

import math

import numpy as np
import pytest

from keras_prunelab import NoTradeOffError, UnknownNameError
from keras_prunelab._evaluate._metric import ACCURACY, RMSE

from .results_by_hand import FALLING, result


def test_the_sparsest_level_within_the_drop_wins_and_the_reason_says_what_comes_next():
    choice = result(FALLING).choose(max_drop=0.01, score="magnitude")
    assert (choice.score, choice.sparsity, choice.accuracy, choice.dense_accuracy) == (
        "magnitude",
        0.914,
        0.981,
        0.99,
    )
    assert choice.reason == (
        "magnitude at 91.4 % is the sparsest level whose accuracy, 98.10 %, is within 1 point of the dense "
        "99.00 %; the next level, 91.6 %, falls to 97.00 %."
    )


def test_between_scores_the_sparsest_wins_then_the_most_accurate():
    assert result(FALLING).choose(max_drop=0.01).score == "synflow"  # both reach 91.4 %; synflow is better there
    assert result(FALLING).choose(min_metric=0.975).sparsity == 0.916


def test_a_drop_of_exactly_the_limit_passes():
    assert result({"magnitude": [(0.8, 0.983)]}, dense=0.993).choose(max_drop=0.01).sparsity == 0.8
    assert 0.8 - 0.1 > 0.7  # in binary fractions: what the slack is for
    assert ACCURACY.meets(0.7, ACCURACY.limit(0.8, 0.1))
    assert not ACCURACY.meets(0.6999, ACCURACY.limit(0.8, 0.1))


def test_a_curve_that_recovers_is_chosen_before_it_falls_and_the_lucky_level_is_named():
    choice = result({"magnitude": [(0.5, 0.99), (0.6, 0.95), (0.7, 0.985), (0.8, 0.5)]}).choose(max_drop=0.01)
    assert choice.sparsity == 0.5
    assert choice.reason.endswith(
        "The curve is not monotonic: magnitude at 70.0 % (98.50 %) meets the condition again, but 60.0 % before it "
        "does not: that is luck, and is not chosen."
    )


def end_of_range(points, limit, error_counts):
    """The rule in plain Python: the last level before the first that misses the limit by more than its error."""
    found = None
    for sparsity, value, error in sorted(points):
        if not (limit - value <= error * error_counts + 1e-9):
            break
        found = sparsity
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_choice_is_the_end_of_the_unbroken_range(seed):
    random = np.random.default_rng(seed)
    levels = random.permutation(np.linspace(0.1, 0.95, 12))
    curves = {
        name: [(float(s), float(0.99 - 0.03 * random.random()), float(0.004 * random.random())) for s in levels]
        for name in ("magnitude", "synflow")
    }
    ends = [end for points in curves.values() if (end := end_of_range(points, 0.98, 1)) is not None]
    swept = result(curves)
    if ends:
        assert swept.choose(max_drop=0.01).sparsity == max(ends)
    else:
        with pytest.raises(NoTradeOffError):
            swept.choose(max_drop=0.01)


def test_a_loss_may_exceed_the_drop_by_one_standard_error():
    points = [(0.5, 0.979, 0.0011), (0.6, 0.979, 0.0009)]
    choice = result({"magnitude": points}).choose(max_drop=0.01)
    assert choice.sparsity == 0.5
    assert "is within 1 point of the dense 99.00 % within one standard error of their difference, 0.11 points" in (
        choice.reason
    )
    assert result({"magnitude": [(0.5, 0.979, 0.0011)]}).choose(max_drop=0.01).sparsity == 0.5
    with pytest.raises(NoTradeOffError):  # a floor is a floor
        result({"magnitude": points}).choose(min_metric=0.98)


def test_for_an_error_the_standard_error_counts_in_its_units():
    points = [(0.5, 2.15, 0.06), (0.6, 2.15, 0.04)]
    assert result({"magnitude": points}, dense=2.0, metric=RMSE).choose(max_drop=0.05).sparsity == 0.5


def test_a_level_that_passes_alone_above_one_that_does_not_is_no_choice():
    with pytest.raises(NoTradeOffError, match=r"magnitude at 60\.0 % \(99\.00 %\) would.*that is luck"):
        result({"magnitude": [(0.5, 0.9), (0.6, 0.99)]}).choose(max_drop=0.01)


def test_a_metric_that_is_no_number_ends_the_range():
    assert result({"magnitude": [(0.5, 0.99), (0.6, float("nan")), (0.7, 0.99)]}).choose().sparsity == 0.5
    with pytest.raises(NoTradeOffError):
        result({"magnitude": [(0.5, float("nan")), (0.6, float("nan"))]}).choose()


def test_levels_that_came_to_the_same_sparsity():
    swept = result({"magnitude": [(0.5, 0.99), (0.5, 0.99), (0.6, 0.9)]})
    swept.table["sparsity_target"] = [0.1, 0.5, 0.6]
    assert swept.choose(max_drop=0.01).sparsity == 0.5


def test_an_edited_table_gives_its_own_curves_and_edited_curves_change_nothing():
    swept = result({"magnitude": [(0.5, 0.99), (0.6, 0.9)]})
    curves = swept.curves
    curves["accuracy"] = 0.0
    assert swept.curves["accuracy"].tolist() == [0.99, 0.9]
    swept.table.loc[1, "accuracy"] = 0.985
    assert swept.curves["accuracy"].tolist() == [0.99, 0.985]
    assert swept.choose(max_drop=0.01).sparsity == 0.6


def test_the_luck_of_one_curve_does_not_stop_another():
    curves = {"magnitude": [(0.5, 0.99), (0.6, 0.9)], "synflow": [(0.5, 0.99), (0.6, 0.985)]}
    choice = result(curves).choose(max_drop=0.01)
    assert (choice.score, choice.sparsity) == ("synflow", 0.6)
    assert "luck" not in choice.reason


def test_over_seeds_the_mean_of_the_errors_counts():
    swept = result({"magnitude": [(0.5, 0.978, 0.001), (0.5, 0.978, 0.003)]})
    swept.table["seed"] = [0, 1]
    assert swept.choose(max_drop=0.01).sparsity == 0.5
    with pytest.raises(NoTradeOffError):
        swept.choose(max_drop=0.009)


def test_one_can_mean_a_point_or_all():
    with pytest.raises(NoTradeOffError, match=r"one point of accuracy, which is max_drop=0\.01, or all of it"):
        result(FALLING).choose(max_drop=1)
    assert result(FALLING).choose(max_drop=0.99).sparsity == 0.95  # as the message advises
    errors = result({"magnitude": [(0.5, 3.9)]}, dense=2.0, metric=RMSE)
    assert errors.choose(max_drop=1).sparsity == 0.5  # an error twice as large


def test_what_is_better_than_dense_beyond_its_error_is_doubted():
    swept = result({"magnitude": [(0.5, 0.95, 0.01)]}, dense=0.9)
    assert "better than the dense network by 5.00 points" in swept.doubts(swept.choose())[0]
    swept = result({"magnitude": [(0.5, 0.905, 0.01)]}, dense=0.9)
    assert swept.doubts(swept.choose()) == ()
    swept = result({"magnitude": [(0.5, 1.5, 0.1)]}, dense=2.0, metric=RMSE)
    assert "better than the dense network by 0.5" in swept.doubts(swept.choose())[0]


def test_over_seeds_all_of_them_are_doubted():
    """The mean gain of 0.02 is within the mean error of 0.03, though it exceeds the first seed's; and the other way."""
    for errors, is_doubted in (((0.01, 0.05), False), ((0.03, 0.001), True)):
        swept = result({"magnitude": [(0.5, 0.92, errors[0]), (0.5, 0.92, errors[1])]}, dense=0.9)
        swept.table["seed"] = [0, 1]
        assert bool(swept.doubts(swept.choose())) is is_doubted
    swept = result({"magnitude": [(0.5, 0.9), (0.5, 0.9)]}, dense=0.9)
    swept.table["seed"], swept.table["answers"], swept.table["speedup"] = [0, 1], [10, 1], [2.0, float("inf")]
    macs, answers = swept.doubts(swept.choose())
    assert "No multiply-adds are left" in macs
    assert "the same answer" in answers


def test_no_multiply_adds_are_doubted():
    swept = result({"magnitude": [(0.5, 0.99)]})
    swept.table["speedup"] = float("inf")
    assert swept.doubts(swept.choose()) == (
        "No multiply-adds are left at the choice: nothing that the network answers depends on its input.",
    )


@pytest.mark.parametrize(
    ("dense", "trivial", "error", "is_meaningful"),
    [(0.1, 0.12, 0.01, False), (0.125, 0.12, 0.01, False), (0.14, 0.12, 0.01, True), (1.0, 1.0, 0.0, False)],
)
def test_a_network_at_chance_has_no_meaningful_level(dense, trivial, error, is_meaningful):
    facts = {"trivial": trivial, "trivial_error": error, "answers": 5}
    swept = result({"magnitude": [(0.5, dense)]}, dense=dense, facts=facts)
    if is_meaningful:
        assert swept.choose().sparsity == 0.5
    else:
        with pytest.raises(NoTradeOffError, match="No level is meaningful"):
            swept.choose()


@pytest.mark.parametrize("dense", [math.nan, math.inf])
def test_a_dense_network_that_overflows_has_no_meaningful_level(dense):
    swept = result({"magnitude": [(0.5, 3.0), (0.8, 4.0)]}, dense=dense, metric=RMSE)
    for condition in ({}, {"knee": True}, {"max_drop": 0.5}):
        with pytest.raises(NoTradeOffError, match=rf"RMSE of the dense network is {dense}, because its answers"):
            swept.choose(**condition)
    assert swept.doubts() == swept.doubts(swept.choose(sparsity=0.5))
    assert len(swept.doubts()) == 1


def test_the_last_level_says_that_nothing_sparser_was_tested():
    assert "the sparsest level that was tested" in result({"random": [(0.5, 0.99)]}).choose(max_drop=0.0).reason


def test_no_point_within_the_limit_names_the_best():
    with pytest.raises(NoTradeOffError, match=r"at least 99\.90 %. The best is magnitude at 50\.0 % with 99\.00 %"):
        result(FALLING).choose(min_metric=0.999)


def test_the_knee_is_the_point_furthest_above_the_chord():
    # A curve in the unit square: x + y is 1.0, 1.4, 1.7, 1.0 (scaled by 0.9), so the third point is the knee.
    curve = [(0.0, 1.0), (0.45, 0.9), (0.72, 0.9), (0.9, 0.0)]
    choice = result({"magnitude": curve}, dense=1.0).choose(knee=True)
    assert choice.sparsity == 0.72
    assert "knee" in choice.reason


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(
    "knees",
    [
        [(0.4, 0.9), (0.6, 0.65)],  # sparsity / 0.8 + accuracy is 0.5 + 0.9 and 0.75 + 0.65
        [(0.1, 0.93), (0.3, 0.68)],  # 0.125 + 0.93 and 0.375 + 0.68, of which the first is larger in binary
    ],
)
def test_of_two_knees_the_sparser_wins(knees, turn):
    curve = [*knees, (0.8, 0.0)]
    assert result({"magnitude": curve[::turn]}, dense=1.0).choose(knee=True).sparsity == knees[1][0]


def test_by_hand_the_nearest_tested_level():
    choice = result(FALLING).choose(sparsity=0.93, score="magnitude")
    assert choice.sparsity == 0.916
    assert "nearest to the wanted 93.0 %" in choice.reason


def test_for_an_error_smaller_is_better_and_the_drop_is_relative():
    errors = result({"magnitude": [(0.5, 2.0), (0.7, 2.1), (0.8, 2.3), (0.9, 9.0)]}, dense=2.0, metric=RMSE)
    choice = errors.choose(max_drop=0.05)
    assert choice.sparsity == 0.7
    assert "RMSE, 2.1, is within 5.0 % of the dense 2; the next level, 80.0 %, rises to 2.3." in choice.reason
    assert errors.choose(knee=True).sparsity == 0.8
    with pytest.raises(NoTradeOffError, match="max_drop"):
        errors.choose(min_metric=0.9)
    with pytest.raises(NoTradeOffError, match=r"The best is magnitude at 50\.0 % with 2\."):
        result({"magnitude": [(0.5, 2.0), (0.7, 2.1)]}, dense=1.0, metric=RMSE).choose(max_drop=0.1)


def test_index_is_the_row_of_the_table():
    swept = result(FALLING)
    choice = swept.choose(max_drop=0.01)
    row = swept.table.iloc[choice.index]
    assert (row["score"], row["sparsity"], row["accuracy"]) == (
        choice.score,
        choice.sparsity,
        choice.accuracy,
    )


def test_wrong_questions_are_refused():
    swept = result(FALLING)
    with pytest.raises(UnknownNameError, match="magnitude, synflow"):
        swept.choose(score="taylor")
    with pytest.raises(NoTradeOffError, match="one condition"):
        swept.choose(max_drop=0.01, knee=True)
    with pytest.raises(NoTradeOffError, match=r"0\.98 is 98 %"):
        swept.choose(min_metric=98)
    with pytest.raises(NoTradeOffError, match="max_drop"):
        swept.choose(max_drop=-0.1)
    with pytest.raises(NoTradeOffError, match=r"0\.01 is one point"):
        swept.choose(max_drop=5)
    with pytest.raises(NoTradeOffError, match="before its first point"):
        result({}).choose()
