"""The newer layout of HDF5, read by its bytes: against h5py, for every index and heap; and refused where damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from matlab_bridge import MatFileError, TruncatedFileError
from matlab_bridge.matfile import load
from matlab_bridge.matfile._hdf5._checksum import lookup3
from matlab_bridge.matfile._hdf5._item import ChunkIndex

from .test_matfile_hdf5 import member, opened

VERSIONS = ["v108", "v110", "latest"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.h5"


def created(path: Path, libver: str = "latest") -> h5py.File:
    return h5py.File(path, "w", userblock_size=512, libver=libver)


# From the reference implementation's own driver, lookup3.c by Bob Jenkins (2006, public domain), for seeds of 0.
@pytest.mark.parametrize(("text", "expected"), [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)])
def test_sums(text: bytes, expected: int) -> None:
    assert lookup3(text) == expected


INDICES: dict[str, tuple[int, tuple[int, ...], dict[str, Any]]] = {
    "one chunk": (ChunkIndex.SINGLE, (30, 20), {"chunks": (30, 20)}),
    "one chunk, deflated": (ChunkIndex.SINGLE, (30, 20), {"chunks": (30, 20), "compression": 4, "shuffle": True}),
    "one chunk larger than the array": (ChunkIndex.FIXED_ARRAY, (25, 20), {"chunks": (30, 20), "maxshape": (30, 20)}),
    "fixed": (ChunkIndex.FIXED_ARRAY, (30, 20), {"chunks": (4, 3)}),
    "fixed, deflated": (ChunkIndex.FIXED_ARRAY, (30, 20), {"chunks": (4, 3), "compression": 4}),
    "fixed, to grow": (ChunkIndex.FIXED_ARRAY, (30, 20), {"chunks": (4, 3), "maxshape": (90, 47), "compression": 1}),
    "fixed, in pages": (ChunkIndex.FIXED_ARRAY, (900, 70), {"chunks": (3, 7)}),
    "fixed, deflated, in pages": (ChunkIndex.FIXED_ARRAY, (900, 70), {"chunks": (3, 7), "fletcher32": True}),
    "growing first axis": (ChunkIndex.EXTENSIBLE_ARRAY, (30, 20), {"chunks": (4, 3), "maxshape": (None, 20)}),
    "growing last axis": (ChunkIndex.EXTENSIBLE_ARRAY, (30, 20), {"chunks": (4, 3), "maxshape": (45, None)}),
    "growing, deflated": (
        ChunkIndex.EXTENSIBLE_ARRAY,
        (30, 20),
        {"chunks": (4, 3), "maxshape": (None, 20), "compression": 1},
    ),
    "growing, many chunks": (ChunkIndex.EXTENSIBLE_ARRAY, (3, 90_000), {"chunks": (3, 1), "maxshape": (3, None)}),
    "growing, many chunks with sums": (
        ChunkIndex.EXTENSIBLE_ARRAY,
        (9000, 3),
        {"chunks": (1, 3), "maxshape": (None, 3), "fletcher32": True},
    ),
    "growing along two axes": (ChunkIndex.B_TREE, (30, 20), {"chunks": (4, 3), "maxshape": (None, None)}),
    "growing along two axes, many": (
        ChunkIndex.B_TREE,
        (300, 200),
        {"chunks": (2, 2), "maxshape": (None, None), "compression": 1},
    ),
    "in three axes": (ChunkIndex.EXTENSIBLE_ARRAY, (5, 9, 7), {"chunks": (2, 2, 3), "maxshape": (6, None, 8)}),
}


@pytest.mark.parametrize("case", INDICES)
def test_every_index_of_chunks(path: Path, case: str) -> None:
    kind, shape, storage = INDICES[case]
    values = np.random.default_rng(0).integers(0, 9, shape).astype(">i4")
    with created(path) as file:
        file.create_dataset("x", data=values, **storage)
    with opened(path) as file:
        item = member(file)
        assert item.scheme is not None
        assert item.scheme.kind == kind
        np.testing.assert_array_equal(file.read(item), values)
        axes = tuple(range(n // 3, n, 2) for n in shape)
        np.testing.assert_array_equal(file.part(item, axes), values[tuple(slice(n // 3, n, 2) for n in shape)])


@pytest.mark.parametrize("case", INDICES)
def test_chunks_that_were_never_written(path: Path, case: str) -> None:
    _, shape, storage = INDICES[case]
    with created(path) as file:
        item = file.create_dataset("x", shape, "f4", fillvalue=3, **storage)
        item[tuple(slice(n // 2, n // 2 + 2) for n in shape)] = 7
        item[tuple(slice(n - 1, n) for n in shape)] = 8
        expected = item[()]
    with opened(path) as file:
        np.testing.assert_array_equal(file.read(member(file)), expected)


@pytest.mark.parametrize("storage", [{"maxshape": (None, 40)}, {"maxshape": (None, None)}, {"maxshape": (60, 40)}])
def test_an_array_that_grew_or_shrank(path: Path, storage: dict[str, Any]) -> None:
    for shape in ((59, 37), (7, 37), (9, 5), (0, 5), (1, 0)):
        with created(path) as file:
            item = file.create_dataset("x", data=np.arange(600.0).reshape(30, 20), chunks=(4, 3), **storage)
            item.resize(shape)
            if 0 in shape:
                item.resize((5, 6))  # nothing is left of the values
            expected = item[()]
        with opened(path) as file:
            np.testing.assert_array_equal(file.read(member(file)), expected)


def written_low_level(path: Path, values: np.ndarray, limits: tuple[int, ...], **how: Any) -> None:
    """A dataset with settings that h5py has no words for."""
    with created(path) as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk(how["chunks"])
        if "alloc_time" in how:
            settings.set_alloc_time(how["alloc_time"])
        space = h5py.h5s.create_simple(values.shape, limits)
        item = h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_DOUBLE, space, settings)
        item.write(h5py.h5s.ALL, h5py.h5s.ALL, values)


def test_chunks_one_after_the_other(path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(30, 20))
    written_low_level(path, values, (34, 29), chunks=(4, 3), alloc_time=h5py.h5d.ALLOC_TIME_EARLY)
    with opened(path) as file:
        item = member(file)
        assert item.scheme is not None
        assert item.scheme.kind == ChunkIndex.IMPLICIT
        np.testing.assert_array_equal(file.read(item), values)


@pytest.mark.parametrize("libver", VERSIONS)
@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("count", [0, 1, 8, 9, 40, 3000])
def test_members_of_a_group(path: Path, count: int, order: bool, libver: str) -> None:
    names = [f"n{i}" + "x" * (i % 90) for i in np.random.default_rng(0).permutation(count)]
    with created(path, libver) as file:
        group = file.create_group("x", track_order=order)
        for name in names:
            group.create_group(name)
        expected = {name: h5py.h5o.get_info(group[name].id).addr for name in group}
    with opened(path) as file:
        found = file.members(member(file))
    assert list(found.items()) == list(expected.items())
    assert list(found) == (names if order else sorted(names))


def test_so_many_members_that_blocks_of_the_heap_lead_to_others(path: Path) -> None:
    names = [f"n{i}" + "x" * 200 for i in range(8000)]
    with created(path) as file:
        item = file.create_dataset("d", data=1.0)
        for name in names:
            file[f"x/{name}"] = item
        address = h5py.h5o.get_info(item.id).addr
    assert path.read_bytes().count(b"FHIB\x00") > 1
    with opened(path) as file:
        assert file.members(member(file)) == dict.fromkeys(names, address)


@pytest.mark.parametrize("libver", VERSIONS)
@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("nbytes", [40, 3000, 60_000])
@pytest.mark.parametrize("count", [3, 9, 400])
def test_attributes(path: Path, count: int, nbytes: int, order: bool, libver: str) -> None:
    with created(path, libver) as file:
        item = file.create_dataset("x", data=1.0, track_order=order)
        for i in range(count if nbytes < 4000 else 3):
            item.attrs[f"MATLAB_{i}"] = np.bytes_(bytes([97 + i % 26]) * nbytes)
            item.attrs[f"other_{i}"] = i
        expected = {name: bytes(value) for name, value in item.attrs.items() if name.startswith("MATLAB_")}
    with opened(path) as file:
        assert member(file).attributes == expected


@pytest.mark.parametrize("libver", ["earliest", *VERSIONS])
def test_links_within_the_file_are_followed(path: Path, libver: str) -> None:
    with created(path, libver) as file:
        file["a/b/x"] = np.arange(3.0)
        file["root"] = h5py.SoftLink("/a/b/x")
        file["relative"] = h5py.SoftLink("a/./b/x")
        file["a/up"] = h5py.SoftLink("/to a group/x")
        file["to a group"] = h5py.SoftLink("/a/b")
        file["twice"] = h5py.SoftLink("a/up")
        file["loop"] = h5py.SoftLink("/loop")
        file["nowhere"] = h5py.SoftLink("/a/c")
        address = h5py.h5o.get_info(file["a/b/x"].id).addr
    with opened(path) as file:
        members = file.members(file.root)
        assert {members[name] for name in ("root", "relative", "twice")} == {address}
        for name in ("loop", "nowhere"):
            with pytest.raises(TruncatedFileError, match="a link to what is not there"):
                file.item(members[name])


@pytest.mark.parametrize("sums", ["wrong", "right"])
def test_every_change_of_a_byte_is_a_value_or_an_error_of_ours(
    sums: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every structure of the newer layout has a sum; who lies on purpose gives the right one."""
    if sums == "right":
        monkeypatch.setattr("matlab_bridge.matfile._hdf5._bytes.check_sum", lambda data, what: None)
    path = tmp_path / "x.mat"
    values = np.random.default_rng(0).normal(size=(12, 5))
    with created(path) as file:
        for i, limits in enumerate([(None, 5), (None, None), (12, 5)]):
            item = file.create_dataset(f"x{i}", data=values, chunks=(5, 2), maxshape=limits, compression=1)
            item.attrs["MATLAB_class"] = np.bytes_("double")
        for i in range(12):
            file[f"more{i}"] = i
            item.attrs[f"MATLAB_{i}"] = i
    data = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + path.read_bytes()[128:]
    refused = 0
    chance = np.random.default_rng(0)
    for _ in range(600):
        changed = bytearray(data)
        # A structure, which begins with four letters.
        names = (b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"BTHD", b"BTLF", b"EAHD", b"EAIB", b"EADB", b"FAHD", b"FADB")
        start = data.find(names[chance.integers(len(names))], int(chance.integers(512, len(data))))
        at = max(start, 512) + int(chance.integers(4, 90))
        changed[at : at + 1] = chance.bytes(1) if chance.integers(2) else b"\xff"
        path.write_bytes(changed)
        try:
            found = load(path)
        except MatFileError:
            refused += 1
            continue
        for name in found:
            try:
                np.asarray(found[name])
            except MatFileError:
                refused += 1
    assert refused > 100


def test_a_sum_that_is_wrong(path: Path) -> None:
    with created(path) as file:
        for i in range(40):
            file[f"n{i}"] = np.float64(i)
    data = path.read_bytes()
    for signature, what in ((b"OHDR", "a header"), (b"FRHP", "a heap"), (b"BTHD", "an index"), (b"BTLF", "a node")):
        damaged = bytearray(data)
        damaged[data.index(signature) + 9] ^= 1
        path.write_bytes(damaged)
        with (
            pytest.raises(TruncatedFileError, match=f"the sum of {what}|are beyond|does not end"),
            opened(path) as file,
        ):
            file.members(file.root)
