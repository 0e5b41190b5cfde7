"""How many bytes arrays take when they are stored."""

from __future__ import annotations

import numpy as np


def width(dtype: str) -> int:
    """The bytes of one number.

    Args:
        dtype: as Keras names it, `"bfloat16"` included, which NumPy does not know.

    Examples:
        >>> width("float32"), width("bfloat16")
        (4, 2)
    """
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def sparse_bytes(size: int, kept: int, width: int) -> int:
    """The bytes of an array with zeros: the kept values and one bit a value that says which, or all where that is less.

    Args:
        size: how many values it has.
        kept: how many of them are not zero.
        width: the bytes of each.

    Examples:
        >>> sparse_bytes(1000, 100, 4), sparse_bytes(1000, 990, 4)
        (525, 4000)
    """
    return min(size * width, kept * width + -(-size // 8))
