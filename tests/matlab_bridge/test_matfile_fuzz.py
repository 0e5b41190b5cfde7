"""Damaged files of every kind never crash, hang, or take the memory of the machine."""

from __future__ import annotations

import sys

import pytest

from tests.fuzz_matfile import fuzz
from tests.fuzz_strategies import STRATEGIES


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="what a process takes is read from /proc")
def test_damaged_files_give_a_value_or_one_of_our_errors():
    outcome = fuzz(seconds=60, seed=2024)
    assert outcome.failures == []
    for target in STRATEGIES:
        assert outcome.number(target=target, answer="value"), target
        assert outcome.number(target=target, answer="error"), target
