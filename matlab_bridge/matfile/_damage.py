"""The errors that libraries raise over damaged bytes."""

from __future__ import annotations

import struct

from ._inflate import DEFLATE_ERRORS

SYMPTOMS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    *DEFLATE_ERRORS,
)
"""The errors of NumPy, SciPy, pandas, h5py and zlib over damaged bytes."""
