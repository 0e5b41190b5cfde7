"""What a v7.3 file may cost: 64 MiB and 8 bytes for each byte that is there once inflated, and time in proportion."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from matlab_bridge.matfile import load

from .budget import MIB, cost, on_linux

HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: x HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM"


def of_class(item: Any, name: str) -> Any:
    item.attrs["MATLAB_class"] = np.bytes_(name)
    return item


def references(parent: h5py.Group, name: str, target: Any, count: int, **storage: Any) -> Any:
    """A cell whose elements are all the same."""
    item = parent.create_dataset(
        name, (count, 1), h5py.ref_dtype, compression=9, shuffle=True, chunks=(min(count, MIB), 1), **storage
    )
    block = np.empty((min(count, MIB), 1), dtype=h5py.ref_dtype)
    block[...] = target.ref
    for start in range(0, count, len(block)):
        item[start : start + len(block)] = block[: count - start]
    return of_class(item, "cell")


def empty(parent: h5py.Group, name: str) -> Any:
    item = of_class(parent.create_dataset(name, data=np.zeros(2, np.uint64)), "double")
    item.attrs["MATLAB_empty"] = np.uint8(1)
    return item


def cell_of_empties(file: h5py.File) -> int:
    references(file, "c", empty(file.create_group("#refs#"), "a"), 2 * MIB)
    return 16 * MIB


def cell_of_one_number(file: h5py.File) -> int:
    references(file, "c", of_class(file.create_group("#refs#").create_dataset("a", data=[[1.0]]), "double"), 2 * MIB)
    return 16 * MIB


def cells_of_cells(file: h5py.File) -> int:
    """Each holds the last one a thousand times."""
    group = file.create_group("#refs#")
    last = of_class(group.create_dataset("a", data=np.ones((100, 100))), "double")
    for i in range(5):
        last = references(group, f"c{i}", last, 1000)
    references(file, "c", last, 1000)
    return MIB


def cell_of_itself(file: h5py.File) -> int:
    item = file.create_dataset("c", (50, 1), h5py.ref_dtype)
    for i in range(50):
        item[i, 0] = of_class(item, "cell").ref
    return 0


def deflated(parent: h5py.Group, name: str, dtype: str, count: int) -> Any:
    return parent.create_dataset(name, data=np.zeros((1, count), dtype), compression=9, chunks=(1, MIB))


def sparse_again_and_again(file: h5py.File) -> int:
    group = file.create_group("#refs#")
    matrix = of_class(group.create_group("a"), "double")
    matrix.attrs["MATLAB_sparse"] = np.uint64(10)
    matrix.create_dataset("jc", data=np.zeros(2 * MIB, "u8"), compression=9, chunks=(MIB,))
    references(file, "c", matrix, 300)
    return 16 * MIB


def large_again_and_again(file: h5py.File) -> int:
    item = of_class(deflated(file, "x", "f8", 4 * MIB), "double")
    for i in range(100):
        file[f"x{i}"] = item
    return 32 * MIB


def text_again_and_again(file: h5py.File) -> int:
    item = of_class(deflated(file.create_group("#refs#"), "a", "u2", 4 * MIB), "char")
    references(file, "c", item, 300)
    return 8 * MIB


def bytes_as_doubles(file: h5py.File) -> int:
    for i in range(10):
        of_class(deflated(file, f"x{i}", "u1", 2 * MIB), "double")
    return 20 * MIB


def structs_without_fields(file: h5py.File) -> int:
    for i in range(50):
        s = of_class(file.create_dataset(f"s{i}", data=np.array([2**20, 1], "u8")), "struct")
        s.attrs["MATLAB_empty"] = np.uint8(1)
    s = of_class(file.create_dataset("s", data=np.array([2**31, 2**20], "u8")), "struct")
    s.attrs["MATLAB_empty"] = np.uint8(1)
    return 0


def rows_without_characters(file: h5py.File) -> int:
    text = of_class(file.create_group("#refs#").create_dataset("a", data=np.array([2**20, 0], "u8")), "char")
    text.attrs["MATLAB_empty"] = np.uint8(1)
    references(file, "c", text, 300)
    return 0


def one_piece_again_and_again(file: h5py.File) -> int:
    for name, dtype in (("double", "f8"), ("uint8", "u1"), ("double", "u1"), ("single", "f8")):
        item = of_class(file.create_dataset(f"{name}{dtype}", data=np.ones((1, MIB), dtype)), name)
        for i in range(100):
            file[f"{name}{dtype}_{i}"] = item
    return 0


def never_written(file: h5py.File) -> int:
    for i, fill in enumerate((None, 1.0, 2.0)):
        of_class(file.create_dataset(f"x{i}", (2**12, 2**12), "f8", fillvalue=fill), "double")
        of_class(file.create_dataset(f"y{i}", (2**12, 2**12), "f8", fillvalue=fill, chunks=(64, 64)), "double")
        of_class(file.create_dataset(f"z{i}", (2**12, 2**10), "u1", fillvalue=fill and 1, chunks=(1, 1)), "uint8")
    return 0


def hardly_written(file: h5py.File) -> int:
    for i in range(8):
        x = file.create_dataset(f"x{i}", (2**13, 2**12), "f8", fillvalue=i, chunks=(2**9, 2**9), compression=9)
        of_class(x, "double")[0, 0] = 1
    return 8 * 2 * MIB


def stated_to_inflate(file: h5py.File) -> int:
    """Chunks of noise that cannot be inflated; what they state would allow much, and what is shared would take it."""
    for i in range(4):
        name = f"a{i}"
        x = file.create_dataset(name, (1, 2**26), "f8", chunks=(1, 2**26), compression=9, fillvalue=i % 2)
        of_class(x, "double").id.write_direct_chunk((0, 0), np.random.default_rng(0).bytes(2**20))
    item = of_class(deflated(file.create_group("#refs#"), "a", "f8", MIB), "double")
    references(file, "c", item, 300)
    return 12 * MIB


def struct_of_shared_fields(file: h5py.File) -> int:
    group, target = of_class(file.create_group("s"), "struct"), file.create_group("#refs#")
    number = of_class(target.create_dataset("a", data=[[1.0]]), "double")
    column = references(group, "f0", number, 20_000)
    del column.attrs["MATLAB_class"]
    for i in range(1, 300):
        group[f"f{i}"] = column
    return MIB


def struct_again_and_again(file: h5py.File) -> int:
    """Very many names of fields, read on each visit."""
    group = file.create_group("#refs#")
    fields = of_class(group.create_group("a"), "struct")
    for i in range(2000):
        fields["f" * 200 + str(i)] = empty(group, f"e{i}") if i < 1 else group["e0"]
    references(file, "c", fields, 100_000)
    return MIB


def empty_of_very_many_axes(file: h5py.File) -> int:
    a = of_class(deflated(file, "a", "u8", 2 * MIB), "double")
    a.attrs["MATLAB_empty"] = np.uint8(1)
    return 16 * MIB


def very_many_chunks(file: h5py.File) -> int:
    """Chunks of one byte, whose addresses are not in the file."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk((1, 1))
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple((1, 4 * MIB))
    of_class(h5py.Dataset(h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_UINT8, space, settings)), "uint8")
    return 0


