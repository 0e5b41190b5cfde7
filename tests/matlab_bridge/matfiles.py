"""What the tests of MAT-files share: an equality of values, and files made for them."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse


def assert_same(found: Any, expected: Any) -> None:
    """Assert that two values are the same: types, shapes, dtypes, and every element; NaN equals NaN."""
    assert type(found) is type(expected), (found, expected)
    match expected:
        case dict():
            assert list(found) == list(expected)
            for key in expected:
                assert_same(found[key], expected[key])
        case pd.DataFrame():
            pd.testing.assert_frame_equal(found, expected, check_column_type=False)
            assert found.attrs == expected.attrs
        case pd.Categorical():
            pd.testing.assert_extension_array_equal(found, expected)
        case np.ndarray() if expected.dtype == object:
            assert found.shape == expected.shape
            assert getattr(found, "fields", None) == getattr(expected, "fields", None)
            for index in np.ndindex(expected.shape):
                assert_same(found[index], expected[index])
        case np.ndarray():
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
        case _ if scipy.sparse.issparse(expected):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found.toarray(), expected.toarray())
        case _:
            assert found == expected


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    """A data element of the Level 5 format, in its long form."""
    return struct.pack(order + "2I", kind, len(data)) + data + bytes(-len(data) % 8)


def level5_matrix(kind: int, shape: tuple[int, ...], *parts: bytes, name: str = "x", order: str = "<") -> bytes:
    """A matrix of the Level 5 format: flags, size, name, and then its parts."""
    head = element(6, struct.pack(order + "2I", kind, 0), order)
    size = element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    return element(14, head + size + element(1, name.encode(), order) + b"".join(parts), order)


def level5_file(*elements: bytes, order: str = "<", compressed: bool = False, subsystem_offset: int = 0) -> bytes:
    """A whole Level 5 file of some elements."""
    text = b"MATLAB 5.0 MAT-file, Platform: PCWIN64, Created on: Mon Jan  2 03:04:05 2023".ljust(116)
    head = text + bytes(8)
    head += b"\x00\x01IM" if order == "<" else b"\x01\x00MI"
    if compressed:
        deflated = [zlib.compress(one) for one in elements]
        elements = tuple(struct.pack(order + "2I", 15, len(one)) + one for one in deflated)
    return head + b"".join(elements)


def opaque_marker(class_name: str, name: str = "x") -> bytes:
    """A variable that is an object: nothing but the marker of the first object, of the first class."""
    numbers = np.array([0xDD000000, 2, 1, 1, 1, 1], "<u4")
    marker = level5_matrix(13, (6, 1), element(6, numbers.tobytes()), name="")
    texts = b"".join(element(1, text.encode()) for text in (name, "MCOS", class_name))
    return element(14, element(6, struct.pack("<2I", 17, 0)) + texts + marker)
