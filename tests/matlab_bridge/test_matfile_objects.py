"""Objects: every element of an array with its own class, references followed once, enumerations."""

from __future__ import annotations

import subprocess
import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matlab_bridge import MatFileError, TruncatedFileError
from matlab_bridge.matfile import Enumeration, FunctionHandle, MatlabObject, ObjectArray, info, load
from matlab_bridge.matfile._save._matio import MatlabOpaque
from matlab_bridge.matfile._save._writers import write_level5, write_level73
from tests.matlab_bridge.matfiles import assert_same

with warnings.catch_warnings(action="ignore"):
    from matio.utils.matclass import MatlabEnumerationArray, MatlabOpaqueArray

ROOT = "nnet.cnn.layer.Layer"
CLASSES = ["nnet.cnn.layer.ReLULayer", "nnet.cnn.layer.SoftmaxLayer", "UserLayer"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.mat"


@pytest.fixture(params=[write_level5, write_level73], ids=["v7", "v7.3"])
def write(request: pytest.FixtureRequest, path: Path) -> Any:
    return lambda forms: request.param(path, forms, compress=True)


def layers() -> MatlabOpaqueArray:
    """An array of layers of several classes, as a network has it."""
    array = np.empty((len(CLASSES), 1), dtype=object)
    for i, class_name in enumerate(CLASSES):
        array[i, 0] = MatlabOpaque({"Name": np.array([f"layer{i}"])}, class_name)
    return MatlabOpaqueArray(array, ROOT)


def test_every_element_has_its_own_class(path, write):
    write({"layers": layers()})
    found = load(path)["layers"]
    assert isinstance(found, ObjectArray)
    assert found.shape == (3, 1)
    assert [layer.class_name for layer in found.flat] == CLASSES
    assert [layer.properties["Name"] for layer in found.flat] == ["layer0", "layer1", "layer2"]


def test_several_objects_in_one_file(path, write):
    first, second = (MatlabOpaque({"Value": np.array([[float(n)]])}, f"Class{n}") for n in (1, 2))
    write({"one": first, "two": second, "both": np.array([[first, second]], dtype=object)})
    file = load(path)
    assert [str(variable) for variable in info(path).variables if variable.name != "both"] == [
        "one: 1x1 Class1",
        "two: 1x1 Class2",
    ]
    assert_same(file["one"].properties, {"Value": np.array([[1.0]])})
    assert_same(file["two"].properties, {"Value": np.array([[2.0]])})
    assert file["both"][0, 1] is file["two"]


def test_objects_within_objects(path, write):
    inner = MatlabOpaque({"Value": np.array([["x"]])}, "Inner")
    within = np.zeros((1, 1), dtype=[("field", object)])
    within[0, 0]["field"] = inner
    write({"x": MatlabOpaque({"any": within, "again": inner}, "Outer")})
    found = load(path)["x"]
    assert found.fields["field"].class_name == "Inner"
    assert found.fields["field"] is found.fields["again"]


def test_a_deleted_object_has_no_properties(path, write):
    write({"x": MatlabOpaque(None, "Handle"), "y": MatlabOpaque({"Value": np.array([[1.0]])}, "Other")})
    assert load(path)["x"] == MatlabObject("Handle", {})


def test_an_object_that_cannot_be_read_is_an_error_every_time(path, write):
    broken = np.array([[9, 2, 1, 1]], np.uint64)  # codes without categories
    write({"x": MatlabOpaque({"codes": broken}, "categorical")})
    file = load(path)
    for _ in range(2):
        with pytest.raises(TruncatedFileError, match=r"cannot read the variable 'x'.*KeyError: 'categoryNames'"):
            file["x"]


def test_objects_stored_in_an_unknown_way(path):
    write_level5(path, {"x": MatlabOpaque({"Value": np.array([[1.0]])}, "Class1")}, compress=False)
    content = path.read_bytes()
    tables = content.index(b"Value\x00") - 40  # the table of names follows ten integers, the first the version
    assert content[tables : tables + 4] == bytes([4, 0, 0, 0])
    path.write_bytes(content[:tables] + bytes([9, 0, 0, 0]) + content[tables + 4 :])
    with pytest.raises(MatFileError, match=r"stored in version 9 of their tables; known are 2 to 4"):
        load(path)["x"]


def test_an_array_of_no_objects(path, write):
    write({"x": MatlabOpaque((0, 0), "Empty")})
    found = load(path)["x"]
    assert isinstance(found, ObjectArray)
    assert (found.shape, found.class_name) == ((0, 0), "Empty")


def test_an_enumeration(path, write):
    color = Enum("Color", {"Red": {"Color.Value": np.array([[1.0]])}, "Blue": {"Color.Value": np.array([[2.0]])}})
    array = np.array([[color.Red, color.Blue, color.Red]], dtype=object)
    write({"x": MatlabEnumerationArray(array, "Color")})
    found = load(path)["x"]
    assert isinstance(found, Enumeration)
    assert found.class_name == "Color"
    assert found.names.tolist() == [["Red", "Blue", "Red"]]


def test_a_function_handle_among_properties(path, write):
    described = np.zeros((1, 1), dtype=[("function", object), ("type", object)])
    described[0, 0] = (np.array(["sf%4@(x)2*x"]), np.array(["anonymous"]))
    outer = np.zeros((1, 1), dtype=[("function_handle", object)])
    outer[0, 0]["function_handle"] = described
    handle = np.empty((2, 1), dtype=object)
    handle[:, 0] = [np.array([[0xDD000000]], np.uint32), outer]
    write({"x": MatlabOpaque({"PredictFcn": handle}, "FunctionLayer")})
    assert load(path)["x"].properties == {"PredictFcn": FunctionHandle("@(x)2*x")}


def test_numbers_that_look_like_a_marker_are_numbers(path, write):
    numbers = np.array([[0xDD000000], [2], [1], [1], [1], [1]], np.uint32)
    write({"x": numbers})
    assert_same(load(path)["x"], numbers)


def test_the_fields_of_an_object_show_what_its_saveobj_returned():
    found = MatlabObject("dlnetwork", {"any": {"Layers": 1}, "Outer": 2})
    assert found.fields == {"any": {"Layers": 1}, "Outer": 2, "Layers": 1}


def test_reading_imports_no_framework(path, write):
    write({"x": MatlabOpaque({"Value": np.array([[1.0]])}, "Class1")})
    code = (
        "import sys, matlab_bridge.matfile as m\n"
        f"m.info({str(path)!r})\n"
        "heavy = {'keras', 'tensorflow', 'torch', 'jax', 'pandas', 'matio'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        f"m.load({str(path)!r})['x']\n"
        "assert not {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mat_io_leaves_the_options_of_pandas_alone():
    code = (
        "import warnings, pandas as pd\n"
        "warnings.simplefilter('ignore')\n"
        "before = pd.get_option('future.infer_string')\n"
        "pd.set_option('future.infer_string', not before)\n"
        "import matlab_bridge.matfile._save._matio\n"
        "assert pd.get_option('future.infer_string') is not before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