def one_chunk_of_many_datasets(file: h5py.File) -> int:
    """Each dataset has an index of its own, and all lead to the same deflated bytes; `shared` makes them so."""
    for i in range(200):
        x = file.create_dataset(f"x{i}", (1, MIB), "f8", chunks=(1, MIB), compression=9)
        of_class(x, "double").id.write_direct_chunk((0, 0), deflated_zeros(8 * MIB) if i == 0 else bytes(16))
    return 8 * MIB


def one_chunk_of_many_places(file: h5py.File) -> int:
    """A small array whose many chunks are all the same large piece."""
    x = of_class(
        file.create_dataset("x", (1, 500), "f8", chunks=(2 * MIB, 1), maxshape=(None, 500), compression=9), "double"
    )
    for i in range(500):
        x.id.write_direct_chunk((0, i), deflated_zeros(16 * MIB) if i == 0 else bytes(16))
    return 16 * MIB


def deflated_zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


def shared(data: bytes) -> bytes:
    """All chunks where the largest one is."""
    changed = bytearray(data)
    entries = []
    at = data.find(b"TREE\x01\x00")
    while at >= 0:
        (count,) = struct.unpack_from("<H", data, at + 6)
        entries.extend(range(at + 24, at + 24 + 40 * count, 40))
        at = data.find(b"TREE\x01\x00", at + 1)
    sizes = [struct.unpack_from("<I", data, entry)[0] for entry in entries]
    first = entries[int(np.argmax(sizes))]
    for entry in entries:
        changed[entry : entry + 4] = data[first : first + 4]
        changed[entry + 32 : entry + 40] = data[first + 32 : first + 40]
    return bytes(changed)


