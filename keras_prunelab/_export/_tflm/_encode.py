"""Constants as the operator DECODE of TensorFlow Lite Micro reads them: a bit mask and values, or a look-up table.

Each encoding is two arrays of bytes: the codes, and the ancillary data, which begin with a header of 16 bytes. The
format is that of `decode.py` and `lut.py` in
https://github.com/tensorflow/tflite-micro/tree/main/tensorflow/lite/micro/compression, and of `decode_state_prune.cc`
in `tensorflow/lite/micro/kernels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"
Form: TypeAlias = Literal["mask", "table"]

_TABLE, _MASK = 0, 2  # the types of decoding
_VERSION = 1
_WHOLE = 15  # the axis that stands for one table for all channels
_MOST_BITS = 7


@dataclass(frozen=True)
class Encoding:
    """A constant, encoded.

    Attributes:
        form: `"mask"` or `"table"`.
        codes: what there is of each value.
        ancillary: the header, and the values.
    """

    form: Form
    codes: bytes
    ancillary: bytes

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return len(self.codes) + len(self.ancillary)


def smallest(values: Array, zeros: Array | None, axis: int | None) -> Encoding:
    """The encoding of a constant that takes the fewest bytes.

    Args:
        values: the constant, in its own type.
        zeros: the number that stands for zero, one for each channel along `axis`; None where it is 0 everywhere.
        axis: that of the channels, the first or the last; None where the constant is quantized as a whole, or not.

    Returns:
        The encoding; the constant itself may be smaller.
    """
    found = [_mask(values, zeros, axis)]
    axes = [None] if axis is None else [None, axis]
    found += [encoding for each in axes if (encoding := _table(values, each)) is not None]
    return min(found, key=lambda encoding: encoding.size)


def _mask(values: Array, zeros: Array | None, axis: int | None) -> Encoding:
    """A bit for each value, the first in the highest bit of the first byte, and the values that are not zero."""
    zero: Array = np.zeros((), values.dtype)
    if zeros is not None and zeros.any():
        shape = [1] * values.ndim
        if axis is not None:
            shape[axis] = -1
        zero = zeros.astype(values.dtype).reshape(shape)
    kept = (_bits(values) != _bits(np.broadcast_to(zero, values.shape))).reshape(-1)
    return Encoding("mask", np.packbits(kept).tobytes(), _header(_MASK) + values.reshape(-1)[kept].tobytes())


def _table(values: Array, axis: int | None) -> Encoding | None:
    """The place of each value in a table, of all values or of those of its channel; None where a table is too long."""
    rows = _bits(values).reshape(1, -1) if axis is None else np.moveaxis(_bits(values), axis, 0)
    found = [np.unique(row, return_inverse=True) for row in rows]
    length = max(len(table) for table, _ in found)
    bits = max(1, (length - 1).bit_length())
    if bits > _MOST_BITS:
        return None
    tables = np.zeros((len(rows), length), rows.dtype)
    places = np.empty(rows.shape, np.uint8)
    for number, (table, inverse) in enumerate(found):
        tables[number, : len(table)] = table
        places[number] = inverse.reshape(rows.shape[1:])
    if axis is not None:
        places = np.moveaxis(places, 0, axis)
    codes = np.packbits(np.unpackbits(places.reshape(-1, 1), axis=1)[:, 8 - bits :])
    # Kernels go from table to table along the channels of the quantization, whatever the header says: one has no step.
    channels, step = (_WHOLE, 0) if axis is None else (axis, length)
    return Encoding("table", codes.tobytes(), _header(_TABLE, channels << 4 | bits, step) + tables.tobytes())


def _header(kind: int, *parameters: int) -> bytes:
    return bytes((kind, _VERSION, 0, 0, _VERSION, *parameters)).ljust(16, b"\0")


def _bits(values: Array) -> Array:
    """The values as whole numbers of the same bits: -0.0 is not 0.0, and NaN equals itself."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")
