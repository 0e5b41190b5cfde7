"""Writing: what `save` writes is what `load`, SciPy, mat-io and GNU Octave read."""

from __future__ import annotations

import datetime as dt
import string
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from matlab_bridge import UnwritableValueError
from matlab_bridge.matfile import (
    CategoricalArray,
    CharArray,
    Enumeration,
    FunctionHandle,
    Map,
    MatlabObject,
    StructArray,
    info,
    load,
    save,
)
from tests.matlab_bridge import octave
from tests.matlab_bridge.matfiles import assert_same

STRING = np.dtypes.StringDType()
DTYPES = ["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "c16"]


def cell(*elements: Any, shape: tuple[int, ...] = (-1, 1)) -> np.ndarray:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)


def written(path: Path, value: Any, version: str) -> Any:
    save(path, {"x": value}, version=version)
    return load(path)["x"]


WHAT_BECOMES_WHAT = {
    "None": (None, np.empty((0, 0))),
    "bool": (True, np.array([[True]])),
    "int": (3, np.array([[3.0]])),
    "float": (2.5, np.array([[2.5]])),
    "complex": (1 + 2j, np.array([[1 + 2j]])),
    "NumPy scalar": (np.int16(7), np.array([[7]], np.int16)),
    "a column of one axis": (np.array([1, 2], np.float32), np.array([[1], [2]], np.float32)),
    "half precision": (np.array([[0.5]], np.float16), np.array([[0.5]], np.float32)),
    "big endian": (np.array([[1, 2]], ">i4"), np.array([[1, 2]], np.int32)),
    "text": ("héllo 中 😀", "héllo 中 😀"),
    "no text": ("", ""),
    "list of text": (["a", "", "c"], cell("a", "", "c")),
    "texts with a NUL": (["a\0b", {"c": "\0"}], cell("a\0b", {"c": "\0"})),
    "array of text": (np.array([["a", "bb"]]), cell("a", "bb", shape=(1, 2))),
    "char matrix": (CharArray(["ab", "", "c 中😀"]), CharArray(["ab   ", "     ", "c 中😀"])),
    "char matrix of three dimensions": (CharArray([["a", "b"], ["c", "d"]]),) * 2,
    "a char matrix of one row": (CharArray(["abc"]), "abc"),
    "map": (Map({"b": 1, "a": "x"}), Map({"a": "x", "b": np.array([[1.0]])})),
    "map of numbers": (Map({3: "c", 1.5: None}), Map({1.5: np.empty((0, 0)), 3.0: "c"})),
    "empty map": (Map(),) * 2,
    "map of complex single": (Map({"z": np.array([[1 + 2j]], np.complex64)}),) * 2,
    "map in a map": (Map({"a": Map({"b": {"c": "d"}})}),) * 2,
    "four dimensions": (np.arange(120, dtype=np.int16).reshape(2, 3, 4, 5),) * 2,
    "list": ([1, "a", None], cell(np.array([[1.0]]), "a", np.empty((0, 0)))),
    "tuple": ((True,), np.array([[True]])),
    "tuple of texts and numbers": (("a", 1), cell("a", np.array([[1.0]]))),
    "empty list": ([], np.empty((0, 1), dtype=object)),
    "dict": ({"a": 1, "b": {"c": "d"}}, {"a": np.array([[1.0]]), "b": {"c": "d"}}),
    "empty dict": ({}, {}),
    "list of dict": ([{"a": "x"}, {"a": "y"}], StructArray([[{"a": "x"}], [{"a": "y"}]], ("a",))),
    "one dict in a list": ([{"a": "x"}], {"a": "x"}),
    "structured array": (
        np.array([(1, "x"), (2, "y")], dtype=[("n", "i4"), ("s", "U1")]),
        StructArray([[{"n": np.array([[n]], np.int32), "s": text}] for n, text in ((1, "x"), (2, "y"))], ("n", "s")),
    ),
    "empty struct array": (StructArray(np.empty((0, 3), object), ("a", "b")),) * 2,
    "struct array without fields": (StructArray(cell({}, {}, shape=(1, 2)), ()),) * 2,
    "strings": (np.array([["p", "中"], ["", "😀"]], STRING),) * 2,
    "no strings": (np.empty((0, 0), STRING),) * 2,
    "missing strings": (np.array([["p", np.nan]], np.dtypes.StringDType(na_object=np.nan)),) * 2,
    "categorical": (pd.Categorical(["b", None, "a"], pd.Index(["b", "a", "c"], dtype=object)),) * 2,
    "ordered categorical": (pd.Categorical(["b"], pd.Index(["b", "a"], dtype=object), ordered=True),) * 2,
    "empty categorical": (pd.Categorical([], pd.Index(["b"], dtype=object)),) * 2,
    "datetimes": (
        np.array([["2020-02-29T12:30:00.123456789", "NaT", "1960-01-01"]], "M8[ns]"),
        np.array([["2020-02-29T12:30:00.123456789", "NaT", "1960-01-01"]], "M8[ns]"),
    ),
    "days": (np.array([["2020-02-29"]], "M8[D]"), np.array([["2020-02-29"]], "M8[ns]")),
    "datetime": (dt.datetime(2020, 1, 2, 3), np.array([["2020-01-02T03"]], "M8[ns]")),
    "durations": (np.array([[1_500_000_001, 3]], "m8[ns]"),) * 2,
    "sparse": (
        scipy.sparse.csr_array(np.array([[0, 2.5], [1, 0]])),
        scipy.sparse.csc_array([[0, 2.5], [1, 0]]),
    ),
    "sparse logical": (scipy.sparse.csc_array(np.eye(2, dtype=bool)),) * 2,
    "sparse complex": (scipy.sparse.csc_array(np.eye(2) * 1j),) * 2,
    "sparse integers": (scipy.sparse.coo_matrix(np.eye(2, dtype=int)), scipy.sparse.csc_array(np.eye(2))),
    "nothing but zeros": (scipy.sparse.csc_array((3, 4)),) * 2,
    "series": (pd.Series([1, 2], dtype="int8"), np.array([[1], [2]], np.int8)),
}


