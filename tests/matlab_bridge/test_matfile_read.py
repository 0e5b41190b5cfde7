"""Reading: the same values whatever the version, against files that SciPy, h5py or hand-made bytes are."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from matlab_bridge import LostObjectError, VariableNotFoundError
from matlab_bridge.matfile import CharArray, FunctionHandle, MatFile, MatlabObject, StructArray, info, load, save
from tests.matlab_bridge.matfiles import assert_same, element, level5_file, level5_matrix, opaque_marker

NUMERIC = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)] + ["float32", "float64"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.mat"


@pytest.mark.parametrize("dtype", [*NUMERIC, "bool", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (2, 1, 3), (0, 0), (0, 4)])
@pytest.mark.parametrize("compressed", [False, True])
def test_numeric_arrays_of_scipy(path, dtype, shape, compressed):
    values = (np.arange(np.prod(shape)) % 2).astype(dtype).reshape(shape)
    scipy.io.savemat(path, {"x": values}, do_compression=compressed)
    assert_same(load(path)["x"], values)


def test_values_can_be_written_to(path):
    scipy.io.savemat(path, {"x": np.eye(2), "c": np.array([[1, np.eye(1)]], dtype=object)})
    file = load(path)
    file["x"][0, 0] = 5
    file["c"][0, 1][0, 0] = 5
    assert file["x"][0, 0] == 5


def test_numbers_stored_narrower_than_their_class(path):
    path.write_bytes(level5_file(level5_matrix(6, (1, 3), element(2, bytes([7, 8, 9])))))
    assert_same(load(path)["x"], np.array([[7.0, 8.0, 9.0]]))


def test_big_endian(path):
    stored = np.array([[1, -2], [3, 4]], ">i4")
    data = element(5, stored.tobytes(order="F"), ">")
    path.write_bytes(level5_file(level5_matrix(12, (2, 2), data, order=">"), order=">"))
    assert_same(load(path)["x"], stored.astype(np.int32))


def test_complex_integers_become_complex_double(path):
    matrix = bytearray(level5_matrix(8, (1, 2), element(1, bytes([1, 2])), element(1, bytes([3, 4]))))
    matrix[17] = 0x08  # the flag of an imaginary part
    path.write_bytes(level5_file(bytes(matrix)))
    assert_same(load(path)["x"], np.array([[1 + 3j, 2 + 4j]]))


def test_text(path):
    scipy.io.savemat(path, {"row": "hello", "none": "", "matrix": np.array(["ab ", "cde"])})
    file = load(path)
    assert (file["row"], file["none"]) == ("hello", "")
    assert_same(file["matrix"], CharArray(["ab ", "cde"]))


@pytest.mark.parametrize(
    ("kind", "data", "length"),
    [
        (4, "aé中😀".encode("utf-16-le"), 5),
        (17, "aé中😀".encode("utf-16-le"), 5),
        (16, "aé中😀".encode(), 5),
        (18, "aé中😀".encode("utf-32-le"), 5),
        (2, "aé中😀".encode(), 10),  # a length that counts bytes
    ],
    ids=["uint16", "utf-16", "utf-8", "utf-32", "uint8"],
)
def test_encodings_of_text(path, kind, data, length):
    path.write_bytes(level5_file(level5_matrix(4, (1, length), element(kind, data))))
    assert load(path)["x"] == "aé中😀"


@pytest.mark.parametrize(("kind", "encoding"), [(1, "ascii"), (4, "utf-16-le"), (16, "utf-8"), (17, "utf-16-le")])
def test_text_of_several_rows_in_a_cell(path, kind, encoding):
    """MATLAB stores characters column by column, here "abc" above "def"; a row of the same letters is another value."""
    rows = level5_matrix(4, (2, 3), element(kind, "adbecf".encode(encoding)), name="")
    row = level5_matrix(4, (1, 6), element(kind, "adbecf".encode(encoding)), name="")
    none = level5_matrix(4, (0, 0), element(kind, b""), name="")
    path.write_bytes(level5_file(level5_matrix(1, (1, 3), rows, row, none)))
    found = load(path)["x"].ravel().tolist()
    assert [np.asarray(text).tolist() for text in found] == [["abc", "def"], "adbecf", ""]


def test_units_that_look_like_packed_bytes_of_utf8_are_units(path):
    units = np.array([0x61, 0xC3A9], "<u2")  # C3 A9 is "é" in UTF-8; Octave 7.3 reads U+C3A9
    path.write_bytes(level5_file(level5_matrix(4, (1, 2), element(4, units.tobytes()))))
    assert load(path)["x"] == "a\uc3a9"


def test_containers_of_scipy(path):
    struct = {"a": np.array([[1.0]]), "b": {"c": "text"}}
    array = np.zeros((1, 2), dtype=[("p", object), ("q", object)])
    array[0, 0], array[0, 1] = (np.eye(2), "one"), (np.zeros((0, 0)), "two")
    cell = np.array([[np.eye(2), "x"]], dtype=object)
    scipy.io.savemat(path, {"struct": struct, "array": array, "cell": cell})
    file = load(path)
    assert_same(file["struct"], struct)
    assert_same(file["cell"], cell)
    assert_same(
        file["array"],
        StructArray([[{"p": np.eye(2), "q": "one"}, {"p": np.zeros((0, 0)), "q": "two"}]], ("p", "q")),
    )


@pytest.mark.parametrize("version", ["4", "5"])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_sparse_of_scipy(path, version, dtype):
    dense = np.array([[0, 2, 0], [3, 0, 0]], dtype=dtype) * (1j if dtype is np.complex128 else 1)
    scipy.io.savemat(path, {"x": scipy.sparse.csc_array(dense)}, format=version)
    assert_same(load(path)["x"], scipy.sparse.csc_array(dense))


def test_sparse_logical_whose_tag_says_double(path):
    parts = [element(5, np.array(n, "<i4").tobytes()) for n in ([0, 1], [0, 1, 2])]
    matrix = bytearray(level5_matrix(5, (2, 2), *parts, element(9, bytes([1, 1]))))
    matrix[17] = 0x02  # the flag of a logical
    path.write_bytes(level5_file(bytes(matrix)))
    assert_same(load(path)["x"], scipy.sparse.csc_array(np.eye(2, dtype=bool)))


@pytest.mark.parametrize("order", ["<", ">"])
def test_version_4(path, order):
    variables = {"x": np.array([[1.5, 2]]), "z": np.array([[1 + 2j]]), "i": np.array([[3, 4]], np.int16)}
    scipy.io.savemat(path, variables | {"s": "text"}, format="4")
    if order == ">":
        path.write_bytes(_swapped_version_4(path.read_bytes()))
    file = load(path)
    assert_same(file["x"], variables["x"])
    assert_same(file["z"], variables["z"])
    assert_same(file["i"], np.array([[3.0, 4.0]]))  # version 4 has no classes of integers
    assert file["s"] == "text"


def _swapped_version_4(data: bytes) -> bytes:
    source, result = io.BytesIO(data), io.BytesIO()
    while head := source.read(20):
        kind, rows, columns, imaginary, length = np.frombuffer(head, "<i4").tolist()
        dtype = np.dtype("<" + ("f8", "f4", "i4", "i2", "u2", "u1")[kind // 10 % 10])
        result.write(np.array([kind + 1000, rows, columns, imaginary, length], ">i4").tobytes())
        result.write(source.read(length))
        numbers = np.frombuffer(source.read(rows * columns * dtype.itemsize * (1 + imaginary)), dtype)
        result.write(numbers.astype(dtype.newbyteorder(">")).tobytes())
    return result.getvalue()


def test_a_function_handle_is_its_text(path):
    fields = np.zeros((1, 1), dtype=[("function", object), ("type", object)])
    fields[0, 0] = ("sin", "simple")
    outer = np.zeros((1, 1), dtype=[("matlabroot", object), ("function_handle", object)])
    outer[0, 0] = ("C:/MATLAB", fields)
    scipy.io.savemat(path, {"x": outer}, do_compression=False)
    described = path.read_bytes()[128:]
    path.write_bytes(level5_file(level5_matrix(16, (1, 1), described)))
    assert load(path)["x"] == FunctionHandle("@sin")


def test_a_function_handle_may_hold_nothing(path):
    path.write_bytes(level5_file(level5_matrix(1, (1, 2), level5_matrix(16, (1, 1)), level5_matrix(16, (1, 1)))))
    assert load(path)["x"].tolist() == [[FunctionHandle(""), FunctionHandle("")]]


def test_an_object_of_the_older_kind(path):
    names = element(5, np.array([2], "<i4").tobytes()) + element(1, b"a\x00")
    value = level5_matrix(6, (1, 1), element(9, np.array([4.0]).tobytes()), name="")
    path.write_bytes(level5_file(level5_matrix(3, (1, 1), element(1, b"network"), names, value)))
    found = load(path)["x"]
    assert (found.class_name, found.old_style) == ("network", True)
    assert_same(found.properties, {"a": np.array([[4.0]])})


def test_a_lost_object_is_an_error_and_its_neighbours_are_not(path):
    number = level5_matrix(6, (1, 1), element(9, np.array([4.0]).tobytes()), name="y")
    path.write_bytes(level5_file(opaque_marker("SeriesNetwork", "net"), number))
    file = load(path)
    assert [str(variable) for variable in file.info.variables] == ["net: 1x1 SeriesNetwork", "y: 1x1 double"]
    assert_same(file["y"], np.array([[4.0]]))
    with pytest.raises(LostObjectError, match=r"x\.mat: cannot read the variable 'net'.*Save the variable again"):
        file["net"]


def test_an_object_that_is_not_of_matlab(path):
    java = opaque_marker("java.util.Date").replace(b"MCOS", b"java")
    path.write_bytes(level5_file(java))
    found = load(path)["x"]
    assert isinstance(found, MatlabObject)
    assert found.class_name == "java.util.Date"


def test_a_mapping_that_reads_what_is_asked_for(path, monkeypatch):
    scipy.io.savemat(path, {"first": np.eye(2), "second": "text"})
    file = load(path)
    monkeypatch.setattr(type(file._container), "read", lambda *_: pytest.fail("data was read"))
    assert list(file) == ["first", "second"]
    assert len(file) == 2
    assert "first" in file
    assert "third" not in file
    assert repr(file).splitlines()[1:] == ["  first: 2x2 double", "  second: 1x4 char"]


def test_a_variable_is_read_once(path):
    scipy.io.savemat(path, {"x": np.eye(2)})
    file = load(path)
    assert file["x"] is file["x"]


def test_a_name_that_is_not_there(path):
    scipy.io.savemat(path, {"x": 1.0, "y": 2.0})
    with pytest.raises(VariableNotFoundError, match=r"has no variable 'z'\. Its variables: x, y\."):
        load(path)["z"]


def test_info_of_every_version(path):
    scipy.io.savemat(path, {"x": np.eye(2)}, format="4")
    assert (info(path).version, info(path).created) == ("v4", "")
    path.write_bytes(level5_file(level5_matrix(9, (0, 3), element(2, b""))))
    found = info(path)
    assert (found.version, found.platform, found.created) == ("v7", "PCWIN64", "Mon Jan  2 03:04:05 2023")
    assert [(v.name, v.class_name, v.shape) for v in found.variables] == [("x", "uint8", (0, 3))]
    save(path, {"c": ["a", "b"]}, version="v7.3")
    assert (info(path).version, [str(v) for v in info(path).variables]) == ("v7.3", ["c: 2x1 cell"])


def test_info_reads_no_data(path):
    scipy.io.savemat(path, {"x": np.random.default_rng(0).random((300, 1000))}, do_compression=True)
    damaged = bytearray(path.read_bytes())
    damaged[-1000:] = bytes(1000)
    path.write_bytes(damaged)
    assert info(path).variables[0].shape == (300, 1000)


def test_a_path_may_be_text(path):
    scipy.io.savemat(path, {"x": 1.0})
    assert isinstance(load(str(path)), MatFile)
