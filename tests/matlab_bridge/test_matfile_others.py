"""Files of other writers: vectors of one axis, arrays added by h5py, variables that cannot be read, odd headers."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest

from matlab_bridge import LostObjectError, MatFileError, TruncatedFileError
from matlab_bridge.matfile import info, load, save

from .matfiles import element, level5_file, level5_matrix

DOUBLE, CHAR, CELL = 6, 4, 1


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.mat"


@pytest.mark.parametrize(("stored", "shape"), [((), (1, 1)), ((4,), (4, 1)), ((1, 4), (1, 4))])
def test_sizes_of_fewer_than_two_axes_in_level_5(path, stored, shape):
    values = np.arange(4.0)[: int(np.prod(stored))]
    path.write_bytes(level5_file(level5_matrix(DOUBLE, stored, element(9, values.tobytes()))))
    assert load(path)["x"].shape == info(path).variables[0].shape == shape
    assert load(path)["x"].ravel().tolist() == values.tolist()


def test_text_and_cells_of_one_axis_in_level_5(path):
    text = level5_matrix(CHAR, (2,), element(16, b"hi"), name="")
    path.write_bytes(level5_file(level5_matrix(CELL, (2,), text, text)))
    assert load(path)["x"].tolist() == [["hi"], ["hi"]]


def added(path, add, libver="earliest"):
    """A file of ours with a dataset or group `bad` that h5py put beside `X`."""
    save(path, {"X": np.eye(2)}, version="v7.3")
    with h5py.File(path, "r+", libver=libver) as file:
        add(file)
    return load(path)


def marked(file, values, **attributes):
    dataset = file.create_dataset("bad", data=values)
    for name, value in attributes.items():
        dataset.attrs[name] = np.bytes_(value) if isinstance(value, str) else value


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("attributes", [{}, {"MATLAB_class": "double"}])
@pytest.mark.parametrize(("values", "shape"), [(np.array(3.0), (1, 1)), (np.arange(3.0), (3, 1))])
def test_arrays_of_fewer_than_two_axes_in_hdf5(path, libver, attributes, values, shape):
    file = added(path, lambda hdf5: marked(hdf5, values, **attributes), libver)
    assert file["bad"].shape == shape
    assert file["bad"].ravel().tolist() == values.ravel().tolist()
    assert [(each.class_name, each.shape) for each in file.info.variables if each.name == "bad"] == [("double", shape)]


@pytest.mark.parametrize("code", ["<f8", ">f8", "<f4", "<i8", "<u2", "|i1"])
def test_numbers_without_a_class_are_of_the_class_of_their_type(path, code):
    file = added(path, lambda hdf5: marked(hdf5, np.arange(6, dtype=code).reshape(2, 3)))
    assert file["bad"].dtype == np.dtype(code).newbyteorder("=")
    assert file["bad"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_groups_without_a_class_are_structs(path):
    file = added(path, lambda hdf5: hdf5.create_group("bad").create_dataset("q", data=np.arange(2.0)))
    assert file["bad"]["q"].tolist() == [[0], [1]]


def test_text_of_one_axis_in_hdf5(path):
    units = np.array([104, 105], np.uint16)
    assert added(path, lambda hdf5: marked(hdf5, units, MATLAB_class="char", MATLAB_int_decode=2))["bad"] == "hi"


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize(
    "values",
    [
        "text",
        np.zeros(3, [("a", "f8"), ("b", "i4")]),
        h5py.Empty("f8"),
        np.arange(3, dtype="f2"),
        np.array([b"ab", b"c"]),
        np.zeros(3, "V5"),
    ],
    ids=["text", "compound", "empty", "half", "bytes", "opaque"],
)
def test_a_variable_of_an_unknown_kind_hides_no_other(path, libver, values):
    file = added(path, lambda hdf5: marked(hdf5, values), libver)
    assert list(file) == ["X", "bad"]
    assert [str(variable).split()[0] for variable in file.info.variables] == ["X:", "bad:"]
    assert file["X"].tolist() == np.eye(2).tolist()
    with pytest.raises(MatFileError, match="'bad'"):
        file["bad"]


def test_a_struct_without_the_data_of_a_field_has_the_others(path):
    save(path, {"result": {"name": "abc", "raw": np.ones((4, 4)), "rate": 2.0}}, version="v7.3")
    with h5py.File(path, "r+") as file:
        del file["result/raw"]
    assert load(path)["result"] == {"name": "abc", "rate": 2.0}


def with_header(path, unused, *, size=None):
    save(path, {"x": np.eye(2)})
    content = bytearray(path.read_bytes())
    content[116:124] = unused
    path.write_bytes(content[:size])


@pytest.mark.parametrize("unused", [b"\0" * 8, b" " * 8, b"by me 12", b"on\0\0\0\0\0\0", b"PCWIN64\0"])
def test_a_header_whose_unused_bytes_hold_text(path, unused):
    with_header(path, unused)
    assert load(path)["x"].tolist() == np.eye(2).tolist()


def test_a_header_whose_objects_lie_behind_the_end_is_an_error(path):
    with_header(path, struct.pack("<Q", 100_000))
    with pytest.raises(TruncatedFileError, match="100000"):
        load(path)


def test_objects_whose_contents_are_gone_hide_no_other(path):
    save(path, {"t": np.array(["a"], dtype=np.dtypes.StringDType()), "x": np.eye(2)})
    content = bytearray(path.read_bytes())
    content[116:124] = b"\0" * 8
    path.write_bytes(content)
    assert load(path)["x"].tolist() == np.eye(2).tolist()
    with pytest.raises(LostObjectError):
        load(path)["t"]
