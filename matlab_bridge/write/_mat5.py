"""Other numbers in the place of some in a MAT 5 stream, and all else as it was."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from matlab_bridge.matfile._places5 import STORED_AS, NumericArray

Vector = npt.NDArray[Any]

_KINDS = {dtype: kind for kind, dtype in STORED_AS.items()}


def replace_arrays(content: bytes, changes: Mapping[NumericArray, Vector]) -> bytes:
    """The content with other numbers in some of its arrays, and with the sizes that follow from them.

    Args:
        content: the stream in which `numeric_arrays` found the arrays.
        changes: for each array its numbers in column-major order, of its own dtype and size.
    """
    arrays = sorted(changes, key=lambda array: array.tag.start)
    elements = [_element(array, changes[array]) for array in arrays]
    buffer = bytearray(content)
    for array, element in zip(arrays, elements, strict=True):
        growth = len(element) - (array.tag.stop - array.tag.start)
        for counter in array.counters if growth else ():
            (count,) = struct.unpack_from(array.order + "I", buffer, counter)
            struct.pack_into(array.order + "I", buffer, counter, count + growth)
    pieces: list[bytes | memoryview] = []
    done = 0
    for array, element in zip(arrays, elements, strict=True):
        pieces += [memoryview(buffer)[done : array.tag.start], element]
        done = array.tag.stop
    return b"".join([*pieces, memoryview(buffer)[done:]])


def _element(array: NumericArray, values: Vector) -> bytes:
    """The bytes from tag to padding with other numbers, stored in the same type if that is exact."""
    storage = array.storage if _holds(array.storage, values) else array.dtype
    data = values.astype(storage.newbyteorder(array.order)).tobytes()
    kind = _KINDS[storage]
    if array.tag.is_small and len(data) <= 4:
        return struct.pack(array.order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(array.order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def _holds(storage: np.dtype[Any], values: Vector) -> bool:
    """Whether numbers can be stored in this type, and come back as they were."""
    if np.can_cast(values.dtype, storage):
        return True
    if storage.kind == "f":
        with np.errstate(over="ignore"):
            return np.array_equal(values.astype(storage).astype(values.dtype), values, equal_nan=True)
    limits = np.iinfo(storage)
    whole = np.isfinite(values).all() and (values == np.rint(values)).all()
    return bool(whole and values.min(initial=0) >= limits.min and values.max(initial=0) < limits.max + 1)
