"""The walk over MAT 5 streams, against SciPy's reader and against bytes made by hand."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from matlab_bridge import TruncatedFileError
from matlab_bridge.matfile._header import ByteOrder
from matlab_bridge.matfile._level5._places import NumericArray, numeric_arrays
from matlab_bridge.write._original._level5 import replace_arrays

from .mat5_by_hand import Mat5

ORDERS = pytest.mark.parametrize("order", ["<", ">"])
NUMBERS = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    return st_numpy.array_shapes(min_dims=2, max_dims=4, max_side=3, min_side=0)


def arrays(dtypes: tuple[str, ...] = NUMBERS) -> st.SearchStrategy[np.ndarray]:
    return st.sampled_from(dtypes).flatmap(
        lambda code: st_numpy.arrays(code, shapes(), elements=st.integers(0, 127) if code[0] != "f" else None)
    )


def cell(items: list[Any]) -> np.ndarray:
    array = np.empty((1, len(items)), dtype=object)
    array[0, :] = items
    return array


def values() -> st.SearchStrategy[Any]:
    """Arrays, text, and cells and structs of such values."""
    names = st.sampled_from(["Weights", "Bias", "a", "Initializer"])
    return st.recursive(
        arrays() | st.sampled_from(["", "relu", "crossentropyex"]),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3).map(cell) | st.dictionaries(names, inner, min_size=1, max_size=3)
        ),
        max_leaves=8,
    )


def leaves(value: Any) -> Iterator[np.ndarray]:
    """The numeric arrays of a Python value, in the order in which MATLAB stores them."""
    if isinstance(value, dict):
        value = cell(list(value.values()))
    if isinstance(value, np.ndarray) and value.dtype == object:
        for item in value.ravel(order="F"):
            yield from leaves(item)
    elif not isinstance(value, str):
        yield value


def elements_of(file: bytes) -> Iterator[bytes]:
    """The variables of a file, inflated."""
    offset, order = 128, "<" if file[126:128] == b"IM" else ">"
    while offset < len(file):
        kind, nbytes = struct.unpack_from(order + "II", file, offset)
        data = file[offset + 8 : offset + 8 + nbytes]
        yield zlib.decompressobj().decompress(data) if kind == 15 else file[offset : offset + 8 + nbytes]
        offset += 8 + nbytes


def assert_same(found: list[NumericArray], content: bytes, expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for array, value in zip(found, expected, strict=True):
        assert (array.dtype, array.shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(array.values(content), value.ravel(order="F"))


@given(value=values(), compress=st.booleans())
def test_finds_every_array_that_scipy_wrote(value: Any, compress: bool) -> None:
    file = io.BytesIO()
    scipy.io.savemat(file, {"net": value, "after": np.pi}, do_compression=compress, long_field_names=True)
    content = b"".join(elements_of(file.getvalue()))
    found = list(numeric_arrays(content, "<"))
    assert_same(found, content, [*leaves(value), np.array([[np.pi]])])
    assert found[-1].name == "after"


@ORDERS
@given(value=values())
def test_finds_every_array_in_either_byte_order_and_compact_storage(order: ByteOrder, value: Any) -> None:
    content = Mat5(order).matrix(value, "net")
    assert_same(list(numeric_arrays(content, order)), content, list(leaves(value)))


@ORDERS
def test_says_how_whole_numbers_are_stored(order: ByteOrder) -> None:
    content = Mat5(order).matrix({"a": np.zeros((3, 1), "f4"), "b": np.full((3, 1), 0.5, "f4")}, "x")
    small, plain = numeric_arrays(content, order)
    assert (small.storage, small.tag.is_small) == (np.dtype("u1"), True)
    assert (plain.storage, plain.tag.is_small) == (np.dtype("f4"), False)


@ORDERS
@given(value=values(), data=st.data())
def test_other_numbers_take_the_place_of_some_and_leave_all_else(
    order: ByteOrder, value: Any, data: st.DataObject
) -> None:
    writer = Mat5(order)
    content = writer.matrix({"net": value, "tail": "kept"}, "x")
    found = [array for array in numeric_arrays(content, order) if array.dtype.kind == "f"]
    chosen = data.draw(st.sets(st.sampled_from(found))) if found else set()
    changes = {
        array: data.draw(st_numpy.arrays(array.dtype, array.size, elements=st.sampled_from([0, 1, 0.1, 300])))
        for array in chosen
    }
    patched = replace_arrays(content, changes)

    starts = {array.tag.start: values for array, values in changes.items()}
    before, after = numeric_arrays(content, order), numeric_arrays(patched, order)
    for old, new in zip(before, after, strict=True):
        expected = starts.get(old.tag.start, old.values(content))
        assert (new.dtype, new.shape) == (old.dtype, old.shape)
        np.testing.assert_array_equal(new.values(patched), expected)
    # SciPy, which knows nothing of this package, finds its way through the new sizes.
    assert scipy.io.loadmat(io.BytesIO(writer.file(patched)))["x"]["tail"][0, 0] == "kept"


@ORDERS
def test_a_subsystem_grows_with_the_numbers_in_it(order: ByteOrder) -> None:
    writer = Mat5(order)
    zeros, fraction = np.zeros((5, 1), "f4"), np.full((2, 2), 0.25, "f4")
    first = writer.matrix({"MCOS": cell([zeros, fraction])}, "first")
    content = writer.subsystem(first, writer.matrix(zeros, "second"), name="carrier")
    found = list(numeric_arrays(content, order, subsystem=True))
    assert_same(found, content, [zeros, fraction, zeros])

    grown = np.linspace(0.1, 0.5, 5, dtype="f4")
    patched = replace_arrays(content, {found[0]: grown})
    assert_same(list(numeric_arrays(patched, order, subsystem=True)), patched, [grown[:, None], fraction, zeros])
    carrier = scipy.io.loadmat(io.BytesIO(writer.file(patched)))["carrier"]
    inner = scipy.io.loadmat(io.BytesIO(writer.file(carrier.tobytes()[8:])))
    np.testing.assert_array_equal(inner["first"]["MCOS"][0, 0][0, 0].ravel(), grown)
    np.testing.assert_array_equal(inner["first"]["MCOS"][0, 0][0, 1], fraction)
    np.testing.assert_array_equal(inner["second"], zeros)


def test_every_cut_of_a_stream_is_an_error() -> None:
    content = Mat5().matrix({"Weights": np.full((2, 3), 0.5), "Name": "conv1", "Bias": np.zeros((2, 1))}, "x")
    for stop in range(1, len(content)):
        with pytest.raises(TruncatedFileError, match="cut off or damaged"):
            list(numeric_arrays(content[:stop], "<"))


@ORDERS
@given(data=st.data())
def test_broken_bytes_are_an_error_or_a_stream(order: ByteOrder, data: st.DataObject) -> None:
    writer = Mat5(order)
    inner = {"a": cell([np.zeros((2, 1)), np.full((2, 2), 0.5)]), "b": "text"}
    content = bytearray(writer.subsystem(writer.matrix(inner)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for subsystem in (False, True):
        try:
            for array in numeric_arrays(bytes(content), order, subsystem=subsystem):
                assert array.values(bytes(content)).size == array.size
        except TruncatedFileError:
            pass


def test_bytes_that_pretend_to_be_nested_without_end_are_an_error() -> None:
    value: Any = np.zeros((1, 1))
    for _ in range(250):
        value = cell([value])
    with pytest.raises(TruncatedFileError, match="nested more than 200 deep"):
        list(numeric_arrays(Mat5().matrix(value), "<"))


@pytest.mark.parametrize("content", [{"a": 1.0}, np.zeros((2, 2), "u1"), np.zeros((1, 20))])
def test_a_subsystem_that_is_no_stream_is_an_error(content: Any) -> None:
    with pytest.raises(TruncatedFileError):
        list(numeric_arrays(Mat5().matrix(content), "<", subsystem=True))


@pytest.mark.corpus
def test_finds_in_real_files_what_scipy_reads_there(corpus: Path) -> None:
    catalogue = json.loads((corpus / "catalogue.json").read_text(encoding="utf-8"))
    compared = 0
    for entry in catalogue:
        if not entry["mat_version"].startswith("v7 "):
            continue
        path = corpus / entry["file"]
        found = {
            array.name: array.values(content).reshape(array.shape, order="F")
            for content in elements_of(path.read_bytes())
            for array in numeric_arrays(content, "<")
            if array.name
        }
        expected = scipy.io.loadmat(path, variable_names=list(found)) if found else {}
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=f"{name} of {entry['file']}")
        compared += len(found)
    assert compared > 300


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_as_many_numbers_as_the_size_says(count: int) -> None:
    writer = Mat5()
    numbers = writer.element(9, np.arange(count, dtype="<f8").tobytes())
    with pytest.raises(TruncatedFileError, match=f"3 numbers are said to be {8 * count} bytes of kind 9"):
        list(numeric_arrays(writer._matrix(6, (1, 3), "x", numbers), "<"))
    with pytest.raises(TruncatedFileError, match="3 numbers are said to be 24 bytes of kind 77"):
        list(numeric_arrays(writer._matrix(6, (1, 3), "x", writer.element(77, bytes(24))), "<"))


def test_as_deep_as_values_may_be_nested() -> None:
    writer, matrix = Mat5(), Mat5().matrix(np.ones((1, 2)))
    for _ in range(200):
        matrix = writer._matrix(1, (1, 1), "", matrix)
    (deepest,) = numeric_arrays(matrix, "<")
    assert len(deepest.counters) == 201
    with pytest.raises(TruncatedFileError, match="nested more than 200 deep"):
        list(numeric_arrays(writer._matrix(1, (1, 1), "", matrix), "<"))
