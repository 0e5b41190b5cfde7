"""Numbers that Keras' layers do not take as they are: complex signals, and integers that stand for fractions."""

from __future__ import annotations

from typing import Literal

import numpy as np

from matlab_bridge._errors import DatasetError

from ._values import Array

ComplexForm = Literal["iq", "polar", "magnitude"]

_FORMS = ("iq", "polar", "magnitude")


def real_channels(array: Array, form: ComplexForm = "iq") -> Array:
    """Complex channels as real ones along the last axis.

    Args:
        array: `(..., C)`, complex; a real array is taken for complex without an imaginary part.
        form: `"iq"`, the C real parts, then the C imaginary parts, which is the order of `SplitComplexInputs`
            of MATLAB's input layers; `"polar"`, the magnitudes, then the phases in radians, -pi to pi;
            `"magnitude"`, the magnitudes alone.

    Returns:
        float32, `(..., 2 C)`, or `(..., C)` for `"magnitude"`.

    Raises:
        ValueError: for another form.
    """
    if form not in _FORMS:
        raise ValueError(f"form is {form!r}; complex numbers can be made {', '.join(map(repr, _FORMS))}.")
    if form == "iq":
        parts = [array.real, array.imag]
    elif form == "polar":
        parts = [np.abs(array), np.angle(array)]
    else:
        parts = [np.abs(array)]
    shape = (*array.shape[:-1], len(parts) * array.shape[-1])
    return np.concatenate(parts, axis=-1, out=np.empty(shape, np.float32), casting="same_kind")


def scale(array: Array, factor: float | None = None) -> Array:
    """Numbers times a factor, as float32.

    Args:
        array: any numbers.
        factor: by default what makes fractions of integers: signed ones become -1 to 1 (1 not included, as in
            `audioread`), unsigned ones 0 to 1 (as in `im2single`).

    Raises:
        DatasetError: if there is no factor and the numbers are no integers.
    """
    if factor is None:
        if array.dtype.kind not in "iu":
            raise DatasetError(
                f"The inputs are {array.dtype.name}, of which nothing says how large they can be. Pass factor=."
            )
        bits = 8 * array.dtype.itemsize
        factor = 2.0 ** (1 - bits) if array.dtype.kind == "i" else 1 / (2**bits - 1)
    kind = np.complex64 if array.dtype.kind == "c" else np.float32
    return np.multiply(array, kind(factor), dtype=kind)
