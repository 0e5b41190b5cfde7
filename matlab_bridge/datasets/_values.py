"""Arrays of observations, and what messages say of a value: its class and size in MATLAB's words, its names."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from matlab_bridge.matfile._values import CategoricalArray, MatlabObject

Array = npt.NDArray[Any]
Sequences = list[Array]

# Small integers are kept: float32 holds each of them exactly, so that a model that casts a batch sees the
# same numbers, and images take a quarter of the memory until then.
_KEPT = {np.dtype(name) for name in ("uint8", "int8", "uint16", "int16")}


def as_input(array: Any) -> Array:
    """The numbers of a source, contiguous: small integers as they are, all else float32 or complex64."""
    array = np.asarray(array)
    other = np.complex64 if array.dtype.kind == "c" else np.float32
    return np.ascontiguousarray(array, dtype=array.dtype if array.dtype in _KEPT else other)


def size_text(shape: tuple[int, ...]) -> str:
    """A size in MATLAB's way: `"28 x 28 x 1 x 2000"`."""
    return " x ".join(map(str, shape))


def shorten(names: Any, limit: int = 12) -> str:
    """A list for a message: all of a few, or the first of many and how many more there are."""
    texts = [repr(str(name)) for name in names]
    more = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {more} more" if more > 0 else "") if texts else "none"


def matlab_class(value: Any) -> str:
    """What MATLAB's `class` says of a value."""
    if isinstance(value, MatlabObject):
        return value.class_name
    if isinstance(value, pd.DataFrame):
        return "table"
    if isinstance(value, CategoricalArray | pd.Categorical):
        return "categorical"
    dtype = getattr(value, "dtype", None)
    kinds = {"O": "cell", "T": "string", "U": "char", "b": "logical"}
    names = {
        "float64": "double",
        "float32": "single",
        "complex128": "complex double",
        "complex64": "complex single",
    }
    return kinds.get(getattr(dtype, "kind", ""), names.get(str(dtype), str(dtype)))


def matlab_size(value: Any) -> tuple[int, ...]:
    """What MATLAB's `size` says of a value."""
    if isinstance(value, CategoricalArray):
        return tuple(np.shape(value.codes))
    if isinstance(value, MatlabObject):
        return (1, 1)
    shape = tuple(np.shape(value))
    return (*shape, 1) if len(shape) == 1 else shape
