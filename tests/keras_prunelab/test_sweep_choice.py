from __future__ import annotations

import pytest

from keras_prunelab import NoTradeOffError, UnknownNameError
from keras_prunelab._sweep._metric import ACCURACY, RMSE

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


def test_a_curve_that_recovers_is_chosen_at_its_sparsest_and_the_reason_warns():
    choice = result({"magnitude": [(0.5, 0.99), (0.6, 0.95), (0.7, 0.985), (0.8, 0.5)]}).choose(max_drop=0.01)
    assert choice.sparsity == 0.7
    assert "not monotonic: at 60.0 % it is 95.00 %, outside the limit" in choice.reason
    assert "without a break up to 50.0 %" in choice.reason


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