@pytest.mark.parametrize("what", WHAT_BECOMES_WHAT)
def test_what_becomes_what(path, version, what):
    value, expected = WHAT_BECOMES_WHAT[what]
    assert_same(written(path, value, version), expected)


def test_a_categorical_of_two_dimensions(path, version):
    found = written(path, CategoricalArray(np.array([[0, 1], [2, 1]]), ("u", "v")), version)
    np.testing.assert_array_equal(found.codes, [[0, 1], [2, 1]])
    assert (found.categories, found.ordered) == (("u", "v"), False)


def test_an_object_of_the_older_kind(path, version):
    found = written(path, MatlabObject("network", {"a": 1.0, "b": "x"}, old_style=True), version)
    assert (found.class_name, found.old_style) == ("network", True)
    assert_same(found.properties, {"a": np.array([[1.0]]), "b": "x"})


FRAMES = {
    "every type": pd.DataFrame(
        {
            "number": [1.5, np.nan],
            "integer": np.array([1, 2], np.int8),
            "flag": [True, False],
            "text": pd.Series(["a", "b"], dtype=object),
            "string": pd.array(["c", None], dtype="string"),
            "category": pd.Categorical(["u", None], pd.Index(["u", "v"], dtype=object)),
            "time": np.array(["2020-01-01", "NaT"], "M8[ns]"),
            "wait": np.array([1500, 2], "m8[ns]"),
        }
    ),
    "row names": pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index(["first", "second"], dtype=object)),
    "no rows": pd.DataFrame({"x": np.empty(0), "s": pd.array([], dtype="string")}),
    "no columns": pd.DataFrame(index=pd.RangeIndex(3)),
    "times": pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index(np.array([1, 5], "M8[ns]"), name="Time")),
    "durations": pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index(np.array([1, 5], "m8[ns]"), name="When")),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_are_tables(path, version, kind):
    expected = FRAMES[kind].copy()
    expected.columns = pd.Index(list(expected.columns), dtype=expected.columns.dtype)
    found = written(path, expected, version)
    pd.testing.assert_frame_equal(found, expected, check_column_type=False)
    timed = kind in ("times", "durations")
    assert info(path).variables[0].class_name == ("timetable" if timed else "table")


