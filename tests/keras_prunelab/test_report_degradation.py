"""How a curve falls, against curves whose fall is known by hand."""

from __future__ import annotations

import pytest

from keras_prunelab._evaluate._metric import RMSE
from keras_prunelab._report import _curves
from keras_prunelab._report._degradation import degradation
from keras_prunelab._report._findings import Findings

from .results_by_hand import result


def test_a_fall_is_found():
    # Dense 1.0, worst 0: a tenth of the fall is lost at 0.9, half at 0.5 and nine tenths at 0.1.
    points = [(0.1, 1.0), (0.2, 0.95), (0.3, 0.85), (0.4, 0.9), (0.5, 0.3), (0.6, 0.05), (0.7, 0.0)]
    fall = degradation(result({"magnitude": points}, dense=1.0), "magnitude")
    assert fall is not None
    assert (fall.start, fall.middle, fall.end) == (0.2, 0.5, 0.6)
    assert (fall.largest.before, fall.largest.after) == (0.4, 0.5)
    assert (fall.largest.value_before, fall.largest.value_after) == (0.9, 0.3)
    assert (fall.rises, fall.levels) == (1, 7)
    assert not fall.is_abrupt


def test_an_error_falls_by_rising():
    fall = degradation(
        result({"magnitude": [(0.1, 2.0), (0.2, 2.0), (0.3, 12.0)]}, dense=2.0, metric=RMSE), "magnitude"
    )
    assert fall is not None
    assert (fall.start, fall.end) == (0.2, 0.3)
    assert fall.is_abrupt


@pytest.mark.parametrize(
    "points", [[(0.1, 0.9), (0.2, 0.8)], [(0.1, 1.0), (0.2, 1.0), (0.3, 1.0)]], ids=["two levels", "never worse"]
)
def test_no_fall_is_none(points):
    swept = result({"magnitude": points}, dense=1.0)
    assert degradation(swept, "magnitude") is None
    sentences = _curves.falls(Findings.of(swept, swept.choose(sparsity=0.1)))
    assert "too few levels, or none worse than the dense network" in sentences[0]


@pytest.mark.parametrize(
    ("values", "word"), [((0.99, 0.99, 0.2, 0.1), "abruptly"), ((0.9, 0.6, 0.3, 0.1), "gradually")]
)
def test_sentences_say_gradually_or_abruptly(values, word):
    points = [(0.5, values[0], 0.01), (0.7, values[1], 0.01), (0.75, values[2], 0.01), (0.8, values[3], 0.01)]
    swept = result({"magnitude": points})
    findings = Findings.of(swept, swept.choose(sparsity=0.5))
    assert f"the network degrades {word}" in _curves.falls(findings)[0]
    assert "That is more than chance" in _curves.sampling(findings)


def test_steps_within_chance_need_no_finer_levels():
    points = [(0.1, 0.98, 0.02), (0.2, 0.97, 0.02), (0.3, 0.965, 0.02), (0.4, 0.96, 0.02)]
    swept = result({"magnitude": points})
    assert "finer levels would show nothing new" in _curves.sampling(Findings.of(swept, swept.choose(sparsity=0.1)))
