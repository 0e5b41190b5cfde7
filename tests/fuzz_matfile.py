"""Mutated MAT-files of every version: each gives a value or one of our errors, in time and in little memory.

    python -m tests.fuzz_matfile --seconds 60 --seed 1 [--files 5000] [--keep FOLDER]

A worker process reads the files, so that one which ends the process, hangs, or takes too much memory is caught; that
file is kept in `--keep` and a new worker started. A file that takes too long is read once more by a worker of its own
before it counts, for the machine may have been busy with something else.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import multiprocessing
import multiprocessing.connection
import resource
import shutil
import struct
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse

from matlab_bridge import BridgeError, matfile

SECONDS = 10
"""The most processor time that one file may take."""
_WAIT = 120  # of the clock, after which a worker hangs: other work on the machine may slow it down
_SLOW = ("takes", "hangs")
_MEMORY = 4
_OVERHEAD = 2**27  # what the reader itself may take besides


@dataclass
class Outcome:
    """What became of the files."""

    read: int = 0
    errors: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """The number of files."""
        return self.read + self.errors + len(self.failures)


def seeds(folder: Path) -> list[bytes]:
    """Small files of v4, v5, v6, v7 and v7.3, with values of many types, and objects."""
    sparse = scipy.sparse.csc_array(np.eye(3))
    plain = {
        "text": "héllo",
        "numbers": np.arange(40, dtype=np.float32).reshape(5, 8),
        "complex": np.array([[1 + 2j, 3]]),
        "flags": np.array([[True, False]]),
        "cell": ["a", [1.0, "b"], None, np.eye(3), np.arange(4, dtype=np.int8)],
        "struct": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        "sparse": sparse,
        "large": np.arange(9000.0).reshape(90, 100),
    }
    objects = {
        "table": pd.DataFrame({"x": [1.0, 2.0], "c": pd.Categorical(["u", None])}),
        "strings": np.array(["one", "two"], dtype=np.dtypes.StringDType()),
        "times": pd.DataFrame({"y": [1.0, 2.0]}, index=pd.to_datetime(["2020-01-01", "2020-01-02"])),
    }
    found = []
    path = folder / "seed.mat"
    scipy.io.savemat(path, {"x": np.eye(3), "s": "hello", "p": sparse}, format="4")
    found.append(path.read_bytes())
    for values in (plain, objects, plain | objects):
        for version, compress in (("v7", False), ("v7", True), ("v7.3", False), ("v7.3", True)):
            matfile.save(path, values, version=version, compress=compress)  # type: ignore[arg-type]
            found.append(path.read_bytes())
    with h5py.File(path, "r+") as file:  # a cell that holds itself
        loop = file["cell"]
        loop[0, 0] = loop.ref
    found.append(path.read_bytes())
    return found


def _flipped(data: bytearray, chance: np.random.Generator) -> bytes:
    for _ in range(int(chance.integers(1, 9))):
        data[int(chance.integers(len(data)))] ^= 1 << int(chance.integers(8))
    return bytes(data)


def _set(data: bytearray, chance: np.random.Generator) -> bytes:
    for _ in range(int(chance.integers(1, 9))):
        data[int(chance.integers(len(data)))] = int(chance.choice([0, 1, 2, 8, 0x7F, 0x80, 0xFF]))
    return bytes(data)


def _cut(data: bytearray, chance: np.random.Generator) -> bytes:
    return bytes(data[: int(chance.integers(len(data)))])


def _grown(data: bytearray, chance: np.random.Generator) -> bytes:
    code, numbers = [("<I", (0x7FFFFFFF, 0xFFFFFFFF, 2**20)), ("<Q", (2**63, 2**40, 2**31))][chance.integers(2)]
    at = int(chance.integers(len(data) // 8 - 1)) * 8 + int(chance.integers(2)) * 4
    struct.pack_into(code, data, min(at, len(data) - 8), int(chance.choice(np.array(numbers, np.uint64))))
    return bytes(data)


def _moved(data: bytearray, chance: np.random.Generator) -> bytes:
    """A stretch of the file copied elsewhere: references and addresses lead to the wrong place, or in a circle."""
    size = int(chance.choice([4, 8, 16, 64]))
    source, target = (int(n) for n in chance.integers(max(len(data) // 8 - 8, 1), size=2) * 8)
    data[target : target + size] = data[source : source + size]
    return bytes(data)


def _bomb(data: bytearray, chance: np.random.Generator) -> bytes:
    """A deflated variable with far more in it than it states, or a statement of far more than there is."""
    if data[124:128] != b"\x00\x01IM":
        return _grown(data, chance)
    stated = int(chance.choice([64, 2**20, 2**31]))
    deflated = zlib.compress(struct.pack("<2I", 14, stated) + bytes(2**24))
    return bytes(data[:128]) + struct.pack("<2I", 15, len(deflated)) + deflated


def _inner(data: bytearray, chance: np.random.Generator) -> bytes:
    """Damage within what a v7 file has deflated."""
    if data[124:128] != b"\x00\x01IM":
        return _moved(data, chance)
    at, elements = 128, []
    while at + 8 <= len(data):
        kind, nbytes = struct.unpack_from("<2I", data, at)
        elements.append((at, kind, nbytes))
        at += 8 + nbytes
    at, kind, nbytes = elements[int(chance.integers(len(elements)))]
    if kind != 15:
        return _set(data, chance)
    inner = bytearray(zlib.decompress(data[at + 8 : at + 8 + nbytes]))
    deflated = zlib.compress([_flipped, _set, _grown, _moved][int(chance.integers(4))](inner, chance))
    whole = data[:at] + struct.pack("<2I", 15, len(deflated)) + deflated + data[at + 8 + nbytes :]
    offset = struct.unpack_from("<Q", data, 116)[0]
    if offset > at and offset < len(data):
        struct.pack_into("<Q", whole, 116, offset + len(deflated) - nbytes)
    return bytes(whole)


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], bytes], ...] = (
    _flipped,
    _set,
    _cut,
    _grown,
    _moved,
    _bomb,
    _inner,
    _inner,
)


def read(path: Path) -> None:
    """Read everything of a file: its description and all values, one error not hiding another."""
    matfile.info(path)
    file = matfile.load(path)
    failed = None
    for name in file:
        try:
            file[name]
        except BridgeError as error:
            failed = error
    if failed:
        raise failed


def _work(pipe: multiprocessing.connection.Connection) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        path, limit = pipe.recv()
        before, start = _peak(), time.process_time()
        try:
            read(Path(path))
            answer = "value"
        except BridgeError:
            answer = "error"
        except BaseException as error:  # noqa: BLE001  # any other is what is looked for
            answer = f"{type(error).__name__}: {error}"
        grown = _peak() - before
        if grown > limit:
            answer = f"{grown / 2**20:.0f} MiB for a file that may take {limit / 2**20:.0f}"
        if time.process_time() - start > SECONDS:
            answer = f"{_SLOW[0]} more than {SECONDS} s"
        pipe.send(answer)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Worker:
    def __init__(self) -> None:
        self._pipe, other = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_work, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def read(self, path: Path, limit: int) -> str:
        self._pipe.send((str(path), limit))
        if not self._pipe.poll(_WAIT):
            return f"{_SLOW[1]}: no answer after {_WAIT} s"
        try:
            return str(self._pipe.recv())
        except EOFError:
            self._process.join()
            return f"ended the process ({self._process.exitcode})"

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def fuzz(seconds: float, seed: int, *, files: float = math.inf, keep: Path | None = None) -> Outcome:
    """Read mutated files for some seconds.

    Args:
        seconds: how long.
        seed: of the mutations.
        files: how many at most.
        keep: a folder for the files that fail.
    """
    outcome = Outcome()
    chance = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        originals = seeds(folder)
        path = folder / "x.mat"
        worker = _Worker()
        stack.callback(lambda: worker.close())
        end = time.monotonic() + seconds
        while time.monotonic() < end and outcome.tried < files:
            original = originals[int(chance.integers(len(originals)))]
            mutation = MUTATIONS[int(chance.integers(len(MUTATIONS)))]
            data = mutation(bytearray(original), chance)
            path.write_bytes(data)
            limit = _MEMORY * len(data) + _OVERHEAD
            answer = worker.read(path, limit)
            if answer.startswith(_SLOW):
                worker.close()
                worker = _Worker()
                answer = worker.read(path, limit)
            if answer == "value":
                outcome.read += 1
            elif answer == "error":
                outcome.errors += 1
            else:
                kept = f"{mutation.__name__.strip('_')}-{seed}-{outcome.tried}.mat"
                outcome.failures.append(f"{kept}: {answer}")
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, keep / kept)
                worker.close()
                worker = _Worker()
    return outcome


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=float, default=math.inf)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    given = parser.parse_args()
    outcome = fuzz(given.seconds, given.seed, files=given.files, keep=given.keep)
    print(f"{outcome.tried} files: {outcome.read} values, {outcome.errors} errors, {len(outcome.failures)} failures")  # noqa: T201
    for failure in outcome.failures:
        print(failure)  # noqa: T201
    raise SystemExit(bool(outcome.failures))


if __name__ == "__main__":
    main()
