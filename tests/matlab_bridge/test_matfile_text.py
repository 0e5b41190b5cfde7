"""Text in the bytes of other writers: values and names, v4, v5 and v7.3."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from matlab_bridge import MatFileError
from matlab_bridge.matfile import CharArray, load, save
from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._characters import decode_bytes, decode_characters, text_of, units_of

from .matfiles import element, level5_file, level5_matrix

INT8, UINT8, INT16, UINT16, INT32, UINT32, UTF8, UTF32 = 1, 2, 3, 4, 5, 6, 16, 18
TEXT = "20°C µ"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.mat"


def char(shape, kind, data):
    return level5_file(level5_matrix(4, shape, element(kind, data)))


@pytest.mark.parametrize("kind", [INT8, UINT8, UTF8])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_bytes_of_any_kind_are_utf8_or_else_latin1(path, kind, encoding):
    data = TEXT.encode(encoding)
    path.write_bytes(char((1, len(data)), kind, data))
    assert load(path)["x"] == TEXT


@pytest.mark.parametrize("kind", [INT8, UINT8, UTF8])
def test_rows_of_bytes_are_told_apart_from_utf8_by_their_number(path, kind):
    # The first column is C3 A9, "é" in UTF-8; with two rows of two they are four characters of Latin-1.
    path.write_bytes(char((2, 2), kind, bytes([0xC3, 0xA9, 0x61, 0x62])))
    assert load(path)["x"].tolist() == ["Ãa", "©b"]


@pytest.mark.parametrize(("kind", "code"), [(INT16, "<i2"), (INT32, "<i4"), (UINT32, "<u4"), (UTF32, "<u4")])
def test_wider_numbers_are_units_or_code_points(path, kind, code):
    path.write_bytes(char((1, 3), kind, np.array([0x61, 0xE9, 0x4E2D], code).tobytes()))
    assert load(path)["x"] == "aé中"


@pytest.mark.parametrize("number", [0x110000, 0xFFFFFFFF])
def test_numbers_that_are_no_code_points_are_an_error(path, number):
    path.write_bytes(char((1, 1), UTF32, struct.pack("<I", number)))
    with pytest.raises(MatFileError, match="no code points"):
        load(path)["x"]


def test_half_of_a_surrogate_pair_stays_what_it_is(path):
    path.write_bytes(char((1, 2), UINT16, struct.pack("<2H", 0xD800, 0x61)))
    assert load(path)["x"] == "\ud800a"


@given(st.lists(st.binary(min_size=1, max_size=12), min_size=2, max_size=2, unique=True))
def test_different_bytes_are_different_text_unless_one_is_utf8_of_the_other(pair):
    first, second = map(decode_bytes, pair)
    assert "\ufffd" not in first or b"\xef\xbf\xbd" in pair[0]
    if first == second:
        assert {first.encode(), first.encode("latin-1", "replace")} == set(pair)


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_code_points_units_and_bytes_give_the_same_text(text):
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    points = np.array([ord(character) for character in text], np.uint32)
    units = units_of(text)
    assert text_of(decode_characters(points, (1, points.size), Budget()), Budget()) == text
    assert text_of(decode_characters(units, (1, units.size), Budget()), Budget()) == text


def test_names_that_scipy_writes_as_latin1(path):
    scipy.io.savemat(path, {"ä": 1.0, "ö": 2.0, "größe": 3.0})
    file = load(path)
    assert list(file) == ["ä", "ö", "größe"]
    assert [variable.name for variable in file.info.variables] == ["ä", "ö", "größe"]
    assert file["größe"] == 3


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_names_and_text_of_version_4(path, encoding):
    name, text = "größe".encode(encoding), "Müller".encode(encoding)
    head = struct.pack("<5i", 51, 1, len(text), 0, len(name) + 1)
    path.write_bytes(head + name + b"\0" + text)
    assert dict(load(path)) == {"größe": "Müller"}


def with_char(path, stored, decode):
    save(path, {"x": 1.0}, version="v7.3")
    with h5py.File(path, "r+") as file:
        dataset = file.create_dataset("label", data=stored)
        dataset.attrs["MATLAB_class"], dataset.attrs["MATLAB_int_decode"] = np.bytes_("char"), np.int32(decode)
    return load(path)["label"]


def test_four_bytes_a_character_in_hdf5(path):
    row = np.array([[ord(character)] for character in "ok 😀"], np.uint32)
    assert with_char(path, row, 4) == "ok 😀"


def test_rows_of_four_bytes_a_character_in_hdf5(path):
    rows = np.array([[ord(character) for character in pair] for pair in ("a😀", "b中")], np.uint32).T
    assert with_char(path, rows, 4).tolist() == ["a😀", "b中"]
    assert isinstance(load(path)["label"], CharArray)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_bytes_in_hdf5(path, encoding):
    assert with_char(path, np.frombuffer(TEXT.encode(encoding), np.uint8)[:, np.newaxis], 1) == TEXT


def test_names_in_hdf5_that_are_not_utf8(path):
    save(path, {"x": 1.0}, version="v7.3")
    with h5py.File(path, "r+") as file:
        file[b"gr\xf6\xdfe"] = np.arange(2.0)
        file["länge"] = np.arange(3.0)
    assert {name: load(path)[name].size for name in load(path)} == {"x": 1, "größe": 2, "länge": 3}
