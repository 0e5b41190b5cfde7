"""A script run once in a process of its own, with limits on memory and time; it says what is wrong with a file.

A library in C that is given damaged files may end its process, take all memory, or never be done. The script is run by
its path, `python _limited_process.py BYTES SECONDS SCRIPT ARGUMENTS`: it is found however this package was, starts in a
fraction of a second, and imports nothing of the package; neither does this module.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

_MEMORY = 2**32
_PATIENCE = 6  # seconds of the clock for each of the processor: the machine may be busy
_OUT_OF_TIME = -getattr(signal, "SIGXCPU", 0) or None


def problem_of(script: Path, *arguments: Path, nbytes: int, seconds: float) -> str | None:
    """Run a script.

    Args:
        script: prints what is wrong, as a string of JSON; null where nothing is.
        *arguments: of the script: paths of files.
        nbytes: of memory that it may take beside 4 GiB, where the system has such a limit.
        seconds: of the processor that it may take, where the system has such a limit; six times as many of the clock.

    Returns:
        What is wrong: what the script printed, or how it ended; None where nothing is.
    """
    limits = (str(_MEMORY + nbytes), str(round(seconds) + 1))
    try:
        done = subprocess.run(  # noqa: S603  # this Python, and a module of this package
            [sys.executable, "-P", __file__, *limits, *map(os.fspath, (script, *arguments))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE * seconds,
            check=False,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # each thread of NumPy's takes memory
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        found: str | None = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return f"it is damaged, or its process too slow: not done after {_PATIENCE * seconds:.0f} s"
    except OSError as error:
        return f"no process could be started for it ({error})"
    except ValueError:  # nothing was printed
        if done.returncode == _OUT_OF_TIME:
            return f"it is damaged, or too large: not done after {limits[1]} s of the processor"
        return f"it is damaged, or its process was ended: status {done.returncode}"
    return found


def _limit(nbytes: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = (resource.RLIMIT_AS, nbytes), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)
    for limit, most in limits:
        with contextlib.suppress(OSError, ValueError):  # the system has no such limit, or a lower one is set
            resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))


def main() -> None:
    """Run the script that is named on the command line within its limits."""
    nbytes, seconds, script, *arguments = sys.argv[1:]
    _limit(int(nbytes), int(seconds))
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
