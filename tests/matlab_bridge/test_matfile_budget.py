"""What one file may cost."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from matlab_bridge import TruncatedFileError
from matlab_bridge.matfile import load
from matlab_bridge.matfile._budget import Budget

from .matfiles import element, level5_file, level5_matrix

MIB = 1024 * 1024


def test_a_file_without_contents_may_take_64_mib_with_4_that_are_not_counted():
    budget = Budget()
    budget.spend(60 * MIB, "the elements of a cell")
    with pytest.raises(TruncatedFileError, match="the elements of a cell would take 1 bytes"):
        budget.spend(1, "the elements of a cell")


def test_each_byte_that_is_present_allows_eight():
    budget = Budget()
    budget.spend(60 * MIB, "numbers")
    budget.earn(3)
    budget.spend(24, "numbers")
    assert budget.left == 0


def test_what_is_refused_is_not_counted():
    budget = Budget()
    with pytest.raises(TruncatedFileError):
        budget.spend(2**62, "the elements of a cell")
    assert budget.left == 60 * MIB


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


def test_a_struct_without_fields_cannot_have_elements_that_no_bytes_stand_for(tmp_path: Path):
    path = tmp_path / "fields.mat"
    parts = element(5, struct.pack("<i", 8)), element(1, b"")
    path.write_bytes(level5_file(level5_matrix(2, (1, 2**20), *parts)))
    with pytest.raises(TruncatedFileError, match="the elements of cells and structs would take"):
        load(path)["x"]


def test_many_small_elements_are_never_refused(tmp_path: Path):
    path = tmp_path / "many.mat"
    empty = level5_matrix(6, (0, 0), element(9, b""), name="")
    number = level5_matrix(6, (1, 1), element(9, bytes(8)), name="")
    text = level5_matrix(4, (1, 1), element(16, b"a"), name="")
    cell = level5_matrix(1, (1, 300_000), (empty + number + text) * 100_000)
    path.write_bytes(level5_file(cell, compressed=True))
    found = load(path)["x"]
    assert found.shape == (1, 300_000)
    assert (found[0, -3].shape, found[0, -2].item(), found[0, -1]) == ((0, 0), 0.0, "a")


def test_arrays_of_no_objects_cost_what_they_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    parts = element(1, b"cls"), element(5, struct.pack("<i", 32)), element(1, b"")
    nobody = level5_matrix(3, (0, 2**31 - 1), *parts, name="")
    path = tmp_path / "objects.mat"
    path.write_bytes(level5_file(level5_matrix(1, (1, 6000), nobody * 6000), compressed=True))
    spent: list[int] = []
    monkeypatch.setattr(Budget, "spend", lambda _budget, nbytes, _what: spent.append(nbytes))
    tracemalloc.start()
    try:
        assert load(path)["x"].shape == (1, 6000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - 6 * len(nobody) * 6000 <= sum(spent) <= 3 * peak


def test_names_that_decode_alike_and_a_damaged_header_hide_no_variable(tmp_path: Path):
    path = tmp_path / "names.mat"
    names = [b"\xc3\xa9", b"\xe9"]  # an accented letter in UTF-8 and in Latin-1
    matrices = []
    for number, name in enumerate(names):
        data = element(9, struct.pack("<d", number))
        head = element(6, struct.pack("<2I", 6, 0)) + element(5, struct.pack("<2i", 1, 1)) + element(1, name)
        matrices.append(element(14, head + data))
    damaged = element(14, element(9, bytes(8)))
    path.write_bytes(level5_file(matrices[0], damaged, matrices[1]))
    found = load(path)
    assert list(found) == ["\xe9", "variable 2", "\xe9_2"]
    assert (found["\xe9"].item(), found["\xe9_2"].item()) == (0, 1)
    with pytest.raises(TruncatedFileError, match="variable 2"):
        found["variable 2"]
