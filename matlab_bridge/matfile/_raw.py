"""What the readers of all versions hand to the conversion: MATLAB's arrays, before objects are looked up.

| MATLAB                     | raw                                                              |
|----------------------------|------------------------------------------------------------------|
| numeric, logical           | `numpy.ndarray` of its dtype, in MATLAB's shape                  |
| char                       | `numpy.ndarray` of `<U1`, one UTF-16 unit an element             |
| sparse                     | `scipy.sparse.csc_array`                                         |
| cell                       | `numpy.ndarray` of object                                        |
| struct                     | `numpy.ndarray` of a structured dtype, every field an object     |
| object of the older kind   | `OldObject`: the struct of its fields, and its class             |
| function handle            | `Function`: the struct that describes it                         |
| any other object           | `Marker`: where its contents are                                 |
| text, cell or struct in which no object is | its value, as `_values` has it: `str`, or `Finished` around it |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from matlab_bridge._errors import TruncatedFileError

Array = np.ndarray[Any, Any]

MARKER_MAGIC = 0xDD000000
_MOST_AXES = 64  # of NumPy's arrays

# What values take in memory beside what they hold: with the memory allocator's own, as measured.
ARRAY_BYTES, TEXT_BYTES, FIELD_BYTES, OBJECT_BYTES, ITEM_BYTES = 168, 80, 400, 96, 8

DTYPES: dict[str, np.dtype[Any]] = {
    "double": np.dtype("f8"),
    "single": np.dtype("f4"),
    "logical": np.dtype("?"),
    **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True, slots=True)
class OldObject:
    """An object of a class of the older kind: its fields are stored with it."""

    class_name: str
    fields: Array


@dataclass(frozen=True, slots=True)
class Function:
    """A function handle: a struct, or an empty array."""

    fields: Array


@dataclass(frozen=True, slots=True)
class Finished:
    """A cell or struct in which nothing has to be converted: the value itself."""

    value: Any


@dataclass(frozen=True, slots=True)
class Marker:
    """Stands where an object is; the object's contents are in the subsystem of the file.

    Attributes:
        class_name: as the marker has it; in v7.3 and v7 that of the array, not of its elements.
        type_system: `"MCOS"` for MATLAB's own classes, `"java"` or `"handle"` for others.
        metadata: numbers that say where to look, or for an enumeration a struct.
    """

    class_name: str
    type_system: str
    metadata: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of the object array."""
        if is_marker(self.metadata):
            return marker_shape(self.metadata)
        if is_enumeration(self.metadata):
            return tuple(self.metadata[0, 0]["ValueIndices"].shape)
        return (1, 1)


def matlab_shape(stored: tuple[int, ...], *, is_text: bool = False) -> tuple[int, ...]:
    """A size of at least two axes; a vector that was stored with one is a column of numbers, or a row of text."""
    if len(stored) > 1:
        return stored
    return (1, *stored, 1)[:2] if is_text else (*stored, 1, 1)[:2]


def dict_bytes(count: int) -> int:
    """What a dict of so many items takes, but for what they refer to."""
    return 72 + (max(112, 40 * count) if count else 0)


def is_marker(value: Any) -> bool:
    """Whether an array of numbers is the marker of an object."""
    return (
        isinstance(value, np.ndarray)
        and value.dtype == np.uint32
        and value.ndim == 2
        and value.size >= 3
        and value.flat[0] == MARKER_MAGIC
    )


def marker_shape(metadata: Array) -> tuple[int, ...]:
    """The size of the object array that a marker stands for."""
    numbers = metadata.ravel(order="F")
    if numbers[1] > _MOST_AXES:
        raise TruncatedFileError(f"an array of objects states {numbers[1]} axes")
    return tuple(int(n) for n in numbers[2 : 2 + int(numbers[1])])


def marker_ids(metadata: Array) -> tuple[Array, int]:
    """The ids of the elements, in MATLAB's order, and the id of the class of the array."""
    numbers = metadata.ravel(order="F")
    first = 2 + int(numbers[1])
    count = math.prod(marker_shape(metadata))
    if first + count + 1 != numbers.size:
        raise ValueError(f"the marker of an object array has {numbers.size} numbers instead of {first + count + 1}")
    return numbers[first:-1], int(numbers[-1])


def is_enumeration(value: Any) -> bool:
    """Whether a struct is what stands for members of an enumeration class."""
    return (
        isinstance(value, np.ndarray)
        and value.shape == (1, 1)
        and value.dtype.names is not None
        and "EnumerationInstanceTag" in value.dtype.names
    )


def complex_array(real: Array, imaginary: Array, dtype: np.dtype[Any] | None = None) -> Array:
    """A complex array of two parts: complex64 of singles, else complex128 (there are no complex integers).

    Args:
        real: numbers of any type.
        imaginary: as many.
        dtype: of MATLAB's class, where the parts are stored as another; that of `real` if None.
    """
    # Not real + 1j * imaginary: that makes NaN of an infinite part.
    array = np.empty(real.shape, np.complex64 if (dtype or real.dtype) == np.float32 else np.complex128)
    array.real, array.imag = real, imaginary
    return array


def sparse_matrix(values: Array, rows: Array, starts: Array, shape: tuple[int, int]) -> scipy.sparse.csc_array[Any]:
    """A sparse matrix by columns, its indices checked: SciPy's compiled code trusts them."""
    if starts.size != shape[1] + 1 or starts[0] != 0 or np.any(np.diff(starts.astype(np.int64)) < 0):
        raise ValueError("the column starts of a sparse matrix do not increase from 0")
    if not values.size == rows.size == starts[-1] or (rows.size and not 0 <= rows.min() <= rows.max() < shape[0]):
        raise ValueError(f"the row indices of a sparse matrix do not fit its size {shape}")
    parts: Any = (values, rows.astype(np.int64), starts.astype(np.int64))
    return scipy.sparse.csc_array(parts, shape=shape)
