"""Mutated files of every version never crash, hang, or take the memory of the machine."""

from __future__ import annotations

import pytest

from tests.fuzz_matfile import fuzz


@pytest.mark.slow
def test_mutated_files_give_a_value_or_one_of_our_errors():
    outcome = fuzz(seconds=60, seed=2024)
    assert outcome.failures == []
    assert outcome.read
    assert outcome.errors
