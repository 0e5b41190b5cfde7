"""An input or output of a file: quantized inside the file, floating-point numbers outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._model._shapes import Shape

Array = NDArray[Any]


@dataclass(frozen=True)
class FileTensor:
    """An input or output of a file.

    Attributes:
        name: what the file calls it.
        shape: with the axis of observations; None where a length is free.
        dtype: of the numbers that the file takes.
        scale: what one step is worth; 0 where the numbers are not quantized.
        zero: the number that stands for zero.
    """

    name: str
    shape: Shape
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero: int = 0

    def encode(self, array: Array) -> Array:
        """Numbers as the file takes them, rounded half away from zero, as LiteRT's own operator does."""
        if not self.scale:
            return array.astype(self.dtype, copy=False)
        steps = np.asarray(array, np.float32) / np.float32(self.scale)
        whole = np.trunc(steps + np.copysign(np.float32(0.5), steps)) + self.zero
        limits = np.iinfo(self.dtype)
        return np.asarray(np.clip(whole, limits.min, limits.max).astype(self.dtype))

    def decode(self, array: Array) -> Array:
        """What numbers of the file are worth."""
        if not self.scale:
            return array
        return np.asarray(((array.astype(np.int32) - self.zero) * self.scale).astype(np.float32))


def numbered(name: str) -> tuple[str, int]:
    """Keras numbers its outputs: `output_10` comes after `output_9`."""
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return stem, int(digits or 0)
