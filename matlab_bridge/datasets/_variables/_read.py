"""The variables of a file, of whichever kind it is: a MAT-file, `.npz`, `.npy` or `.csv`."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd

from matlab_bridge._errors import DatasetError
from matlab_bridge.datasets._archives import DAMAGE, MAX_BYTES, members_of, open_container
from matlab_bridge.datasets._expected import Expected
from matlab_bridge.datasets._values import Array

SINGLE = "data"
"""What the contents of a file are called that holds one thing without a name."""

_NUMPY = frozenset((".npy", ".npz"))


def read_variables(path: Path, expected: Expected, max_bytes: int = MAX_BYTES) -> Mapping[str, Any]:
    """The variables of a file by name; a `.npy` or a `.csv` has one, `data`.

    Args:
        path: a file; what does not end in `.npz`, `.npy` or `.csv` is read as a MAT-file.
        expected: tells sequences from images: NumPy's first axis, the observations, becomes MATLAB's last one.
        max_bytes: the most that an `.npz` may take, inflated.

    Returns:
        Values as `matfile.load` gives them.

    Raises:
        UnsafeArchiveError: if an `.npz` would take more.
        DatasetError: if NumPy or pandas cannot read the file, or it holds Python objects.
        MatFileError: as `matfile.load` does.
    """
    kind = path.suffix.lower()
    if kind not in _NUMPY | {".csv"}:
        from matlab_bridge.matfile import load

        return load(path, lazy=False)
    try:
        if kind == ".csv":
            return {SINGLE: pd.read_csv(path)}
        if kind == ".npz" or zipfile.is_zipfile(path):
            with open_container(path) as archive:
                members_of(archive, max_bytes)
        with path.open("rb") as file:  # not by NumPy, which leaves a damaged file open
            found = np.load(file, allow_pickle=False)
            arrays = dict(found) if isinstance(found, Mapping) else {SINGLE: found}
    except (FileNotFoundError, DatasetError):
        raise
    except (OSError, SyntaxError, TypeError, MemoryError, TokenError, *DAMAGE) as error:
        raise DatasetError(
            f"{path} cannot be read as a {kind} file: {error}. Python objects are never read from a file; save arrays "
            "of numbers or text."
        ) from error
    return {name: _as_in_matlab(array, expected) for name, array in arrays.items()}


def is_numpy(path: Path) -> bool:
    """Whether a file's arrays have the observations along their first axis."""
    return path.suffix.lower() in _NUMPY


def _as_in_matlab(array: Array, expected: Expected) -> Array:
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind == "U":
        array = array.astype(object)
    if array.ndim < 2:
        return array.reshape(-1, 1)
    if array.ndim == 2:
        return array
    return array.transpose(2, 1, 0) if expected.kind == "sequence" and array.ndim == 3 else np.moveaxis(array, 0, -1)
