"""What one file may cost."""

from __future__ import annotations

import pytest

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile._budget import Budget

MIB = 1024 * 1024


def test_a_file_without_contents_may_take_64_mib():
    budget = Budget()
    budget.spend(64 * MIB, "the elements of a cell")
    with pytest.raises(TruncatedFileError, match="the elements of a cell would take 1 bytes"):
        budget.spend(1, "the elements of a cell")


def test_each_byte_that_is_present_allows_eight():
    budget = Budget()
    budget.spend(64 * MIB, "numbers")
    budget.earn(3)
    budget.spend(24, "numbers")
    assert budget.left == 0


def test_what_is_refused_is_not_counted():
    budget = Budget()
    with pytest.raises(TruncatedFileError):
        budget.spend(2**62, "the elements of a cell")
    assert budget.left == 64 * MIB
