"""HDF5 read without the library, and in chunks: against h5py, for every way to store a dataset."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from matlab_bridge import TruncatedFileError
from matlab_bridge.matfile import _chunks, load, save
from matlab_bridge.matfile._chunks import read_addresses, read_dataset, read_part
from matlab_bridge.matfile._hdf5 import REFERENCE, Dataset, RawFile
from matlab_bridge.matfile._inflate import DEFLATE_ERRORS

SHAPE = (9, 7, 5)
PAIR = np.dtype([("real", "f8"), ("imag", "f8")])
DTYPES = ["u1", "i2", "u4", "i8", "f4", "f8", ">i2", ">f4", ">f8"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.h5"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[h5py.File, int]]:
    with path.open("rb") as raw, h5py.File(path) as file:
        yield file, raw.fileno()


def stored(path: Path, values: Any, *, userblock: int = 512, libver: str = "earliest", **storage: Any) -> None:
    with h5py.File(path, "w", userblock_size=userblock, libver=libver) as file:
        item = file.create_dataset("x", data=values, **storage)
        item.attrs["MATLAB_class"] = np.bytes_("double")
        item.attrs["MATLAB_int_decode"] = np.int32(1)


def raw_dataset(path: Path, name: str = "x") -> tuple[Dataset | None, Any]:
    """What is read of a dataset without the library: its description, and its data."""
    with opened(path) as (file, descriptor):
        raw = RawFile(descriptor, file.userblock_size)
        found = raw.dataset(h5py.h5o.get_info(file[name].id).addr)
        return found, None if found is None else raw.data(found)


def numbers(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


class TestWithoutTheLibrary:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("userblock", [0, 512, 1024])
    def test_a_dataset_in_one_piece(self, path, dtype, userblock):
        stored(path, numbers(dtype), userblock=userblock)
        found, data = raw_dataset(path)
        assert (found.shape, found.dtype, found.is_references) == (SHAPE, np.dtype(dtype), False)
        assert found.attributes == {"MATLAB_class": b"double", "MATLAB_int_decode": 1}
        np.testing.assert_array_equal(data, numbers(dtype))
        assert data.flags.writeable

    def test_data_larger_than_the_window(self, path):
        values = numbers("f8", (300, 200))
        stored(path, values)
        np.testing.assert_array_equal(raw_dataset(path)[1], values)

    def test_references(self, path):
        with h5py.File(path, "w", userblock_size=512) as file:
            targets = [file.create_dataset(name, data=np.ones(3)) for name in "ab"]
            file.create_dataset("x", data=[target.ref for target in targets], dtype=h5py.ref_dtype)
            addresses = [h5py.h5o.get_info(target.id).addr for target in targets]
        found, data = raw_dataset(path)
        assert found.is_references
        assert data.tolist() == addresses

    @pytest.mark.parametrize(
        "storage",
        [
            {"chunks": (3, 7, 5)},
            {"chunks": (3, 7, 5), "compression": 4},
            {"libver": "latest"},
        ],
        ids=["chunks", "deflated", "object header of version 2"],
    )
    def test_what_is_left_to_the_library(self, path, storage):
        stored(path, numbers("f8"), **storage)
        assert raw_dataset(path)[0] is None

    @pytest.mark.parametrize(
        "values",
        [
            np.zeros(3, PAIR),
            np.array([b"abc"]),
            np.array(["text"], h5py.string_dtype()),
            np.array([True]),
            np.zeros(3, np.float16),
        ],
        ids=["compound", "bytes", "text", "enumeration", "half"],
    )
    def test_types_that_are_left_to_the_library(self, path, values):
        stored(path, values)
        assert raw_dataset(path)[0] is None

    def test_a_dataset_without_storage(self, path):
        with h5py.File(path, "w") as file:
            file.create_dataset("x", shape=(3,), dtype="f8")  # space is allocated when it is written to
        assert raw_dataset(path)[0] is None

    def test_a_group_is_no_dataset(self, path):
        with h5py.File(path, "w") as file:
            file.create_group("x")["y"] = 1
        assert raw_dataset(path)[0] is None

    def test_very_many_attributes_continue_elsewhere(self, path):
        stored(path, numbers("f8"))
        with h5py.File(path, "r+") as file:
            for i in range(5):
                file["x"].attrs[f"further_{i}"] = np.bytes_("y" * 40)
        found, data = raw_dataset(path)
        assert found.attributes["further_4"] == b"y" * 40
        np.testing.assert_array_equal(data, numbers("f8"))

    @pytest.mark.parametrize("address", [0, -600, 1, 17, 2**40, 2**64 - 1])
    def test_an_address_where_nothing_is(self, path, address):
        stored(path, numbers("f8"))
        with opened(path) as (file, descriptor):
            assert RawFile(descriptor, file.userblock_size).dataset(address) is None

    def test_data_beyond_the_end_of_the_file(self, path):
        stored(path, numbers("f8", (100, 100)))
        with opened(path) as (file, descriptor):
            raw = RawFile(descriptor, file.userblock_size)
            address = h5py.h5o.get_info(file["x"].id).addr
            os.truncate(path, path.stat().st_size - 8)
            found = RawFile(descriptor, file.userblock_size).dataset(address)
            assert found is None
            before = raw.dataset(address)  # opened while the file was whole
            assert before is not None
            with pytest.raises(EOFError, match="ends within the data"):
                raw.data(before)


STORAGE = {
    "one piece": {},
    "deflated": {"chunks": (4, 7, 5), "compression": 6},
    "partial chunks at the edges": {"chunks": (4, 3, 2), "compression": 1},
    "a chunk larger than the array": {"chunks": (12, 7, 5), "compression": 1, "maxshape": (None, 7, 5)},
    "shuffled": {"chunks": (4, 3, 2), "compression": 6, "shuffle": True},
    "checked": {"chunks": (4, 3, 2), "compression": 6, "fletcher32": True},
    "shuffled and checked": {"chunks": (4, 3, 2), "compression": 6, "shuffle": True, "fletcher32": True},
    "lzf": {"chunks": (4, 3, 2), "compression": "lzf"},
    "chunks alone": {"chunks": (4, 3, 2)},
}
PARTS = [
    (range(9), range(7), range(5)),
    (range(2, 8, 3), range(1, 2), range(0, 5, 2)),
    (np.array([0, 5, 8]), range(7), np.array([1, 4])),
    (range(9), np.array([6]), range(3, 4)),
    (range(4, 4), range(7), range(5)),
    (range(9), np.array([], int), range(5)),
]


@pytest.fixture(params=["earliest", "latest"])
def libver(request: pytest.FixtureRequest) -> str:
    return request.param


class TestChunks:
    @pytest.fixture(autouse=True)
    def _nothing_is_too_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_chunks, "_FEW", 0)

    @pytest.mark.parametrize("storage", STORAGE)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_the_whole_is_what_the_library_reads(self, path, storage, dtype, libver):
        stored(path, numbers(dtype), libver=libver, **STORAGE[storage])
        with opened(path) as (file, descriptor):
            found = read_dataset(file["x"], descriptor)
            np.testing.assert_array_equal(found, file["x"][()])
        np.testing.assert_array_equal(found, numbers(dtype))

    @pytest.mark.parametrize("storage", STORAGE)
    @pytest.mark.parametrize("part", range(len(PARTS)))
    @pytest.mark.parametrize("dtype", ["i2", ">f8"])
    def test_a_part_is_that_of_the_whole(self, path, storage, part, dtype, libver):
        stored(path, numbers(dtype), libver=libver, **STORAGE[storage])
        with opened(path) as (file, descriptor):
            found = read_part(file["x"], descriptor, PARTS[part])
        expected = numbers(dtype)[np.ix_(*(np.array(axis, int) for axis in PARTS[part]))]
        np.testing.assert_array_equal(found, expected)
        assert found.shape == expected.shape
        assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")

    @pytest.mark.parametrize("shuffle", [False, True])
    def test_pairs_of_real_and_imaginary_parts(self, path, shuffle, libver):
        values = np.zeros(SHAPE, PAIR)
        values["real"], values["imag"] = numbers("f8"), -numbers("f8")
        stored(path, values, libver=libver, chunks=(4, 3, 2), compression=6, shuffle=shuffle)
        with opened(path) as (file, descriptor):
            np.testing.assert_array_equal(read_dataset(file["x"], descriptor), values)
            np.testing.assert_array_equal(read_part(file["x"], descriptor, PARTS[2]), values[[0, 5, 8]][:, :, [1, 4]])

    @pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0, 2)])
    @pytest.mark.parametrize("chunked", [False, True])
    def test_nothing_at_all(self, path, shape, chunked, libver):
        storage = {"maxshape": (None,) * len(shape), "compression": 1} if chunked else {}
        stored(path, np.empty(shape), libver=libver, **storage)
        with opened(path) as (file, descriptor):
            assert read_dataset(file["x"], descriptor).shape == shape

    def test_the_fast_way_is_taken(self, path, monkeypatch):
        monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("the library read the data"))
        for storage in ("deflated", "partial chunks at the edges", "shuffled"):
            stored(path, numbers("f8"), **STORAGE[storage])
            with opened(path) as (file, descriptor):
                np.testing.assert_array_equal(read_dataset(file["x"], descriptor), numbers("f8"))

    def test_chunks_whose_filters_were_left_out(self, path):
        with h5py.File(path, "w") as file:
            item = file.create_dataset("x", (4, 8), "f8", chunks=(2, 8), compression=4)
            item.id.write_direct_chunk((0, 0), np.arange(16.0).tobytes(), filter_mask=1)  # deflated it is not
            item[2:] = 7
        with opened(path) as (file, descriptor):
            found = read_dataset(file["x"], descriptor)
            part = read_part(file["x"], descriptor, (range(1, 3), range(8)))
        np.testing.assert_array_equal(found[:2].ravel(), np.arange(16))
        np.testing.assert_array_equal(part, [np.arange(8, 16), np.full(8, 7)])

    def test_chunks_that_were_never_written(self, path, libver):
        with h5py.File(path, "w", userblock_size=512, libver=libver) as file:
            file.create_dataset("x", (6, 4), "f8", chunks=(2, 4), compression=4)[2:4] = 3
        with opened(path) as (file, descriptor):
            np.testing.assert_array_equal(read_dataset(file["x"], descriptor)[:, 0], [0, 0, 3, 3, 0, 0])

    @pytest.mark.parametrize("storage", [{}, {"chunks": (2,), "compression": 1}])
    def test_addresses_of_references(self, path, storage):
        with h5py.File(path, "w", userblock_size=512) as file:
            targets = [file.create_dataset(name, data=1.0) for name in "abc"]
            references = np.array([target.ref for target in targets], h5py.ref_dtype)
            item = file.create_dataset("x", (3,), h5py.ref_dtype, **storage)
            item[...] = references
        with opened(path) as (file, descriptor):
            found = read_addresses(file["x"], descriptor)
            assert found.dtype == REFERENCE
            assert found.tolist() == [h5py.h5o.get_info(file[name].id).addr for name in "abc"]

    def test_a_damaged_chunk(self, path):
        stored(path, np.random.default_rng(0).random((400, 100)), chunks=(40, 100), compression=1)
        with h5py.File(path) as file:
            at = file["x"].id.get_chunk_info(3).byte_offset
        data = bytearray(path.read_bytes())
        data[at + 600 : at + 5000] = b"\xff" * 4400
        path.write_bytes(data)
        with opened(path) as (file, descriptor), pytest.raises((TruncatedFileError, *DEFLATE_ERRORS)):
            read_dataset(file["x"], descriptor)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_file_of_another_writer(tmp_path, libver):
    """The same values, whatever releases of HDF5 the file is laid out for."""
    path = tmp_path / "x.mat"
    cell = [np.arange(i, dtype=float) for i in range(5)]
    save(path, {"c": cell, "x": numbers("f8", (60, 70))}, version="v7.3")
    with h5py.File(path) as source, h5py.File(tmp_path / "y.mat", "w", userblock_size=512, libver=libver) as target:
        references = target.create_group("#refs#")
        found = target.create_dataset("c", source["c"].shape, h5py.ref_dtype)
        found.attrs["MATLAB_class"] = np.bytes_("cell")
        for index in np.ndindex(found.shape):
            source.copy(source[source["c"][index]], references, name=str(index))
            found[index] = references[str(index)].ref
        source.copy("x", target)
    data = path.read_bytes()[:128] + (tmp_path / "y.mat").read_bytes()[128:]
    path.write_bytes(data)
    file = load(path)
    for i, element in enumerate(file["c"].ravel()):
        np.testing.assert_array_equal(element.ravel(), np.arange(i))
    np.testing.assert_array_equal(file["x"], numbers("f8", (60, 70)))
