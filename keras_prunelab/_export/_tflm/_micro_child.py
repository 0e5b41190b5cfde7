"""Run files with TensorFlow Lite Micro, in a process of its own: what it cannot express ends the process.

`_micro.MicroFile` starts this module by its path and sends it jobs, one line of JSON each; it answers each with a line:
what it found, or what went wrong. It imports nothing of the package.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from tflite_micro import runtime

_ARENAS = (2**20, 2**24, 2**27, 2**30)
_NO_ROOM = re.compile(r"missing|exceed|resize buffer|arena|too many buffers", re.IGNORECASE)


class _File:
    """A file, opened with some memory, or with enough, of which it tells how much it used."""

    def __init__(self, job: dict[str, Any], log: Path) -> None:
        content = Path(job["file"]).read_bytes()
        arenas = _ARENAS if job["arena"] is None else (job["arena"],)
        for arena in arenas:
            start = log.stat().st_size
            try:
                self._interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena)
                break
            except RuntimeError:
                if arena == arenas[-1] or not _NO_ROOM.search(_text(log, start)):
                    raise
        self._outputs, self.arena = job["outputs"], arena
        if job["arena"] is None:
            self._interpreter.invoke()
            start = log.stat().st_size
            self._interpreter.print_allocations()
            found = re.search(r"Arena allocation total (\d+)", _text(log, start))
            self.arena = int(found[1]) if found else arena

    def run(self, arrays: list[Any], batch: int) -> list[Any]:
        """The outputs for any number of batches."""
        rows: list[list[Any]] = []
        for start in range(0, len(arrays[0]), batch):
            for index, array in enumerate(arrays):
                self._interpreter.set_input(np.ascontiguousarray(array[start : start + batch]), index)
            self._interpreter.invoke()
            rows.append([np.array(self._interpreter.get_output(index)) for index in range(self._outputs)])
        return [np.concatenate(column) for column in zip(*rows, strict=True)]


def _text(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        return file.read().decode("utf-8", "replace")


def _answer(job: dict[str, Any], opened: dict[str, _File]) -> dict[str, Any]:
    log = Path(job["log"])
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    try:
        key = f"{job['file']} {job['arena']}"
        if key not in opened:
            opened.clear()
            opened[key] = _File(job, log)
        file = opened[key]
        if job["data"] is not None:
            with np.load(job["data"], allow_pickle=False) as arrays:
                found = file.run([arrays[f"arr_{index}"] for index in range(len(arrays.files))], job["batch"])
            np.savez(job["data"], *found)
    except Exception as error:  # noqa: BLE001  # it is told to the process that asked
        opened.clear()
        return {"error": f"{error}", "log": _text(log, 0)[-2000:]}
    return {"arena": file.arena}


def main() -> None:
    """Answer jobs until there are no more."""
    answers: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    opened: dict[str, _File] = {}
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line), opened)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
