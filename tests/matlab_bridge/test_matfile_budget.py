"""What one file may cost."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from matlab_bridge._errors import TruncatedFileError
from matlab_bridge.matfile import load
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


def level4_sparse(name: bytes, columns: int) -> bytes:
    triplets = np.array([[1, columns, 1.0], [1, columns, 0]], "<f8")
    return struct.pack("<5i", 2, *triplets.shape, 0, len(name) + 1) + name + b"\0" + triplets.tobytes(order="F")


def test_the_columns_that_a_small_file_of_version_4_states_are_refused(tmp_path: Path):
    path = tmp_path / "columns.mat"
    path.write_bytes(level4_sparse(b"s", 2**27 - 1))
    with pytest.raises(TruncatedFileError, match="the columns of a sparse matrix would take"):
        load(path)["s"]


def test_the_variables_of_a_file_share_one_budget(tmp_path: Path):
    path = tmp_path / "many.mat"
    path.write_bytes(b"".join(level4_sparse(b"s%d" % i, 2**21) for i in range(3)))
    found = load(path)
    assert found["s0"].shape == (1, 2**21)
    with pytest.raises(TruncatedFileError, match="the columns of a sparse matrix"):
        _ = found["s1"], found["s2"]


def test_elements_that_were_never_set_share_one_array(tmp_path: Path):
    unset = struct.pack("<2I", 14, 0)
    head = struct.pack("<4I", 6, 8, 1, 0) + struct.pack("<2I2i", 5, 8, 1, 3) + struct.pack("<2I", 1, 0)
    header = b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + b"\x00\x01IM"
    named = head[:-8] + struct.pack("<HH4s", 1, 1, b"c")
    path = tmp_path / "unset.mat"
    path.write_bytes(header + struct.pack("<2I", 14, len(named) + 24) + named + unset * 3)
    cell = load(path)["c"]
    assert {id(element) for element in cell.flat} == {id(cell.flat[0])}
    # MATLAB's own `[]`; SciPy makes 1x0 of it.
    assert [element.shape for element in cell.flat] == [(0, 0)] * 3
