"""What reading a file takes: memory and time of a process that reads nothing else."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 2**20
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak of the memory is read from /proc")

# For each path that it is told, forks a process that reads all values, and prints how much memory and time that took:
# nothing else that was read counts, nor what was imported, which takes longer than most files. A new process has none
# of the pages of libraries, which reading something else brings.
_READERS = """
import gc, json, os, signal, sys, tempfile, time
from pathlib import Path
import numpy as np, pandas, scipy.sparse
from matlab_bridge import matfile, BridgeError

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024

def read(path):
    kept, errors = [], []
    try:
        matfile.info(path)
        file = matfile.load(path)
        for name in file:
            try:
                kept.append(np.asarray(file[name]) if isinstance(file[name], matfile.LazyArray) else file[name])
            except BridgeError as error:
                errors.append(str(error))
    except BridgeError as error:
        errors.append(str(error))
    return len(kept), errors

def measure(path):
    for sound in folder.iterdir():
        read(sound)
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before, start = status("VmRSS"), time.process_time()
    found = read(path)
    return json.dumps([status("VmHWM") - before, time.process_time() - start, *found])

folder = Path(tempfile.mkdtemp())
dates = pandas.to_datetime(["2024-01-01", None])
texts, labels = ["x", "y"], pandas.Categorical(["u", None])
table = pandas.DataFrame({"a": [1.0, 2.0], "b": texts, "c": labels, "d": dates - dates[0]}, index=dates[[0, 0]])
for version in ("v7", "v7.3"):
    matfile.save(folder / version, {"t": table, "s": scipy.sparse.eye(3), "c": ["a", 1]}, version=version)
gc.collect()
gc.freeze()
for line in sys.stdin:
    child = os.fork()
    if not child:
        signal.alarm(300)
        print(measure(line.rstrip()), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("null", flush=True)
"""


@functools.cache
def _readers() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _READERS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # a process with threads is not one to fork
    )
    atexit.register(process.kill)
    return process


def cost(path: Path, inflated: int) -> tuple[int, list[str]]:
    """Read all values of a file, within what they may cost.

    Args:
        path: a MAT-file.
        inflated: its bytes, with what they inflate to.

    Returns:
        The number of values, and the errors.
    """
    process = _readers()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{path}\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    assert answer is not None, "the process that reads was ended"
    grown, seconds, values, errors = answer
    assert grown <= 64 * MIB + 8 * inflated
    assert seconds <= 10 + inflated / 1e7
    return values, errors
