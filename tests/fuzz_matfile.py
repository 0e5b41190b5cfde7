"""Damaged files of every kind that is read: each gives a value or one of our errors, in time and in little memory.

    python -m tests.fuzz_matfile --seconds 60 --seed 1 [--files 5000] [--targets load,network] [--keep FOLDER]

Files are read by a process of their own for each target, so that one which ends the process, hangs, or takes too much
is caught; it is kept in `--keep` under its target, mutation, seed and number, and a new process started. A file that
takes too much is read once more by a new process before it counts. The number of files so far is printed every
minute, and the figures of each target and mutation at the end, be it by SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import multiprocessing
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .fuzz_reader import ENDINGS, inflated, work
from .fuzz_seeds import SEEDS
from .fuzz_strategies import STRATEGIES, pick

_WAIT = 120  # of the clock, after which a process hangs: other work on the machine may slow it down
_TO_BEGIN = 300
_PAUSE = 30
_AGAIN = ("takes", "hangs", "ends the process (-9)")  # another has killed it: nothing that it does ends so
_BATCH = 25
"""Files that a target reads before the next one has its turn."""


@dataclass
class Outcome:
    """What became of the files: `"value"`, `"error"` or `"failure"` by target and mutation."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def number(self, *, target: str = "", mutation: str = "", answer: str = "") -> int:
        """The number of files of a target, of a mutation, with an answer; of all where none is named."""
        asked = target, mutation, answer
        return sum(
            number
            for key, number in self.counts.items()
            if all(part in ("", known) for part, known in zip(asked, key, strict=True))
        )

    def table(self) -> str:
        """A line for each target and mutation, and one for all."""
        lines = [f"{'target':10}{'mutation':14}{'files':>7}{'values':>8}{'errors':>8}{'failures':>9}"]
        for target, mutation in [*sorted({key[:2] for key in self.counts}), ("", "")]:
            found = [
                self.number(target=target, mutation=mutation, answer=answer)
                for answer in ("", "value", "error", "failure")
            ]
            lines.append(f"{target or 'all':10}{mutation:14}{found[0]:7}{found[1]:8}{found[2]:8}{found[3]:9}")
        return "\n".join(lines)

    def __str__(self) -> str:
        each = ", ".join(f"{name} {self.number(target=name)}" for name in STRATEGIES)
        values, errors = self.number(answer="value"), self.number(answer="error")
        return f"{self.number()} files: {values} values, {errors} errors, {len(self.failures)} failures ({each})"


class _Reader:
    """A process that reads the files of one target."""

    def __init__(self, target: str, seeds: list[Path]) -> None:
        self._given = target, [str(path) for path in seeds]
        self._start()

    def _start(self, tries: int = 3) -> None:
        self._pipe, other = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=work, args=(other, *self._given), daemon=True)
        self._process.start()
        other.close()
        try:
            if not self._pipe.poll(_TO_BEGIN):
                raise TimeoutError("the process that reads did not begin")
            self._pipe.recv()
        except (EOFError, OSError, TimeoutError):  # as where the machine has no memory left for a while
            self.close()
            if not tries:
                raise
            time.sleep(_PAUSE)
            self._start(tries - 1)

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
        if not self._process.is_alive():  # ended by another, between two files
            self._again()
        try:
            self._pipe.send((str(path), nbytes))
            if not self._pipe.poll(_WAIT):
                return f"hangs: no answer after {_WAIT} s"
            return str(self._pipe.recv())
        except (EOFError, OSError):
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
        self.target, self.path = target, folder / f"x{ENDINGS.get(target, '.mat')}"
        self._originals = SEEDS[target](folder)
        # Each file has random numbers of its own, so that one that fails can be made again without those before it.
        self._seed, self._number = seed, 0
        self.sound = []
        for place, original in enumerate(self._originals):
            self.sound.append(folder / f"sound{place}{self.path.suffix}")
            self.sound[-1].write_bytes(original)

    def next(self) -> tuple[str, str, Callable[[], bytes]]:
        """The name of the next mutation, that of its file, and what makes it."""
        chance = np.random.default_rng([self._seed, self._number])
        mutation = pick(chance, STRATEGIES[self.target])
        original = pick(chance, self._originals)
        name = f"{self.target}-{mutation.__name__}-{self._seed}-{self._number}{self.path.suffix}"
        self._number += 1
        return mutation.__name__, name, lambda: mutation(bytearray(original), chance)


def fuzz(
    seconds: float,
    seed: int,
    *,
    files: float = math.inf,
    keep: Path | None = None,
    targets: Iterable[str] = STRATEGIES,
    report: Callable[[Outcome], object] = lambda outcome: None,
) -> Outcome:
    """Read damaged files for some seconds, which begin when all is ready.

    Args:
        seconds: how long.
        seed: of the mutations.
        files: how many at most.
        keep: a folder for the files that fail.
        targets: what reads them, in turns.
        report: called with what there is so far, after each turn.
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
        while time.monotonic() < end and outcome.number() < files:
            for source, reader in readers:
                for _ in range(_BATCH):
                    if time.monotonic() >= end:
                        break
                    _try_one(source, reader, outcome, keep)
            report(outcome)
    return outcome


def _try_one(source: _Source, reader: _Reader, outcome: Outcome, keep: Path | None) -> None:
    mutation, name, mutate = source.next()
    try:
        data = mutate()
    except Exception as error:  # noqa: BLE001  # a fault of the mutation must not end hours of others
        data, answer = b"", f"is not made: {error!r}"
    else:
        source.path.write_bytes(data)
        answer = reader.judge(source.path, inflated(data))
    if answer not in ("value", "error"):
        outcome.failures.append(f"{name}: {answer}")
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / name).write_bytes(data)
        answer = "failure"
    outcome.counts[source.target, mutation, answer] += 1


class _Minutes:
    """Prints what there is so far, every minute, and keeps it."""

    def __init__(self) -> None:
        self.outcome, self._start, self._last = Outcome(), time.monotonic(), 0

    def __call__(self, outcome: Outcome) -> None:
        self.outcome, minutes = outcome, int(time.monotonic() - self._start) // 60
        if minutes > self._last:
            self._last = minutes
            print(f"{minutes} min: {outcome}", flush=True)  # noqa: T201


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=float, default=math.inf)
    parser.add_argument("--targets", default=",".join(STRATEGIES))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    given = parser.parse_args()
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    minutes = _Minutes()
    try:
        fuzz(
            given.seconds,
            given.seed,
            files=given.files,
            keep=given.keep,
            targets=given.targets.split(","),
            report=minutes,
        )
    finally:
        outcome = minutes.outcome
        print(outcome.table(), outcome, *outcome.failures, sep="\n", flush=True)  # noqa: T201
    raise SystemExit(bool(outcome.failures))


if __name__ == "__main__":
    main()