ABOUT = {
    "units": {"speed": "m/s"},
    "descriptions": {"speed": "of the wheel", "load": "on the axle"},
    "description": "Run 3",
}


@pytest.mark.parametrize("index", [pd.RangeIndex(2), pd.Index(np.array([1, 5], "M8[ns]"), name="Time")])
@pytest.mark.parametrize("about", [ABOUT, {"units": ABOUT["units"]}, {"description": "Run 3"}, {}])
def test_units_and_descriptions_stay_with_a_table(path, version, index, about):
    table = pd.DataFrame({"speed": [1.0, 2.0], "load": [3.0, 4.0]}, index=index)
    table.attrs = about
    assert written(path, table, version).attrs == about


@pytest.mark.parametrize("index", [pd.RangeIndex(2), pd.Index(np.array([1, 5], "M8[ns]"), name="Time")])
def test_mat_io_reads_units_and_descriptions(path, version, index):
    table = pd.DataFrame({"speed": [1.0, 2.0], "load": [3.0, 4.0]}, index=index)
    table.attrs = ABOUT
    save(path, {"t": table}, version=version)
    with warnings.catch_warnings(action="ignore"):
        import matio

        found = matio.load_from_mat(path, add_table_attrs=True)["t"].attrs
    prefix = "var" if "varUnits" in found else "Variable"
    assert found[f"{prefix}Units"] == ["m/s", ""]
    assert found[f"{prefix}Descriptions"] == ["of the wheel", "on the axle"]
    assert found["Description"] == "Run 3"


def test_mat_io_reads_maps_and_char_matrices(path, version):
    save(path, {"m": Map({"b": 2.5, "a": "x"}), "n": Map({7: "y"}), "c": CharArray(["ab", "c"])}, version=version)
    with warnings.catch_warnings(action="ignore"):
        import matio

        found = matio.load_from_mat(path)
    assert {key: value.item() for key, value in found["m"].items()} == {"a": "x", "b": 2.5}
    assert {key: value.item() for key, value in found["n"].items()} == {7: "y"}
    assert found["c"].tolist() == ["ab", "c "]


def test_h5py_reads_what_was_written(path):
    values = {
        "images": np.arange(24, dtype=np.uint8).reshape(2, 3, 1, 4),
        "half_": np.array([[0.5, 1.5]], np.float32),
        "flag": np.array([[True, False]]),
        "wave": np.array([[-(2**15), 2**15 - 1]], np.int16),
    }
    save(path, {**values, "text": CharArray(["ab", "cd"])}, version="v7.3")
    with h5py.File(path) as file:
        for name, value in values.items():
            np.testing.assert_array_equal(file[name][()], value.T)  # HDF5 has the axes backwards
        classes = [file[name].attrs["MATLAB_class"].decode() for name in (*values, "text")]
        assert classes == ["uint8", "single", "logical", "int16", "char"]
        assert bytes(file["text"][()].T.astype(np.uint8)) == b"abcd"


def test_a_frame_of_plain_text_is_a_table_of_text(path, version):
    found = written(path, pd.DataFrame({"name": ["a", "b"]}), version)
    assert found["name"].tolist() == ["a", "b"]


def test_mat_io_reads_what_was_written(path, version):
    times, waits = np.array([[1_234_567, 5]], "M8[ns]"), np.array([[2_500_000_000, 5]], "m8[ns]")
    variables = {
        "c": pd.Categorical(["b", "a"]),
        "t": FRAMES["row names"],
        "z": np.array([[1 + 2j]], np.complex64),
        "s": np.array([["p", "中😀"]], STRING),
        "when": times,
        "wait": waits,
        "tt": FRAMES["times"],
    }
    save(path, variables, version=version)
    with warnings.catch_warnings(action="ignore"):
        import matio

        found = matio.load_from_mat(path)
    assert found["c"].ravel().tolist() == ["b", "a"]
    assert found["t"]["x"].to_dict() == {"first": 1.0, "second": 2.0}
    assert found["z"].item() == 1 + 2j
    assert found["s"].tolist() == [["p", "中😀"]]
    np.testing.assert_array_equal(found["when"], times)
    np.testing.assert_array_equal(found["wait"], waits)
    pd.testing.assert_frame_equal(found["tt"], FRAMES["times"], check_column_type=False)


