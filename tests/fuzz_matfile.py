"""Damaged files of every kind that is read: each gives a value or one of our errors, in time and in little memory.

    python -m tests.fuzz_matfile --seconds 60 --seed 1 [--files 5000] [--targets load,network] [--keep FOLDER]

Files are read by a process of their own for each target, so that one which ends the process, hangs, or takes too much
is caught; it is kept in `--keep` under its target, mutation, seed and number, and a new process started. A file that
takes too much is read once more by a new process before it counts.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .fuzz_reader import ENDINGS, inflated, work
from .fuzz_seeds import SEEDS
from .fuzz_strategies import STRATEGIES, pick

_WAIT = 120  # of the clock, after which a process hangs: other work on the machine may slow it down
_TO_BEGIN = 300
_AGAIN = ("takes", "hangs")
_BATCH = 25
"""Files that a target reads before the next one has its turn."""


@dataclass
class Outcome:
    """What became of the files."""

    read: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """The number of files."""
        return self.read.total() + self.errors.total() + len(self.failures)

    def __str__(self) -> str:
        each = ", ".join(f"{name} {self.read[name]} + {self.errors[name]}" for name in STRATEGIES)
        return (
            f"{self.tried} files: {self.read.total()} values, {self.errors.total()} errors, "
            f"{len(self.failures)} failures (values + errors: {each})"
        )


class _Reader:
    """A process that reads the files of one target."""

    def __init__(self, target: str, seeds: list[Path]) -> None:
        self._given = target, [str(path) for path in seeds]
        self._start()

    def _start(self) -> None:
        self._pipe, other = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=work, args=(other, *self._given), daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(_TO_BEGIN):
            raise TimeoutError("the process that reads did not begin")
        self._pipe.recv()

    def judge(self, path: Path, nbytes: int) -> str:
        """What became of a file: `"value"`, `"error"`, or what is wrong; then the process is a new one."""
        answer = self._answer(path, nbytes)
        if answer.startswith(_AGAIN):
            self._again()
            answer = self._answer(path, nbytes)
        if answer not in ("value", "error"):
            self._again()
        return answer

    def _answer(self, path: Path, nbytes: int) -> str:
        self._pipe.send((str(path), nbytes))
        if not self._pipe.poll(_WAIT):
            return f"hangs: no answer after {_WAIT} s"
        try:
            return str(self._pipe.recv())
        except EOFError:
            self._process.join()
            return f"ends the process ({self._process.exitcode})"

    def _again(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


class _Source:
    """The damaged files of one target."""

    def __init__(self, target: str, folder: Path, seed: int) -> None:
        self.target, self._path = target, folder / f"x{ENDINGS.get(target, '.mat')}"
        self._originals = SEEDS[target](folder)
        # Each file has random numbers of its own, so that one that fails can be made again without those before it.
        self._seed, self._number = seed, 0
        self.sound = []
        for place, original in enumerate(self._originals):
            self.sound.append(folder / f"sound{place}{self._path.suffix}")
            self.sound[-1].write_bytes(original)

    def next(self) -> tuple[Path, str]:
        """The next file, and its name."""
        chance = np.random.default_rng([self._seed, self._number])
        mutation = pick(chance, STRATEGIES[self.target])
        self._path.write_bytes(mutation(bytearray(pick(chance, self._originals)), chance))
        name = f"{self.target}-{mutation.__name__}-{self._seed}-{self._number}{self._path.suffix}"
        self._number += 1
        return self._path, name


def fuzz(
    seconds: float, seed: int, *, files: float = math.inf, keep: Path | None = None, targets: Iterable[str] = STRATEGIES
) -> Outcome:
    """Read damaged files for some seconds, which begin when all is ready.

    Args:
        seconds: how long.
        seed: of the mutations.
        files: how many at most.
        keep: a folder for the files that fail.
        targets: what reads them, in turns.
    """
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        readers = []
        for target in targets:
            folder = Path(name) / target
            folder.mkdir()
            source = _Source(target, folder, seed)
            reader = _Reader(target, source.sound)
            stack.callback(reader.close)
            readers.append((source, reader))
        end = time.monotonic() + seconds
        while time.monotonic() < end and outcome.tried < files:
            for source, reader in readers:
                for _ in range(_BATCH):
                    if time.monotonic() >= end:
                        break
                    _try_one(source, reader, outcome, keep)
    return outcome


def _try_one(source: _Source, reader: _Reader, outcome: Outcome, keep: Path | None) -> None:
    path, name = source.next()
    data = path.read_bytes()
    answer = reader.judge(path, inflated(data))
    if answer == "value":
        outcome.read[source.target] += 1
    elif answer == "error":
        outcome.errors[source.target] += 1
    else:
        outcome.failures.append(f"{name}: {answer}")
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / name).write_bytes(data)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=float, default=math.inf)
    parser.add_argument("--targets", default=",".join(STRATEGIES))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    given = parser.parse_args()
    outcome = fuzz(given.seconds, given.seed, files=given.files, keep=given.keep, targets=given.targets.split(","))
    print(outcome)  # noqa: T201
    for failure in outcome.failures:
        print(failure)  # noqa: T201
    raise SystemExit(bool(outcome.failures))


if __name__ == "__main__":
    main()
