"""The values in cells that are read many at a time: which are, and what they are."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._level5._plain import PlainReader
from matlab_bridge.matfile._level5._walk import Walker
from tests.matlab_bridge.mat5_by_hand import CHAR, CLASSES, DATA_TYPES, Mat5

ORDERS = pytest.mark.parametrize("order", ["<", ">"])


def read(order: str, matrices: list[bytes]) -> tuple[list, list[int]]:
    content = b"".join(matrices)
    starts = np.cumsum([0, *map(len, matrices[:-1])])
    budget = Budget()
    budget.earn(1 << 28)
    values, others = PlainReader(Walker(content, order), budget).read(starts)
    return values.tolist(), others.tolist()


@ORDERS
@pytest.mark.parametrize("count", [1, 7, 8, 9])
@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 3), (4, 4), (5, 7), (300, 1), (1, 7_000)])
def test_numbers_of_every_class_however_they_are_stored(order: str, count: int, shape: tuple[int, int]) -> None:
    """Few and many of one layout, small and large ones: parts of one array, or arrays of their own."""
    random, expected, matrices = np.random.default_rng(0), [], []
    for code in CLASSES:
        for _ in range(count):
            array = random.integers(0, 100, shape).astype(code)
            matrices += [Mat5(order).matrix(array, compact=compact) for compact in (False, True)]
            expected += [array, array]
    values, others = read(order, matrices)
    assert others == []
    for found, array in zip(values, expected, strict=True):
        assert found.dtype.newbyteorder("=") == array.dtype
        np.testing.assert_array_equal(found, array)


@ORDERS
def test_rows_of_text_and_what_was_never_set(order: str) -> None:
    writer, texts = Mat5(order), ["", "a", "ab", "abc", "some more letters", "aé中😀"]
    matrices = [writer.matrix(text) for text in texts]
    matrices += [writer._matrix(CHAR, (1, len(text)), "", writer.element(1, text.encode())) for text in texts[:5]]
    matrices += [writer._matrix(CHAR, (0, 0), "", writer.element(4, b"")), struct.pack(order + "2I", 14, 0)]
    values, others = read(order, matrices)
    assert others == []
    assert values[:-1] == [*texts, *texts[:5], ""]
    assert values[-1].shape == (0, 0)


@ORDERS
def test_what_is_left_to_be_read_alone(order: str) -> None:
    writer = Mat5(order)
    double = CLASSES["f8"]
    eight = struct.pack(order + "d", 1.0)
    plain = writer.matrix(np.ones((2, 2)))
    others = [
        writer.matrix({"a": 1.0}),
        writer._matrix(double, (1, 1, 1), "", writer.element(9, eight)),
        writer._matrix(double, (1, 1), "x", writer.element(9, eight)),
        writer._matrix(double, (1, 2), "", writer.element(9, eight)),
        writer._matrix(double, (1, 1), "", writer.element(77, eight)),
        writer._matrix(double, (1, 1), "", writer.element(16, eight)),
        writer._matrix(CHAR, (2, 2), "", writer.element(1, b"abcd")),
        writer._matrix(CHAR, (1, 2), "", writer.element(4, b"abc")),
        writer._matrix(CHAR, (1, 2), "", writer.element(DATA_TYPES["f8"], eight)),
        writer._matrix(2**27 + double, (1, 1), "", writer.element(9, eight)),
        writer._matrix(double + 0x800, (1, 1), "", writer.element(9, eight) * 2),
    ]
    mixed = [part for other in others for part in (plain, other)]
    values, left = read(order, [*mixed, plain])
    assert left == list(range(1, len(mixed), 2))
    assert all(value is None for value in values[1::2])
    for value in values[::2]:
        np.testing.assert_array_equal(value, np.ones((2, 2)))


@pytest.mark.parametrize("shape", [(2, 8), (16, 1), (30, 20)])
def test_memory_that_is_allocated_is_counted_before(shape: tuple[int, int]) -> None:
    """Doubles that are stored in a byte each take eight times the bytes of the file."""
    writer, budget = Mat5(), Budget()
    matrices = [writer.matrix(np.full(shape, 7.0))] * 20
    before = budget.left
    starts = np.cumsum([0, *map(len, matrices[:-1])])
    values, _ = PlainReader(Walker(b"".join(matrices), "<"), budget).read(starts)
    assert before - budget.left >= sum(value.nbytes for value in values) == 20 * 8 * shape[0] * shape[1]