def test_scipy_reads_what_was_written(path):
    values = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "z": np.array([[1 + 2j]], np.complex64)}
    save(path, {**values, "s": "text", "c": ["a", "b"], "d": {"a": 1}})
    found = scipy.io.loadmat(path)
    for name, value in values.items():
        assert_same(found[name], value)
    assert found["s"].item() == "text"
    assert [row.item() for row in found["c"].ravel()] == ["a", "b"]
    assert found["d"]["a"].item().item() == 1


@pytest.mark.octave
@pytest.mark.parametrize("compress", [False, True])
def test_octave_reads_what_was_written(path, compress):
    variables = {
        "row": "hello",
        "flag": True,
        "single_": np.array([[1.5, 2]], np.float32),
        "bytes_": np.array([[1, 2]], np.uint8),
        "z": np.array([[1 + 2j]]),
        "z32": np.array([[1 + 2j]], np.complex64),
        "cube": np.arange(24.0).reshape(2, 3, 4),
        "rows": CharArray(["ab", "c"]),
        "four": np.arange(120, dtype=np.int16).reshape(2, 3, 4, 5),
        "no_rows": np.empty((0, 3), np.float32),
        "no_cells": [],
        "no_text": "",
        "names": ["a", "bb"],
        "nothing": None,
        "s": {"a": 1, "b": {"c": "x"}},
        "many": [{"a": 1}, {"a": 2}],
        "sp": scipy.sparse.csc_array(np.array([[0, 2.0], [0, 0]])),
    }
    save(path, variables, compress=compress)
    octave.run(
        """
        load x.mat
        assert(row, 'hello'); assert(class(flag), 'logical'); assert(single_, single([1.5 2]));
        assert(class(bytes_), 'uint8'); assert(z, 1 + 2i); assert(z32, single(1 + 2i));
        assert(size(cube), [2 3 4]); assert(cube(2, 1, 3), 14);
        assert(rows, ['ab'; 'c ']); assert(class(four), 'int16'); assert(size(four), [2 3 4 5]);
        assert(four(2, 3, 1, 4), int16(60 + 2 * 20 + 3)); assert(size(no_rows), [0 3]);
        assert(class(no_rows), 'single');
        assert(iscell(no_cells) && isempty(no_cells)); assert(ischar(no_text) && isempty(no_text));
        assert(names, {'a'; 'bb'}); assert(size(nothing), [0 0]); assert(s.b.c, 'x');
        assert([many.a], [1 2]); assert(size(many), [2 1]);
        assert(issparse(sp)); assert(full(sp), [0 2; 0 0]);
        """,
        path.parent,
    )


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("2x", "'x2x' would do"),
        ("_x", "'x_x' would do"),
        ("a b", "'a_b' would do"),
        ("end", "a keyword of MATLAB; 'end_' would do"),
        ("x" * 64, "at most 63 characters"),
        ("é", "letters, digits and underscores"),
        ("", "'x' would do"),
        (3, "an? int; MATLAB's names are text"),
        ("x\n", "'x_' would do"),
    ],
)
def test_names_that_matlab_has_not(path, name, complaint):
    with pytest.raises(UnwritableValueError, match=complaint):
        save(path, {name: 1})
    with pytest.raises(UnwritableValueError, match=complaint):
        save(path, {"s": {"inner": {name: 1}}})
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (object(), "x.a is a object, for which there is no type"),
        (b"bytes", "x.a is a bytes"),
        ({1, 2}, "x.a is a set"),
        (np.array([b"a"]), r"x\.a is an array of dtype \|S1"),
        (2**53 + 1, "which no double equals"),
        ("\ud800", "not Unicode"),
        ([{"p": 1}, {"q": 2}], r"x\.a\(2, 1\) has the fields \['q'\]"),
        (MatlabObject("dlnetwork", {}), "an object of the class dlnetwork, which only MATLAB can write"),
        (FunctionHandle("@sin"), "x.a is the function handle @sin.*str2func"),
        (Enumeration("Color", np.array([["red"]])), "x.a is an enumeration of the class Color.*names of its members"),
        (CharArray(["a\x00b", "c"]), "a NUL character"),
        (Map({"a": 1, 2: 3}), r"keys are \['int', 'str'\]"),
        (Map({2**53 + 1: 3}), "which no double equals"),
        (Map({(1, 2): 3}), r"keys are \['tuple'\]"),
        (Map({"a": {1, 2}}), r"x\.a\('a'\) is a set"),
        (10**400, "of 1329 bits, which no double equals. Give it as text"),
        ([1, 2**53 + 1], r"x\.a\(2\) is the integer 9007199254740993"),
        (np.longdouble(1) + np.finfo(np.longdouble).eps, "wider than MATLAB's double"),
        (scipy.sparse.csc_array(np.array([[2**53 + 1]])), "x.a is the integer 9007199254740993"),
        (scipy.sparse.coo_array(np.array([[1.0]], np.longdouble) / 3), "wider than MATLAB's double"),
        (pd.DataFrame({"i": pd.array([2**60 + 1, None], "Int64")}), r"x\.a\.i is the integer 1152921504606846977"),
        (pd.DataFrame({"i": pd.array([2**64 - 1, None], "UInt64")}), r"np\.uint64\(18446744073709551615\)"),
        (Map({np.int64(2**60): 1, np.int64(2**60 + 1): 2}), "1152921504606846977, which no double equals"),
        (np.ma.masked_array([1, 2], [True, False]), r"masked array of int64.*filled\(0\)"),
        (pd.Categorical(np.array([1, "1"], dtype=object)), "rename_categories"),
        (pd.Categorical([""]), "rename_categories"),
        (pd.DataFrame({"Properties": [1]}), "keep for themselves; 'Properties_' would do"),
        (pd.DataFrame({"Row": [1]}), "named 'Row'"),
        (pd.DataFrame({"Time": [1]}, index=pd.to_datetime(["2024-01-01"])), "named 'Time'"),
        (pd.DataFrame({"x" * 64: [1]}), "1 to 63"),
        (pd.DataFrame({3: [1]}), "named 3, a int"),
        (pd.DataFrame({"a": [1, 2, 3]}, index=["r", np.nan, "s"]), "cannot name rows"),
        (pd.DataFrame({"a": [1, 2]}, index=["r", ""]), "cannot name rows"),
        (pd.DataFrame({"a": [1, 2]}, index=["r", "r"]), "cannot name rows"),
        (pd.DataFrame({"a": [1, 2]}, index=pd.Index([1, "1"], dtype=object)), "cannot name rows"),
        (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([("x", 1)])), "reset_index"),
        (pd.DataFrame([[1, 2]], columns=["p", "p"]), "two variables of the same name"),
        (pd.DataFrame({"p": [1]}, index=pd.date_range("2020", periods=1, tz="UTC")), "tz_localize"),
        (pd.Series(pd.date_range("2020", periods=1, tz="UTC")), "tz_localize"),
    ],
)
def test_values_that_matlab_has_not(path, value, complaint):
    with pytest.raises(UnwritableValueError, match=complaint):
        save(path, {"x": {"a": value}})
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("text", ["a\x00", "\x00", "\x00\x00b", "a\x00ü😀"])
def test_text_with_nul_characters(path, version, text):
    save(path, {"x": text, "c": [text, "b"], "s": {"f": text}}, version=version)
    file = load(path)
    assert (file["x"], file["s"]["f"], file["c"].tolist()) == (text, text, [[text], ["b"]])
    with warnings.catch_warnings(action="ignore"):
        import matio

        assert matio.load_from_mat(path)["x"].item() == text.rstrip("\x00")  # NumPy's strings end before NULs


