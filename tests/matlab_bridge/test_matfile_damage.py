"""Files that are cut short, damaged, or no MAT-files at all: always one of our own errors, in words."""

from __future__ import annotations

import contextlib
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse

from matlab_bridge import BridgeError, NotAMatFileError, TruncatedFileError
from matlab_bridge.matfile import StructArray, info, load, save
from tests.matlab_bridge.matfiles import element, level5_file, level5_matrix

VERSIONS = ["v4", "v7", "v7 uncompressed", "v7.3"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.mat"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small file of each version with values of many types."""
    folder = tmp_path_factory.mktemp("whole")
    sparse = scipy.sparse.csc_array(np.eye(3))
    values = {
        "text": "héllo",
        "numbers": np.arange(40, dtype=np.float32).reshape(5, 8),
        "cell": ["a", [1.0, "b"], None],
        "struct": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        "sparse": sparse,
        "table": pd.DataFrame({"x": [1.0, 2.0], "c": pd.Categorical(["u", None])}),
        "strings": np.array(["one", "two"], dtype=np.dtypes.StringDType()),
    }
    scipy.io.savemat(folder / "v4.mat", {"x": np.eye(3), "s": "hello", "p": sparse}, format="4")
    save(folder / "v7.mat", values)
    save(folder / "v7 uncompressed.mat", values, compress=False)
    save(folder / "v7.3.mat", values, version="v7.3")
    return {version: (folder / f"{version}.mat").read_bytes() for version in VERSIONS}


def read_everything(path: Path) -> None:
    file = load(path)
    for name in file:
        file[name]


@pytest.mark.parametrize("version", VERSIONS)
def test_cut_short_at_many_places(files, path, version):
    whole = files[version]
    # Objects come last in v7, and an HDF5 file knows its length: no cut goes unnoticed. A v4 file is a row of
    # matrices that says nowhere how many there are, so that a cut between two is no damage.
    boundaries = {20 + 2 + 72, 20 + 2 + 72 + 20 + 2 + 5} if version == "v4" else set()
    step = 1 if len(whole) < 500 else len(whole) // 120
    for cut in set(range(0, len(whole), step)) - boundaries:
        path.write_bytes(whole[:cut])
        with pytest.raises((TruncatedFileError, NotAMatFileError), match=r"x\.mat"):
            read_everything(path)


@pytest.mark.parametrize("version", VERSIONS)
def test_bytes_that_are_wrong(files, path, version):
    chance = np.random.default_rng(1)
    for _ in range(100):
        damaged = bytearray(files[version])
        for position in chance.integers(len(damaged), size=chance.integers(1, 5)):
            damaged[position] = chance.choice([0, 0x7F, 0xFF, chance.integers(256)])
        path.write_bytes(damaged)
        try:
            read_everything(path)
        except BridgeError as error:
            assert "x.mat" in str(error)  # noqa: PT017  # values that are wrong but possible raise nothing


HUGE = 2**31 - 1


@pytest.mark.parametrize(
    "matrix",
    [
        level5_matrix(6, (HUGE, HUGE), element(9, bytes(8))),
        level5_matrix(1, (HUGE, HUGE)),
        level5_matrix(2, (HUGE, 1), element(5, bytes([1, 0, 0, 0])), element(1, b"a")),
        level5_matrix(4, (HUGE, HUGE), element(4, bytes(8))),
        level5_matrix(5, (HUGE, HUGE), element(5, bytes(4)), element(5, bytes(4)), element(9, bytes(8))),
        level5_matrix(6, (2, 2), struct.pack("<2I", 9, 2**32 - 1)),
    ],
    ids=["double", "cell", "struct", "char", "sparse", "element"],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_wrong_size_allocates_nothing(path, matrix, compressed):
    path.write_bytes(level5_file(matrix, compressed=compressed))
    with pytest.raises(TruncatedFileError, match="cannot read the variable 'x'"):
        load(path)["x"]


@pytest.mark.parametrize("compressed", [False, True])
def test_an_element_ends_within_the_one_around_it(path, compressed):
    """Its stated size reaches into what follows, where numbers of another value lie."""
    numbers = element(9, np.arange(4.0).tobytes())
    short = level5_matrix(6, (1, 4), numbers)
    inner = bytearray(short[: len(short) - 16])
    struct.pack_into("<I", inner, 4, len(inner) - 8)  # the matrix has two of its four numbers
    cell = level5_matrix(1, (1, 2), bytes(inner), level5_matrix(6, (1, 2), element(9, bytes(16))))
    path.write_bytes(level5_file(cell, compressed=compressed))
    with pytest.raises(TruncatedFileError, match="32 bytes are needed where 16 are left"):
        load(path)["x"]


@pytest.mark.parametrize("count", [1, 2, 4, 40])
@pytest.mark.parametrize("others", [0, 20])
def test_numbers_in_a_cell_that_are_not_as_many_as_their_size_says(path, count, others):
    """Alone and among others of the same layout, which are read together."""
    wrong = level5_matrix(6, (1, 3), element(9, bytes(8 * count)), name="")
    right = level5_matrix(6, (1, 3), element(9, bytes(24)), name="")
    path.write_bytes(level5_file(level5_matrix(1, (1, others + 1), *[right] * others, wrong)))
    with pytest.raises(TruncatedFileError, match=f"a matrix of 3 elements has {8 * count} bytes instead of 24"):
        load(path)["x"]


def test_empty_arrays_of_any_length_in_a_cell(path):
    """A length of 2^27 no longer fits into the number that tells layouts apart."""
    shapes = [(2**27, 0), (0, 0), (0, 2**27), (0, 2**30), (2**30, 0), (1, 0), (2**26, 0)]
    kinds = [2, 3, 2, 3, 4, 5, 3]  # how the numbers are stored, if there were any
    parts = [level5_matrix(6, shape, element(kind, b""), name="") for shape, kind in zip(shapes, kinds, strict=True)]
    path.write_bytes(level5_file(level5_matrix(1, (1, len(parts)), *parts)))
    assert [each.shape for each in load(path)["x"].ravel()] == shapes


@pytest.mark.parametrize(("axes", "is_read"), [(2, True), (63, True), (64, True), (65, False)])
def test_as_many_axes_as_numpy_has(path, axes, is_read):
    path.write_bytes(level5_file(level5_matrix(6, (3,) + (1,) * (axes - 1), element(9, bytes(24)))))
    file = load(path)
    (name,) = file
    if is_read:
        assert file[name].shape == (3,) + (1,) * (axes - 1)
    else:
        with pytest.raises(TruncatedFileError, match="at most 64 integers were expected, and 65 of kind 5 found"):
            file[name]


@pytest.mark.parametrize(
    "matrix",
    [
        level5_matrix(2, (HUGE, HUGE), element(5, bytes([1, 0, 0, 0])), element(1, b"")),
        level5_matrix(4, (HUGE, 0), element(4, b"")),
        level5_matrix(4, (2, 0, HUGE), element(4, b"")),
    ],
    ids=["struct without fields", "char without columns", "char of many pages"],
)
def test_a_size_that_no_bytes_stand_for_allocates_nothing(path, matrix):
    path.write_bytes(level5_file(matrix))
    value = None
    with contextlib.suppress(TruncatedFileError):
        value = load(path)["x"]
    assert value is None or value == ""


@pytest.mark.parametrize("value", [np.empty((0, 3)), [], StructArray(np.empty((0, 3), object), ("a",))])
def test_an_empty_array_of_hdf5_with_a_size(path, value):
    save(path, {"x": value}, version="v7.3")
    with h5py.File(path, "r+") as file:
        file["x"][...] = 2**31
    with pytest.raises(TruncatedFileError, match=r"of size|the size \("):
        load(path)["x"]


def test_very_many_rows_of_no_text_in_hdf5(path):
    save(path, {"x": ""}, version="v7.3")
    with h5py.File(path, "r+") as file:
        file["x"][...] = [2**40, 0]
    with pytest.raises(TruncatedFileError, match="rows of text would take"):
        load(path)["x"]


@pytest.mark.parametrize("kind", [0, 8, 10, 11, 21, 50, 200, 5000, 60000])
def test_an_unknown_kind_of_element_does_not_end_the_process(path, kind):
    path.write_bytes(level5_file(level5_matrix(6, (1, 1), element(kind, bytes(8)))))
    with pytest.raises(TruncatedFileError, match=f"an element of kind {kind} found"):
        load(path)["x"]


@pytest.mark.parametrize("kind", [7, 9, 12, 13])
def test_characters_are_whole_numbers_of_32_bits_at_most(path, kind):
    path.write_bytes(level5_file(level5_matrix(4, (1, 2), element(kind, bytes(16)))))
    with pytest.raises(TruncatedFileError, match=f"characters were expected, and an element of kind {kind} found"):
        load(path)["x"]


def test_a_wrong_size_in_hdf5_allocates_nothing(path):
    save(path, {"x": np.eye(2)}, version="v7.3")
    with h5py.File(path, "r+") as file:
        attributes = dict(file["x"].attrs)
        del file["x"]
        file.create_dataset("x", shape=(2**20, 2**20), dtype="f8", chunks=(64, 64)).attrs.update(attributes)
    with pytest.raises(TruncatedFileError, match="which the file cannot hold"):
        load(path)["x"]


@pytest.mark.parametrize("rows", [[5, 1], [-1, 1]], ids=["beyond", "negative"])
def test_sparse_indices_outside_the_matrix(path, rows):
    parts = [element(5, np.array(n, "<i4").tobytes()) for n in (rows, [0, 1, 2])]
    path.write_bytes(level5_file(level5_matrix(5, (2, 2), *parts, element(9, bytes(16)))))
    with pytest.raises(TruncatedFileError, match="row indices"):
        load(path)["x"]


@pytest.mark.parametrize(
    ("shape", "starts"), [((2, 2), [0, 1]), ((2, 2), []), ((2, 2, 1), [0, 1, 2])], ids=["too few", "none", "three axes"]
)
def test_column_starts_that_do_not_fit_the_size_of_a_sparse_matrix(path, shape, starts):
    parts = [element(5, np.array(n, "<i4").tobytes()) for n in ([0, 1], starts)]
    path.write_bytes(level5_file(level5_matrix(5, shape, *parts, element(9, bytes(16)))))
    with pytest.raises(TruncatedFileError, match=rf"size \({shape[0]}, .* has {len(starts)} column starts"):
        load(path)["x"]


def test_a_deflated_stream_that_does_not_inflate(path):
    path.write_bytes(level5_file(struct.pack("<2I", 15, 40) + b"\x78\x9c" + b"\xff" * 38))
    with pytest.raises(TruncatedFileError, match="cannot read the variable 'variable 1'"):
        load(path)["variable 1"]


@pytest.mark.parametrize(("depth", "is_read"), [(200, True), (201, False), (3000, False)])
def test_cells_are_read_when_nested_up_to_200_deep(path, depth, is_read):
    matrix = level5_matrix(6, (1, 1), element(9, struct.pack("<d", 5)), name="")
    for _ in range(depth):
        matrix = level5_matrix(1, (1, 1), matrix)
    path.write_bytes(level5_file(matrix))
    if not is_read:
        with pytest.raises(TruncatedFileError, match="nested more than 200 deep"):
            load(path)["x"]
        return
    value = load(path)["x"]
    for _ in range(depth):
        value = value[0, 0]
    assert value.item() == 5


LOOKS = {
    "text": (b"x = 3;\ny = 4;\n" * 20, "text, beginning 'x = 3;'"),
    "YAML": (b"%YAML 1.1\n%TAG !u! tag:unity3d.com,2011:\n" * 9, "a YAML document"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(200), "a PNG image"),
    "LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "a Git LFS pointer.*git lfs pull",
    ),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(200), "a NumPy .npy array"),
    "web page": (b"<!DOCTYPE html><html>" + b" " * 200, "a web page"),
    "bytes": (bytes(range(128, 256)) * 3, "binary data of an unknown kind"),
    "Octave": (b"# Created by Octave 7.3.0, Mon\n# name: x\n" * 9, "Octave's own text format"),
    "nothing": (b"", r"is empty \(0 bytes\)"),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("reader", [load, info])
def test_what_a_file_looks_like_that_is_no_mat_file(path, look, reader):
    content, description = LOOKS[look]
    path.write_bytes(content)
    with pytest.raises(NotAMatFileError, match=description):
        reader(path)


def test_a_zip_archive(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}" * 200)
    with pytest.raises(NotAMatFileError, match="a zip archive"):
        load(path)


def test_hdf5_without_a_header_of_matlab(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.eye(2)
    with pytest.raises(NotAMatFileError, match="an HDF5 file without MATLAB's header"):
        load(path)


def test_an_unknown_version(path):
    content = bytearray(level5_file())
    content[125] = 7
    path.write_bytes(content)
    with pytest.raises(NotAMatFileError, match="of version 7"):
        load(path)


def test_errors_of_the_file_system_are_pythons(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.mat")
    with pytest.raises(IsADirectoryError, match=r"is a folder; give the path of a \.mat file"):
        load(tmp_path)
