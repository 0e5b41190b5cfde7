"""Numbers of any kind, as they are written: sparse, masked, in lists, and as tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from matlab_bridge.matfile import load, save
from tests.matlab_bridge.matfiles import assert_same


def written(path: Path, value: Any, version: str) -> Any:
    save(path, {"x": value}, version=version)
    return load(path)["x"]


SPARSE = ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"]


@pytest.mark.parametrize("kind", [f"{name}_{form}" for name in SPARSE for form in ("array", "matrix")])
def test_every_sparse_form(path, version, kind):
    dense = np.array([[0, 1.5, 0], [2, 0, 0]])
    assert_same(written(path, getattr(scipy.sparse, kind)(dense), version), scipy.sparse.csc_array(dense))


def test_a_sparse_matrix_is_not_changed_by_writing_it(path, version):
    starts, rows = np.array([0, 3, 4]), np.array([2, 0, 2, 1])  # not sorted, and one place twice
    values = np.array([1.0, 2, 3, 4]), np.array([10.0, 0, 30, 40])
    shared = [scipy.sparse.csc_array((numbers, rows, starts), shape=(3, 2)) for numbers in values]
    expected = [
        np.array([[2.0, 0], [0, 4], [4, 0]]),
        np.array([[0.0, 0], [0, 40], [40, 0]]),
    ]
    save(path, {"a": shared[0], "b": shared[1]}, version=version)
    file = load(path)
    for name, matrix, dense in zip("ab", shared, expected, strict=True):
        np.testing.assert_array_equal(file[name].toarray(), dense)
        np.testing.assert_array_equal(matrix.toarray(), dense)
    assert rows.tolist() == [2, 0, 2, 1]
    assert [matrix.data.tolist() for matrix in shared] == [numbers.tolist() for numbers in values]
    assert file["b"].nnz == 2  # no zero is stored
    if version == "v7":
        np.testing.assert_array_equal(scipy.io.loadmat(path)["b"].toarray(), expected[1])


def test_a_sparse_matrix_that_is_read_only(path, version):
    parts = [np.array([1.0, 2, 3]), np.array([2, 0, 1]), np.array([0, 2, 3])]
    for part in parts:
        part.setflags(write=False)
    matrix = scipy.sparse.csc_array(tuple(parts), shape=(3, 2), copy=False)
    np.testing.assert_array_equal(written(path, matrix, version).toarray(), [[2, 0], [0, 3], [1, 0]])


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 2], np.array([[1.0, 2]])),
        ((1, 2.5, True), np.array([[1.0, 2.5, 1]])),
        ([True, False], np.array([[True, False]])),
        ([1j, 2], np.array([[1j, 2]])),
        ([np.int64(2**60 + 1), np.int64(3)], np.array([[2**60 + 1, 3]])),
        ([np.float32(1), np.float32(2)], np.array([[1, 2]], np.float32)),
        ([np.float32(1), 2], np.array([[1.0, 2]])),
        ([np.float16(1), np.float16(2)], np.array([[1, 2]], np.float32)),
    ],
)
def test_lists_of_numbers_are_rows(path, version, numbers, expected):
    assert_same(written(path, numbers, version), expected)


def test_what_is_masked_is_nan(path, version):
    masked = np.ma.masked_array([[1.0, 2.0]], [[True, False]])
    assert_same(written(path, masked, version), np.array([[np.nan, 2]]))
    assert masked.data.tolist() == [[1, 2]]
    whole = np.ma.masked_array([[1, 2]], False)
    assert_same(written(path, whole, version), np.array([[1, 2]]))


def test_tensors_and_variables_are_arrays(path, version):
    keras = pytest.importorskip("keras")
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert_same(written(path, keras.Variable(expected), version), expected)
    assert_same(written(path, keras.ops.convert_to_tensor(expected), version), expected)
    half = keras.ops.cast(keras.ops.convert_to_tensor(expected), "bfloat16")
    assert_same(written(path, half, version), expected)


def test_tensors_of_torch_and_jax_are_arrays(path, version):
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    learned = torch.nn.Parameter(torch.tensor(expected))
    assert_same(written(path, learned, version), expected)
    assert_same(written(path, learned.to(torch.bfloat16), version), expected)
    assert_same(written(path, jax.numpy.asarray(expected), version), expected)
    assert_same(written(path, jax.numpy.asarray(expected, jax.numpy.bfloat16), version), expected)
