"""Damaged files of every kind never crash, hang, or take the memory of the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz_matfile import _Reader, fuzz
from tests.fuzz_strategies import STRATEGIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="what a process takes is read from /proc"),
]


def test_damaged_files_give_a_value_or_one_of_our_errors():
    outcome = fuzz(seconds=60, seed=2024)
    assert outcome.failures == []
    for target in STRATEGIES:
        assert outcome.number(target=target, answer="value"), target
        assert outcome.number(target=target, answer="error"), target


def test_a_run_that_is_ended_tells_what_it_found():
    command = [sys.executable, "-m", "tests.fuzz_matfile", "--seconds", "300", "--targets", "store"]
    process = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2], stdout=subprocess.PIPE, text=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and not children.read_text(encoding="ascii").split():
        time.sleep(0.2)  # until it has begun
    process.terminate()
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert "files: " in told.splitlines()[-1]


def test_a_process_that_reads_is_replaced_where_it_was_ended(tmp_path):
    (tmp_path / "x.mat").write_bytes(b"no MAT-file")
    reader = _Reader("load", [])
    try:
        os.kill(reader._process.pid, signal.SIGKILL)
        reader._process.join()
        assert reader.judge(tmp_path / "x.mat", 11) == "error"
    finally:
        reader.close()


def test_a_mutation_that_fails_is_counted_and_ends_nothing(monkeypatch):
    def broken(data, chance):
        raise OSError("no space")

    monkeypatch.setitem(STRATEGIES, "zip", (broken,))
    outcome = fuzz(seconds=60, seed=1, files=3, targets=["zip"])
    assert outcome.number(target="zip", mutation="broken", answer="failure") == len(outcome.failures) >= 3
    assert "is not made: OSError('no space')" in outcome.failures[0]