def test_what_holds_itself(path, version):
    loop: dict[str, Any] = {}
    loop["self"] = loop
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    for value in (loop, deep):
        with pytest.raises(UnwritableValueError, match="'x' holds itself, or nests too deeply"):
            save(path, {"x": value}, version=version)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("keep", [[0, 2, 4], [0, 2, 3], [3, 4, 5], [5, 1]])
def test_positions_are_no_names_of_rows_whichever_are_left(path, version, keep):
    frame = pd.DataFrame({"a": np.arange(6.0)}).loc[keep]
    expected = frame.reset_index(drop=True)
    expected.columns = pd.Index(["a"], dtype=frame.columns.dtype)
    pd.testing.assert_frame_equal(written(path, frame, version), expected, check_column_type=False)


NAMES = ["max speed (m/s)", "Größe", "end", "x_1", "x 1", "2nd", "max_speed__m_s_"]


@pytest.mark.parametrize("index", [pd.RangeIndex(1), pd.Index(np.array([1], "M8[ns]"), name="Time")])
def test_names_of_variables_are_any_text(path, version, index):
    frame = pd.DataFrame([np.arange(len(NAMES), dtype=float)], columns=NAMES, index=index)
    assert list(written(path, frame, version).columns) == NAMES
    with warnings.catch_warnings(action="ignore"):
        import matio

        found = matio.load_from_mat(path)["x"]
    assert found.columns.tolist() == NAMES
    assert found.to_numpy().tolist() == frame.to_numpy().tolist()


