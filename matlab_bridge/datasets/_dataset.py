"""What every source of data becomes: observations first, labels as class indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Sequences = list[Array]

# Small integers are kept: float32 holds each of them exactly, so that a model that casts a batch sees the
# same numbers, and images take a quarter of the memory until then.
_KEPT = {np.dtype(name) for name in ("uint8", "int8", "uint16", "int16")}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Observations and their labels, ready for a Keras model.

    Attributes:
        inputs: images `(N, H, W, C)`, features `(N, D)`, or a list of N sequences `(T, D)`. The numbers are
            those of the
            source: nothing is rescaled, because a network normalizes its own input. 8- and 16-bit integers
                keep their type,
            everything else is float32.
        labels: class indices, 0-based in the order of `class_names`, int64 `(N,)`; responses of a regression,
            float32 `(N, R)`; a list of such arrays, one a sequence, where each time step has its own label;
            None without labels.
        class_names: in the order of the network's outputs; empty for a regression.
        description: what was found and how it was read, one sentence a line.
    """

    inputs: Array | Sequences
    labels: Array | Sequences | None
    class_names: tuple[str, ...]
    description: str

    def __len__(self) -> int:
        return len(self.inputs)


def as_input(array: Any) -> Array:
    """The numbers of a source, contiguous: small integers as they are, everything else as float32."""
    array = np.asarray(array)
    return np.ascontiguousarray(array, dtype=array.dtype if array.dtype in _KEPT else np.float32)


def size_text(shape: tuple[int, ...]) -> str:
    """A size in MATLAB's way: `"28 x 28 x 1 x 2000"`."""
    return " x ".join(map(str, shape))


def shortened(names: Any, limit: int = 12) -> str:
    """A list for a message: all of a few, or the first of many and how many more there are."""
    texts = [repr(str(name)) for name in names]
    more = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {more} more" if more > 0 else "") if texts else "none"
