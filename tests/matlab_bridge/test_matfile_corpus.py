"""Real files: every variable is read, or an error of ours says why; numbers are as SciPy and h5py do."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse

from matlab_bridge import LostObjectError
from matlab_bridge.matfile import (
    CategoricalArray,
    FunctionHandle,
    MatFile,
    MatlabObject,
    ObjectArray,
    StructArray,
    info,
    load,
)

pytestmark = pytest.mark.corpus

# What the catalogue calls the variables that are no objects, and the values that they are.
VALUES: dict[str, Any] = {
    "float64": np.ndarray,
    "float32": np.ndarray,
    "complex128": np.ndarray,
    "bool": np.ndarray,
    "object": np.ndarray | dict,  # a cell, or a struct without fields
    "string": np.ndarray,
    "timetable": pd.DataFrame,
    "table": pd.DataFrame,
    "coo_matrix": scipy.sparse.csc_array,
    **dict.fromkeys(("uint8", "int64"), np.ndarray),
}


def catalogue(corpus: Path) -> list[dict[str, Any]]:
    return json.loads((corpus / "catalogue.json").read_text(encoding="utf-8"))


def files(corpus: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    for entry in catalogue(corpus):
        yield entry, corpus / entry["file"]


def read(file: MatFile) -> tuple[dict[str, Any], list[LostObjectError]]:
    values, lost = {}, []
    for name in file:
        try:
            values[name] = file[name]
        except LostObjectError as error:
            lost.append(error)
    return values, lost


def test_every_variable_of_every_file(corpus):
    count = 0
    for entry, path in files(corpus):
        file = load(path)
        values, lost = read(file)
        assert bool(lost) == ("bildiriciEthem" in entry["file"]), entry["file"]
        assert set(entry["variables"]) <= set(file), entry["file"]
        for name, described in entry["variables"].items():
            if name in values:
                _assert_class(values[name], described.partition(":")[0], f"{entry['file']}: {name}")
        count += 1
    assert count == 267


def _assert_class(value: Any, described: str, where: str) -> None:
    if described in VALUES:
        # The catalogue calls cells and arrays of objects alike.
        assert isinstance(value, VALUES[described]), where
        if isinstance(value, np.ndarray) and described not in ("object", "string"):
            assert value.dtype == described, where
    elif described == "categorical":
        assert isinstance(value, pd.Categorical | CategoricalArray), where
    elif described == "struct":
        # mat-io, which the catalogue was made with, gives function handles as structs.
        assert isinstance(value, dict | StructArray | FunctionHandle), where
    elif described.startswith("<U"):
        assert isinstance(value, str) or value.dtype.kind == "U", where
    elif isinstance(value, MatlabObject | ObjectArray):
        assert value.class_name == described, where


def test_versions_and_dates(corpus):
    names = {"v7 (MAT 5)": "v7", "v7.3 (HDF5)": "v7.3", "v4": "v4"}
    for entry, path in files(corpus):
        found = info(path)
        assert found.version == names[entry["mat_version"]], entry["file"]
        if found.version != "v4":
            assert found.created == entry["created"], entry["file"]


def test_numbers_are_those_of_scipy_and_h5py(corpus):
    compared = 0
    for _, path in files(corpus):
        file = load(path)
        if file.info.version == "v7.3":
            compared += _compared_with_h5py(file, path)
        else:
            compared += _compared_with_scipy(file, path)
    assert compared > 400


def _compared_with_h5py(file: MatFile, path: Path) -> int:
    compared = 0
    with h5py.File(path) as stored:
        for variable in file.info.variables:
            item = stored[variable.name]
            is_numeric = variable.class_name in ("double", "single", "logical") and not variable.is_sparse
            if is_numeric and not variable.is_complex and "MATLAB_empty" not in item.attrs:
                np.testing.assert_array_equal(file[variable.name], item[()].T)
                compared += 1
    return compared


def _compared_with_scipy(file: MatFile, path: Path) -> int:
    with warnings.catch_warnings(action="ignore"):
        expected = scipy.io.loadmat(path, mat_dtype=True)
    compared = 0
    for variable in file.info.variables:
        wanted = expected.get(variable.name)
        if scipy.sparse.issparse(wanted):
            np.testing.assert_array_equal(file[variable.name].toarray(), wanted.toarray())
            compared += 1
        elif isinstance(wanted, np.ndarray) and wanted.dtype.kind in "fiucb" and variable.class_name != "char":
            assert file[variable.name].shape == wanted.shape == variable.shape
            np.testing.assert_array_equal(file[variable.name], wanted)
            compared += 1
        elif variable.class_name == "cell":
            compared += _compared_cells(file[variable.name], wanted)
    return compared


def _compared_cells(found: np.ndarray, expected: np.ndarray) -> int:
    assert found.shape == expected.shape
    compared = 0
    for index in np.ndindex(expected.shape):
        if isinstance(expected[index], np.ndarray) and expected[index].dtype.kind in "fiu":
            np.testing.assert_array_equal(found[index], expected[index])
            compared += 1
    return compared


def test_tables_are_those_of_mat_io(corpus):
    with warnings.catch_warnings(action="ignore"):
        import matio

        compared = 0
        for entry, path in files(corpus):
            if "bildiriciEthem" in entry["file"]:
                continue  # lost its objects
            file = load(path)
            tables = [v.name for v in file.info.variables if v.class_name in ("table", "timetable")]
            expected = matio.load_from_mat(path, variable_names=list(tables)) if tables else {}
            for name in tables:
                _compare_frames(file[name], expected[name])
                compared += 1
    assert compared > 20


def _compare_frames(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    assert found.index.name == expected.index.name
    if found.index.dtype.kind in "mM":
        np.testing.assert_array_equal(found.index.to_numpy(), expected.index.to_numpy().astype(found.index.dtype))
    for name in found.columns:
        if found[name].dtype.kind in "fiub":
            np.testing.assert_array_equal(found[name], expected[name])


def test_layers_have_their_own_classes(corpus):
    for entry, path in files(corpus):
        if not entry["layer_classes"]:
            continue
        values, lost = read(load(path))
        met: set[int] = set()
        found = {name.rpartition(".")[2] for value in values.values() for name in _classes(value, met)}
        assert lost or set(entry["layer_classes"]) <= found, entry["file"]


def _classes(value: Any, met: set[int]) -> Iterator[str]:
    if id(value) in met:
        return
    met.add(id(value))
    if isinstance(value, MatlabObject):
        yield value.class_name
        yield from _classes(value.properties, met)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _classes(part, met)
    elif isinstance(value, np.ndarray) and value.dtype == object:
        for part in value.flat:
            yield from _classes(part, met)
