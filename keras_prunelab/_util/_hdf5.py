"""Files of HDF5 that others made: looked through in another process before Keras opens them in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from keras_prunelab._errors import InvalidModelError

_CHILD = Path(__file__).with_name("_hdf5_child.py")
_SECONDS = 30.0  # with the start of Python, which takes long on a busy machine
_BYTES_PER_SECOND = 10e6


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
    seconds = _SECONDS + path.stat().st_size / _BYTES_PER_SECOND
    # By its path: it is found however this package was, and starts in a fraction of a second, without Keras.
    command = [sys.executable, "-P", str(_CHILD), os.fspath(path)]
    try:
        done = subprocess.run(  # noqa: S603  # this Python, and a module of this package
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # each thread of NumPy's takes memory
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        problem = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        problem = f"it is damaged, or no file of Keras: the HDF5 library was not done with it after {seconds:.0f} s"
    except OSError as error:
        problem = f"no process could be started to look through it ({error})"
    except ValueError:  # nothing was printed
        problem = f"it is damaged: a process that read it ended with status {done.returncode}"
    if problem is not None:
        raise InvalidModelError(f"{shown} cannot be loaded: {problem}{'' if problem.endswith('?') else '.'}")
