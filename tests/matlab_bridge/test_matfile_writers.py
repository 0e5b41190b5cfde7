"""How v7.3 files are laid out: user block, classes, chunks, and what is too large for v7."""

from __future__ import annotations

import math
import re
import struct
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from matlab_bridge import UnwritableValueError
from matlab_bridge.matfile import CharArray, info, load, save
from matlab_bridge.matfile._save import _writers
from matlab_bridge.matfile._save._writers import chunk_shape


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.mat"


@pytest.mark.parametrize("compress", [False, True])
def test_the_block_before_hdf5_is_matlabs_header(path, compress):
    save(path, {"x": np.eye(3)}, version="v7.3", compress=compress)
    start = path.read_bytes()[:520]
    text = start[:116].decode("ascii").rstrip()
    assert re.fullmatch(r"MATLAB 7\.3 MAT-file, Platform: \w+, Created on: .* HDF5 schema 1\.00 \.", text)
    assert info(path).created == re.search("on: (.*) HDF5", text)[1]
    assert start[116:124] == bytes(8)
    assert struct.unpack("<H2s", start[124:128]) == (0x0200, b"IM")
    assert start[128:512] == bytes(384)
    assert start[512:520] == b"\x89HDF\r\n\x1a\n"
    with h5py.File(path) as file:
        assert file.userblock_size == 512


CLASSES = {
    "double": np.ones((2, 3)),
    "single": np.ones((2, 3), np.float32),
    "logical": np.ones((2, 3), bool),
    "char": "text",
    "cell": ["a", "b"],
    "struct": {"a": 1},
    **{
        name: np.ones((2, 3), name)
        for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
    },
}


@pytest.mark.parametrize(("class_name", "value"), [*CLASSES.items(), ("char", "a NUL\x00within")])
@pytest.mark.parametrize("compress", [False, True])
def test_every_variable_has_the_attribute_of_its_class(path, class_name, value, compress):
    save(path, {"x": value}, version="v7.3", compress=compress)
    with h5py.File(path) as file:
        attributes = file["x"].attrs
        assert attributes["MATLAB_class"] == class_name.encode()
        assert attributes.get_id("MATLAB_class").get_type().get_class() == h5py.h5t.STRING
        decode = {"logical": 1, "char": 2}.get(class_name)  # how MATLAB is to take the integers
        assert attributes.get("MATLAB_int_decode") == decode


def test_a_struct_has_the_names_of_its_fields_as_an_attribute(path):
    save(path, {"x": {"b": 1, "first": {"c": 2}}}, version="v7.3")
    with h5py.File(path) as file:
        for struct, names in ((file["x"], [b"b", b"first"]), (file["x"]["first"], [b"c"])):
            assert [b"".join(letters) for letters in struct.attrs["MATLAB_fields"]] == names


def test_empty_and_sparse_arrays_say_so(path):
    sparse = scipy.sparse.csc_array(np.array([[0, 2.0], [0, 0], [1, 0]]))
    empty = {"int8": np.empty((0, 3), np.int8), "single": np.empty((0, 3), np.complex64)}
    save(path, {**empty, "s": sparse}, version="v7.3")
    with h5py.File(path) as file:
        for name in empty:
            assert (file[name].attrs["MATLAB_empty"], file[name].attrs["MATLAB_class"]) == (1, name.encode())
            assert file[name][()].tolist() == [0, 3]  # of an empty array the size is stored
        assert file["s"].attrs["MATLAB_sparse"] == 3
        parts = {name: file["s"][name][()].tolist() for name in ("jc", "ir", "data")}
    assert parts == {"jc": [0, 1, 2], "ir": [2, 0], "data": [1, 2]}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_complex_numbers_are_pairs_of_named_parts(path, dtype):
    whole = (np.arange(6.0).reshape(2, 3) + 1j).astype(f"c{2 * np.dtype(dtype).itemsize}")
    save(path, {"z": whole}, version="v7.3")
    with h5py.File(path) as file:
        stored = file["z"]
        assert stored.dtype == np.dtype([("real", dtype), ("imag", dtype)])
        np.testing.assert_array_equal(stored["real"].T, whole.real)
        np.testing.assert_array_equal(stored["imag"].T, whole.imag)


def test_large_arrays_are_deflated_in_chunks_of_whole_pages(path):
    images = np.zeros((64, 64, 3, 100), np.uint8)
    save(path, {"x": images}, version="v7.3")
    with h5py.File(path) as file:
        stored = file["x"]
        assert stored.shape == (100, 3, 64, 64)  # MATLAB's last axis is HDF5's first
        assert stored.compression == "gzip"
        assert stored.chunks == (21, 3, 64, 64)  # 2^18 bytes hold 21 images of 12,288
        assert path.stat().st_size < images.nbytes / 50
    save(path, {"x": images}, version="v7.3", compress=False)
    with h5py.File(path) as file:
        assert (file["x"].compression, file["x"].chunks) == (None, None)
    assert path.stat().st_size > images.nbytes


@pytest.mark.parametrize(
    ("shape", "itemsize", "chunks"),
    [
        ((10, 10), 8, (10, 10)),  # all of it
        ((1000, 1000), 8, (32, 1000)),  # 2^15 numbers are 32 columns
        ((1, 10**6), 8, (1, 2**15)),  # a part of one column
        ((10**6, 1), 1, (2**18, 1)),
        ((4, 3, 2**19), 1, (1, 1, 2**18)),
        ((5, 0), 8, (5, 0)),
        ((3, 2), 2**20, (1, 1)),  # an element larger than a chunk
    ],
)
def test_the_shape_of_chunks(shape, itemsize, chunks):
    assert chunk_shape(shape, itemsize) == chunks
    assert math.prod(chunks) * itemsize <= max(2**18, itemsize)


@pytest.mark.parametrize("what", ["array", "cell", "struct", "text"])
def test_what_is_too_large_for_v7_is_written_as_v73(path, monkeypatch, what):
    monkeypatch.setattr(_writers, "_MOST_BYTES", 2**16)
    large = np.arange(2**14, dtype=float).reshape(128, 128)
    value = {"array": large, "cell": [large], "struct": {"a": large}, "text": CharArray(["x" * 40000] * 2)}[what]
    with pytest.raises(UnwritableValueError, match=r"x takes .* at most 2 GiB\. Save it with version='v7\.3'"):
        save(path, {"x": value})
    assert list(path.parent.iterdir()) == []
    save(path, {"x": value}, version="v7.3")
    found = load(path)["x"]
    number = {"array": lambda: found, "cell": lambda: found[0, 0], "struct": lambda: found["a"]}
    if what == "text":
        assert found.tolist() == ["x" * 40000] * 2
    else:
        np.testing.assert_array_equal(number[what](), large)


def test_an_array_too_large_for_v7_is_refused_before_it_is_copied(path):
    repeated = np.broadcast_to(1.0, (2**14, 20 * 2**10))  # one number in memory, and 2.5 GiB in a file
    tracemalloc.start()
    with pytest.raises(UnwritableValueError, match=r"x takes 2\.5 GiB, and a variable of a v7 file at most 2 GiB\. "):
        save(path, {"x": repeated})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < repeated.nbytes / 20


@pytest.mark.parametrize("value", [np.eye(2), "text", [1.0, "a"], {"a": 1}], ids=["array", "text", "cell", "struct"])
def test_no_variable_is_written_as_a_global_one(path, version, value):
    save(path, {"x": value}, version=version)
    assert not info(path).variables[0].is_global
    if version == "v7":
        assert scipy.io.loadmat(path)["__globals__"] == []