def names_that_overlap(file: h5py.File) -> int:
    """Names of fields of which each is almost the whole heap; `changed` makes them so."""
    texts = np.empty(3000, dtype=h5py.vlen_dtype(np.dtype("S1")))
    texts[0] = np.frombuffer(b"n" * 60_000, "S1")
    for i in range(1, 3000):
        texts[i] = np.array([b"n"])
    names = file.create_dataset("#names#", data=texts)
    of_class(file.create_dataset("s", data=np.array([0, 1], "u8")), "struct")
    file["s"].attrs["MATLAB_empty"] = np.uint8(1)
    file["s"].attrs["MATLAB_fields"] = names.ref
    return 0


def overlapping(data: bytes) -> bytes:
    first = data.index(struct.pack("<I", 60_000))
    place = data[first : first + 16]
    return data[:first] + place * 3000 + data[first + 3000 * 16 :]


Writer = Callable[[h5py.File], int]
HOSTILE: dict[str, tuple[Writer, str]] = {
    writer.__name__: (writer, libver)
    for libver in ("earliest",)
    for writer in (
        cell_of_empties,
        cell_of_one_number,
        cells_of_cells,
        cell_of_itself,
        sparse_again_and_again,
        large_again_and_again,
        text_again_and_again,
        bytes_as_doubles,
        structs_without_fields,
        rows_without_characters,
        one_piece_again_and_again,
        never_written,
        hardly_written,
        stated_to_inflate,
        struct_of_shared_fields,
        struct_again_and_again,
        empty_of_very_many_axes,
        names_that_overlap,
        one_chunk_of_many_datasets,
        one_chunk_of_many_places,
    )
} | {"very_many_chunks": (very_many_chunks, "latest"), "cells_of_cells, newer": (cells_of_cells, "latest")}


def written(path: Path, writer: Writer, libver: str = "earliest") -> int:
    """Write a file; returns how many bytes there are once inflated."""
    with h5py.File(path, "w", userblock_size=512, libver=libver) as file:
        inflated = writer(file)
    data = HEADER + path.read_bytes()[128:]
    change = {names_that_overlap: overlapping, one_chunk_of_many_datasets: shared, one_chunk_of_many_places: shared}
    path.write_bytes(change[writer](data) if writer in change else data)
    return inflated + path.stat().st_size


@on_linux
@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_lies_costs_no_more_than_what_is_in_it(case: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    inflated = written(path, *HOSTILE[case])
    values, errors = cost(path, inflated)
    # These two state nothing that is not there.
    assert (not errors and values) if case in ("cell_of_empties", "bytes_as_doubles") else errors


def test_elements_without_contents_are_one_object(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        references(file, "c", empty(file.create_group("#refs#"), "a"), MIB)
    (tmp_path / "x.mat").write_bytes(HEADER + (tmp_path / "x.mat").read_bytes()[128:])
    cell = load(tmp_path / "x.mat")["c"]
    assert cell.size == MIB
    first = cell.ravel()[0]
    assert first.shape == (0, 0)
    assert all(element is first for element in cell.ravel()[::1000])


def test_parts_and_the_whole_of_a_large_array_may_be_read_again_and_again(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        of_class(deflated(file, "x", "f8", 4 * MIB), "double")
    (tmp_path / "x.mat").write_bytes(HEADER + (tmp_path / "x.mat").read_bytes()[128:])
    opened = load(tmp_path / "x.mat")
    left = opened["x"][0, 0] + opened._budget.left
    for start in range(0, 4 * MIB, MIB // 8):
        assert not opened["x"][0, start : start + MIB // 2].any()
    assert opened._budget.left == left
    for _ in range(20):
        assert not np.asarray(opened["x"]).any()
