"""HDF5 read by its bytes: against h5py, for every way to store a dataset; and refused where the bytes are damaged."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from matlab_bridge import TruncatedFileError
from matlab_bridge.matfile import load, save
from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._hdf5._bytes import FileBytes
from matlab_bridge.matfile._hdf5._file import File
from matlab_bridge.matfile._hdf5._item import REFERENCE, Item
from matlab_bridge.matfile._inflate import DEFLATE_ERRORS

SHAPE = (9, 7, 5)
PAIR = np.dtype([("real", "f8"), ("imag", "f8")])
LAYOUTS = ["earliest", "v108", "latest"]
DTYPES = ["u1", "i2", "u4", "i8", "f2", "f4", "f8", ">i2", ">f4", ">f8"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.h5"


@contextlib.contextmanager
def opened(path: Path, userblock: int = 512) -> Iterator[File]:
    with path.open("rb", buffering=0) as file:
        yield File(FileBytes(file, userblock, Budget(), set()))


def member(file: File, name: str = "x") -> Item:
    return file.item(file.members(file.root)[name])


def stored(path: Path, values: Any, *, userblock: int = 512, libver: str = "earliest", **storage: Any) -> None:
    with h5py.File(path, "w", userblock_size=userblock, libver=libver) as file:
        item = file.create_dataset("x", data=values, **storage)
        item.attrs["MATLAB_class"] = np.bytes_("double")
        item.attrs["MATLAB_int_decode"] = np.int32(1)


def numbers(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def damage(path: Path, at: int, *values: int, code: str = "<Q") -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"".join(struct.pack(code, value) for value in values))


def place_of_message(path: Path, address: int, kind: int) -> int:
    """Where in the file the first message of a kind is, in the header at an address."""
    data, at = path.read_bytes(), 512 + address + 16
    while True:
        found, length = struct.unpack_from("<HH", data, at)
        if found == kind:
            return at
        at += 8 + length


def test_the_library_is_not_asked(path):
    save(path, {"x": np.eye(3), "c": ["a", {"b": 1.0}], "s": [{"a": 1}, {"a": 2}]}, version="v7.3")
    code = (
        "import sys; sys.modules['h5py'] = None\n"
        "from matlab_bridge.matfile import load\n"
        f"print(dict(load({str(path)!r}).items()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestHeaders:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("userblock", [0, 512, 1024])
    def test_a_dataset_in_one_piece(self, path, dtype, userblock):
        stored(path, numbers(dtype), userblock=userblock)
        with opened(path, userblock) as file:
            item = member(file)
            assert (item.shape, item.dtype, item.is_references) == (SHAPE, np.dtype(dtype), False)
            assert item.attributes == {"MATLAB_class": b"double", "MATLAB_int_decode": 1}
            data = file.read(item)
        np.testing.assert_array_equal(data, numbers(dtype))
        assert data.flags.writeable

    def test_references_are_addresses(self, path):
        with h5py.File(path, "w", userblock_size=512) as file:
            targets = [file.create_dataset(name, data=np.ones(3)) for name in "ab"]
            file.create_dataset("x", data=[target.ref for target in targets], dtype=h5py.ref_dtype)
            addresses = [h5py.h5o.get_info(target.id).addr for target in targets]
        with opened(path) as file:
            assert member(file).is_references
            assert file.read(member(file)).tolist() == addresses

    def test_numbers_of_eight_bytes_are_no_references(self, path):
        stored(path, np.arange(3, dtype=REFERENCE))
        with opened(path) as file:
            assert not member(file).is_references

    @pytest.mark.parametrize(
        "values",
        [np.array([b"abc", b"d"]), np.zeros(3, PAIR), np.zeros(2, [("real", "i2"), ("imag", "i2")])],
        ids=["bytes", "complex", "complex integers"],
    )
    def test_other_types(self, path, values):
        stored(path, values)
        with opened(path) as file:
            np.testing.assert_array_equal(file.read(member(file)), values)

    def test_an_enumeration_is_its_numbers(self, path):
        stored(path, np.array([True, False]))
        with opened(path) as file:
            assert file.read(member(file)).tolist() == [1, 0]

    @pytest.mark.parametrize(
        "values",
        [
            np.zeros(3, [("a", "f8"), ("b", "f8")]),
            np.zeros(2, "V5"),
            np.zeros(2, [("real", "f8", 3), ("imag", "f8", 3)]),
        ],
        ids=["compound", "opaque", "arrays"],
    )
    def test_types_that_matlab_does_not_write(self, path, values):
        stored(path, values)
        with opened(path) as file, pytest.raises(TruncatedFileError, match="of a type that MATLAB does not write"):
            file.read(member(file))

    @pytest.mark.parametrize("count", [1, 8, 9, 300, 5000])
    def test_members_of_a_group(self, path, count):
        names = [f"n{i:05}" for i in np.random.default_rng(0).permutation(count)]
        with h5py.File(path, "w", userblock_size=512) as file:
            for name in names:
                file.create_group(name)
            expected = {name: h5py.h5o.get_info(file[name].id).addr for name in sorted(names)}
        with opened(path) as file:
            found = file.members(file.root)
            assert list(found.items()) == list(expected.items())
            assert file.item(found[names[0]]).is_group

    def test_very_many_attributes_continue_elsewhere(self, path):
        stored(path, numbers("f8"))
        with h5py.File(path, "r+") as file:
            for i in range(50):
                file["x"].attrs[f"MATLAB_{i}"] = np.bytes_("y" * 40)
        with opened(path) as file:
            assert member(file).attributes["MATLAB_49"] == b"y" * 40
            np.testing.assert_array_equal(file.read(member(file)), numbers("f8"))

    def test_attributes_that_are_not_matlabs_are_left_out(self, path):
        stored(path, numbers("f8"))
        with h5py.File(path, "r+") as file:
            file["x"].attrs["H5PATH"] = np.bytes_("/x")
        with opened(path) as file:
            assert list(member(file).attributes) == ["MATLAB_class", "MATLAB_int_decode"]

    def test_names_of_fields(self, path):
        names = [f"field_{i}" for i in range(200)]
        texts = np.empty(200, dtype=h5py.vlen_dtype(np.dtype("S1")))
        for i, name in enumerate(names):
            texts[i] = np.array([*name], dtype="S1")
        with h5py.File(path, "w", userblock_size=512) as file:
            file.create_group("x").attrs["MATLAB_fields"] = texts
            file.create_group("y").attrs["MATLAB_fields"] = file.create_dataset("names", data=texts).ref
        with opened(path) as file:
            for name in "xy":
                assert file.texts(member(file, name).attributes["MATLAB_fields"]) == names


STORAGE = {
    "one piece": {},
    "deflated": {"chunks": (4, 7, 5), "compression": 6},
    "partial chunks at the edges": {"chunks": (4, 3, 2), "compression": 1},
    "a chunk larger than the array": {"chunks": (12, 7, 5), "compression": 1, "maxshape": (None, 7, 5)},
    "very many chunks": {"chunks": (1, 1, 1), "compression": 1},
    "shuffled": {"chunks": (4, 3, 2), "compression": 6, "shuffle": True},
    "checked": {"chunks": (4, 3, 2), "compression": 6, "fletcher32": True},
    "shuffled and checked": {"chunks": (4, 3, 2), "compression": 6, "shuffle": True, "fletcher32": True},
    "checked alone, an odd number of bytes": {"chunks": (3, 3, 3), "fletcher32": True},
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


class TestData:
    @pytest.mark.parametrize("libver", LAYOUTS)
    @pytest.mark.parametrize("storage", STORAGE)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_the_whole_is_what_was_written(self, path, storage, dtype, libver):
        stored(path, numbers(dtype), libver=libver, **STORAGE[storage])
        with opened(path) as file:
            np.testing.assert_array_equal(file.read(member(file)), numbers(dtype))

    @pytest.mark.parametrize("libver", LAYOUTS)
    @pytest.mark.parametrize("storage", STORAGE)
    @pytest.mark.parametrize("part", range(len(PARTS)))
    @pytest.mark.parametrize("dtype", ["i2", ">f8"])
    def test_a_part_is_that_of_the_whole(self, path, storage, part, dtype, libver):
        stored(path, numbers(dtype), libver=libver, **STORAGE[storage])
        with opened(path) as file:
            found = file.part(member(file), PARTS[part])
        expected = numbers(dtype)[np.ix_(*(np.array(axis, int) for axis in PARTS[part]))]
        np.testing.assert_array_equal(found, expected)
        assert found.shape == expected.shape
        assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")

    def test_data_larger_than_the_window(self, path):
        values = numbers("f8", (300, 200))
        stored(path, values)
        with opened(path) as file:
            np.testing.assert_array_equal(file.read(member(file)), values)

    @pytest.mark.parametrize("shuffle", [False, True])
    def test_pairs_of_real_and_imaginary_parts(self, path, shuffle):
        values = np.zeros(SHAPE, PAIR)
        values["real"], values["imag"] = numbers("f8"), -numbers("f8")
        stored(path, values, chunks=(4, 3, 2), compression=6, shuffle=shuffle)
        with opened(path) as file:
            np.testing.assert_array_equal(file.read(member(file)), values)
            np.testing.assert_array_equal(file.part(member(file), PARTS[2]), values[[0, 5, 8]][:, :, [1, 4]])

    @pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0, 2)])
    @pytest.mark.parametrize("chunked", [False, True])
    def test_nothing_at_all(self, path, shape, chunked):
        storage = {"maxshape": (None,) * len(shape), "compression": 1} if chunked else {}
        stored(path, np.empty(shape), **storage)
        with opened(path) as file:
            assert file.read(member(file)).shape == shape

    def test_in_the_header(self, path):
        with h5py.File(path, "w", userblock_size=512) as file:
            created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            created.set_layout(h5py.h5d.COMPACT)
            space = h5py.h5s.create_simple((5,))
            item = h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_DOUBLE, space, created)
            item.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(5.0))
        with opened(path) as file:
            np.testing.assert_array_equal(file.read(member(file)), np.arange(5))
            np.testing.assert_array_equal(file.part(member(file), (range(1, 5, 2),)), [1, 3])

    def test_chunks_whose_filters_were_left_out(self, path):
        with h5py.File(path, "w", userblock_size=512) as file:
            item = file.create_dataset("x", (4, 8), "f8", chunks=(2, 8), compression=4)
            item.id.write_direct_chunk((0, 0), np.arange(16.0).tobytes(), filter_mask=1)  # deflated it is not
            item[2:] = 7
        with opened(path) as file:
            found = file.read(member(file))
            part = file.part(member(file), (range(1, 3), range(8)))
        np.testing.assert_array_equal(found[:2].ravel(), np.arange(16))
        np.testing.assert_array_equal(part, [np.arange(8, 16), np.full(8, 7)])

    @pytest.mark.parametrize("fill", [0, 2.5])
    @pytest.mark.parametrize("storage", [{}, {"chunks": (2, 4), "compression": 4}])
    def test_what_was_never_written(self, path, storage, fill):
        with h5py.File(path, "w", userblock_size=512) as file:
            file.create_dataset("x", (6, 4), ">f8", fillvalue=fill, **storage)
            if storage:
                file["x"][2:4] = 3
            expected = file["x"][()]
        with opened(path) as file:
            np.testing.assert_array_equal(file.read(member(file)), expected)
            part = file.part(member(file), (range(1, 5), range(4)))
        np.testing.assert_array_equal(part, expected[1:5])
        assert expected[0, 0] == fill

    def test_references_in_chunks(self, path):
        with h5py.File(path, "w", userblock_size=512) as file:
            targets = [file.create_dataset(name, data=1.0) for name in "abc"]
            item = file.create_dataset("x", (3,), h5py.ref_dtype, chunks=(2,), compression=1)
            item[...] = np.array([target.ref for target in targets], h5py.ref_dtype)
            expected = [h5py.h5o.get_info(file[name].id).addr for name in "abc"]
        with opened(path) as file:
            assert file.read(member(file)).tolist() == expected

    def test_a_filter_that_is_not_known(self, path):
        stored(path, numbers("f8"), chunks=(4, 3, 2), compression="lzf")
        with opened(path) as file, pytest.raises(TruncatedFileError, match=r"the filters \(32000,\); known are"):
            file.read(member(file))


class TestDamage:
    @pytest.mark.parametrize("address", [1, 17, 2**40, 2**63, 2**64 - 1])
    def test_an_address_where_nothing_is(self, path, address):
        stored(path, numbers("f8"))
        with opened(path) as file, pytest.raises(TruncatedFileError):
            file.item(address)

    def test_a_file_that_is_shorter_than_it_says(self, path):
        stored(path, numbers("f8", (100, 100)))
        os.truncate(path, path.stat().st_size - 8)
        with pytest.raises(TruncatedFileError, match="the file has"), opened(path):
            pass

    def test_a_file_that_becomes_shorter(self, path):
        stored(path, numbers("f8", (100, 100)))
        with opened(path) as file:
            item = member(file)
            os.truncate(path, path.stat().st_size - 8)
            with pytest.raises(TruncatedFileError, match="became shorter"):
                file.read(item)

    def test_data_of_another_size_than_the_array(self, path):
        stored(path, numbers("f8"))
        with opened(path) as file:
            item = member(file)
            item.shape = (9, 7, 4)
            with pytest.raises(TruncatedFileError, match="an array of 2016 bytes is stored in 2520"):
                file.read(item)

    def test_a_damaged_chunk(self, path):
        stored(path, np.random.default_rng(0).random((400, 100)), chunks=(40, 100), compression=1)
        with opened(path) as file:
            item = member(file)
            file.stored_nbytes(item)
            damage(path, 512 + item.index[120, 0].address + 600, *[2**64 - 1] * 500)
            with pytest.raises((TruncatedFileError, *DEFLATE_ERRORS)):
                file.read(item)

    def test_a_wrong_sum(self, path):
        stored(path, numbers("f8"), chunks=SHAPE, fletcher32=True)
        with opened(path) as file:
            item = member(file)
            file.stored_nbytes(item)
            damage(path, 512 + item.index[0, 0, 0].address + 16, 5)
            with pytest.raises(TruncatedFileError, match="the sum of a chunk is wrong"):
                file.read(item)

    def test_an_index_of_chunks_that_leads_to_itself(self, path):
        stored(path, numbers("f8", (900, 2)), chunks=(1, 2), compression=1)
        with opened(path) as file:
            at = member(file).data
            entry = 24 + 8 + 3 * 8
            damage(path, 512 + at + entry, at)
        with opened(path) as file, pytest.raises(TruncatedFileError, match="an index of chunks leads in a circle"):
            file.read(member(file))

    def test_an_index_of_members_that_leads_to_itself(self, path):
        with h5py.File(path, "w", userblock_size=512) as file:
            for i in range(500):
                file.create_group(f"n{i}")
        with opened(path) as file:
            at = file.root.table[0]
            damage(path, 512 + at + 24 + 8, at)
        with opened(path) as file, pytest.raises(TruncatedFileError, match="an index of members leads in a circle"):
            file.members(file.root)

    def test_a_header_that_continues_in_itself(self, path):
        stored(path, numbers("f8"))
        with h5py.File(path, "r+") as file:
            for i in range(50):
                file["x"].attrs[f"MATLAB_{i}"] = np.bytes_("y" * 40)
        with opened(path) as file:
            at = member(file).address
        (size,) = struct.unpack_from("<I", path.read_bytes(), 512 + at + 8)
        damage(path, place_of_message(path, at, 16) + 8, at + 16, size)
        with opened(path) as file, pytest.raises(TruncatedFileError, match=f"the header at address {at} does not end"):
            member(file)

    @pytest.mark.parametrize("what", ["length", "heap", "size of the heap"])
    def test_names_of_fields_that_the_heap_does_not_hold(self, path, what):
        save(path, {"x": {"first": 1.0, "second": 2.0}}, version="v7.3")
        data = path.read_bytes()
        heap = data.index(b"GCOL")
        place = data.index(struct.pack("<IQ", 5, heap - 512))
        at, value, code = {
            "length": (place, 2**31, "<I"),
            "heap": (place + 4, 2**40, "<Q"),
            "size of the heap": (heap + 8, 2**40, "<Q"),
        }[what]
        damage(path, at, value, code=code)
        with pytest.raises(TruncatedFileError, match=r"x\.h5: cannot read the variable 'x'"):
            load(path)["x"]

    def test_a_group_that_holds_itself(self, path):
        save(path, {"x": {"first": 1.0, "second": 2.0}}, version="v7.3")
        with h5py.File(path, "r+") as file:
            for name in ("first", "second"):
                del file["x"][name]
                file["x"][name] = file["x"]
        with pytest.raises(TruncatedFileError, match=r"would take|hold themselves"):
            load(path)["x"]

    def test_what_looks_like_a_heap_of_attributes_and_is_none(self, path):
        stored(path, numbers("f8"))
        with opened(path) as file:
            at = member(file).address
        damage(path, place_of_message(path, at, 12), 21, code="<H")  # an attribute becomes a heap of attributes
        with opened(path) as file, pytest.raises(TruncatedFileError, match=r"no heap begins at|are beyond the file"):
            member(file)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_file_of_another_writer(tmp_path, libver):
    """The same values, whatever releases of HDF5 the file is laid out for."""
    path = tmp_path / "x.mat"
    cell = [np.arange(i, dtype=float) for i in range(5)]
    struct_array = [{"name": "a", "x": 1.0}, {"name": "b", "x": 2.0}]
    save(path, {"c": cell, "s": struct_array, "x": numbers("f8", (60, 70))}, version="v7.3")
    with h5py.File(path) as source, h5py.File(tmp_path / "y.mat", "w", userblock_size=512, libver=libver) as target:
        references = target.create_group("#refs#")

        def copied(item: h5py.Dataset, parent: h5py.Group, name: str) -> None:
            found = parent.create_dataset(name, item.shape, h5py.ref_dtype)
            found.attrs.update(item.attrs)
            for index in np.ndindex(found.shape):
                inner = f"{len(references)}"
                source.copy(source[item[index]], references, name=inner)
                found[index] = references[inner].ref

        copied(source["c"], target, "c")
        group = target.create_group("s")
        group.attrs.update(source["s"].attrs)
        for name in source["s"]:
            copied(source["s"][name], group, name)
        source.copy("x", target)
    data = path.read_bytes()[:128] + (tmp_path / "y.mat").read_bytes()[128:]
    path.write_bytes(data)
    file = load(path)
    for i, element in enumerate(file["c"].ravel()):
        np.testing.assert_array_equal(element.ravel(), np.arange(i))
    assert [(part["name"], part["x"].item()) for part in file["s"].ravel()] == [("a", 1), ("b", 2)]
    np.testing.assert_array_equal(file["x"], numbers("f8", (60, 70)))


def test_parts_of_a_newer_layout(path, monkeypatch):
    monkeypatch.setattr("matlab_bridge.matfile._level73.LARGE", 64)
    values = numbers("f8", (60, 70))
    save(path, {"x": values}, version="v7.3")
    with h5py.File(path.with_suffix(".y"), "w", userblock_size=512, libver="latest") as file, h5py.File(path) as source:
        source.copy("x", file)
    path.write_bytes(path.read_bytes()[:128] + path.with_suffix(".y").read_bytes()[128:])
    np.testing.assert_array_equal(load(path)["x"][3:50:7, ::-1], values[3:50:7, ::-1])