def test_a_name_without_an_ending_gets_one(path):
    save(path.with_suffix(""), {"x": 1})
    assert [found.name for found in path.parent.iterdir()] == ["x.mat"]


def test_a_variable_over_2_gib_needs_version_7_3(path):
    huge = np.lib.stride_tricks.as_strided(np.zeros(1), (2**28 + 1, 1), (0, 0))  # takes no memory itself
    with pytest.raises(UnwritableValueError, match=r"x takes 2\.0 GiB.*version='v7\.3'"):
        save(path, {"x": huge})
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("version", ["v4", "v6", "", "vv7", "7.3 "])
def test_a_version_that_cannot_be_written(path, version):
    with pytest.raises(ValueError, match=rf"version is '{version}'; 'v7' and 'v7\.3' can be written"):
        save(path, {"x": 1}, version=version)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "written"),
    [("7", "v7"), ("v7", "v7"), ("-v7", "v7"), ("7.3", "v7.3"), ("v7.3", "v7.3"), ("-v7.3", "v7.3"), (7.3, "v7.3")],
)
def test_ways_to_say_a_version(path, said, written):
    save(path, {"x": 1}, version=said)
    assert info(path).version == written


def test_the_old_file_stays_when_writing_fails(path, version, monkeypatch):
    save(path, {"x": 1}, version=version)
    writer = "matlab_bridge.matfile._save._writers.MatSubsystem.set_subsystem"
    monkeypatch.setattr(writer, lambda self: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(path, {"x": 2}, version=version)
    assert_same(load(path)["x"], np.array([[1.0]]))
    assert [file.name for file in path.parent.iterdir()] == ["x.mat"]


def test_compression_makes_files_smaller(path, version):
    zeros = np.zeros((100, 1000))
    save(path, {"x": zeros}, version=version, compress=False)
    size = path.stat().st_size
    save(path, {"x": zeros}, version=version)
    assert path.stat().st_size < size / 50
    assert_same(load(path)["x"], zeros)


def test_a_struct_of_very_many_fields(path, version):
    # v7.3 keeps a list of names over 4 KiB apart from the struct.
    value = {f"field_with_a_rather_long_name_{i:03}": f"{i}" for i in reversed(range(200))}
    assert_same(written(path, value, version), value)


def names() -> st.SearchStrategy[str]:
    return st.text(string.ascii_lowercase, min_size=1, max_size=5).map(lambda name: name + "_")


def texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    return hnp.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=3)


def numbers() -> st.SearchStrategy[np.ndarray]:
    # v7.3 keeps of an array without elements its size and class, and complex is no class.
    arrays = st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, shapes()))
    # MATLAB has no axes of length one at the end beyond the second.
    return arrays.filter(lambda a: (a.size or a.dtype.kind != "c") and (a.ndim == 2 or a.shape[-1] != 1))


