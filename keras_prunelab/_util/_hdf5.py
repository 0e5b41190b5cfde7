"""Files of HDF5 that others made: looked through in another process before Keras opens them in this one."""

from __future__ import annotations

from pathlib import Path

from keras_prunelab._errors import InvalidModelError

from ._limited_process import problem_of

_CHILD = Path(__file__).with_name("_hdf5_child.py")
_SECONDS = 5.0  # with the start of Python
_BYTES_PER_SECOND = 1e7


def check_hdf5(path: Path, shown: str) -> None:
    """Refuse a file of HDF5 that leads to other files, or that the HDF5 library cannot read.

    External links, external storage and virtual datasets have the library read, and write, files that are named in the
    file; a damaged one can end the process that reads it. All of that is found by a process that reads it first.

    Args:
        path: the file.
        shown: what errors call it.

    Raises:
        InvalidModelError: it is not one to be opened; the message says why.
    """
    nbytes = path.stat().st_size
    problem = problem_of(_CHILD, path, nbytes=2 * nbytes, seconds=_SECONDS + nbytes / _BYTES_PER_SECOND)
    if problem is not None:
        raise InvalidModelError(f"{shown} cannot be loaded: {problem}{'' if problem.endswith('?') else '.'}")