def strings() -> st.SearchStrategy[np.ndarray]:
    return st.lists(texts(), max_size=4).map(lambda found: np.array(found, STRING).reshape(1, -1))


def cells(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[np.ndarray]:
    return st.lists(elements, max_size=3).map(lambda found: cell(*found, shape=(1, -1)))


def struct_arrays(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[StructArray]:
    def build(fields: list[str], rows: list[list[Any]]) -> StructArray:
        return StructArray(cell(*(dict(zip(fields, row, strict=False)) for row in rows), shape=(1, -1)), tuple(fields))

    rows = st.lists(st.lists(elements, min_size=2, max_size=2), max_size=3).filter(lambda found: len(found) != 1)
    return st.builds(build, st.lists(names(), min_size=2, max_size=2, unique=True), rows)


def char_matrices() -> st.SearchStrategy[CharArray]:
    row = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00", max_codepoint=0xFFFF), max_size=4)
    rows = st.lists(row.map(lambda text: text.ljust(4)), min_size=2, max_size=3)
    return rows.map(CharArray)


def categoricals() -> st.SearchStrategy[pd.Categorical]:
    def build(categories: list[str], codes: list[int], ordered: bool) -> pd.Categorical:
        codes = [min(code, len(categories) - 1) for code in codes]
        return pd.Categorical.from_codes(codes, pd.Index(categories, dtype=object), ordered=ordered)

    names = texts().filter(lambda name: name not in ("", "<undefined>"))
    return st.builds(build, st.lists(names, min_size=1, unique=True), st.lists(st.integers(-1, 3)), st.booleans())


def instants(kind: str) -> st.SearchStrategy[np.ndarray]:
    # A double holds the milliseconds of a duration alone: 2^53 ns are exact whatever the remainder.
    ticks = st.integers(0, 2**40) if kind == "m8[ns]" else st.integers(-(2**62), 2**62)
    return hnp.arrays(np.int64, shapes(), elements=ticks).filter(_has_no_axis_too_many).map(lambda a: a.view(kind))


def _has_no_axis_too_many(array: np.ndarray) -> bool:
    return array.ndim == 2 or array.shape[-1] != 1


def frames() -> st.SearchStrategy[pd.DataFrame]:
    def build(columns: dict[str, list[float]], units: list[str], timed: bool) -> pd.DataFrame:
        index = pd.Index(np.arange(3).view("m8[ns]"), name="Time") if timed else pd.RangeIndex(3)
        frame = pd.DataFrame(columns, index=index)
        told = {name: unit for name, unit in zip(columns, units, strict=False) if unit}
        frame.attrs = {"units": told} if told else {}
        return frame

    column = st.lists(st.floats(width=32), min_size=3, max_size=3)
    return st.builds(build, st.dictionaries(names(), column, min_size=1, max_size=3), st.lists(texts()), st.booleans())


def maps(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Map]:
    return st.one_of(
        st.dictionaries(key, elements, max_size=3).map(lambda found: Map(sorted(found.items(), key=lambda p: p[0])))
        for key in (texts(), st.floats(allow_nan=False))
    )


VALUES = st.recursive(
    st.one_of(
        numbers(),
        texts(),
        strings(),
        char_matrices(),
        categoricals(),
        instants("M8[ns]"),
        instants("m8[ns]"),
        frames(),
    ),
    lambda inner: st.one_of(
        cells(inner), st.dictionaries(names(), inner, max_size=3), struct_arrays(inner), maps(inner)
    ),
    max_leaves=8,
)


# Hypothesis notes how it built each value, and frames in struct arrays have long notes.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("version", ["v7", "v7.3"])
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(variables=st.dictionaries(names(), VALUES, max_size=3), compress=st.booleans())
def test_values_survive_the_round_trip(tmp_path, version, variables, compress):
    path = tmp_path / "x.mat"
    save(path, variables, version=version, compress=compress)
    found = load(path)
    assert set(found) == set(variables)
    for name, value in variables.items():
        assert_same(found[name], value)
