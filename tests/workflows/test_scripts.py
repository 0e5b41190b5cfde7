"""The benchmark runs as its first lines say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(script: str, *arguments: str | Path) -> str:
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_benchmark_measures_the_same_accuracies_in_both_ways(tmp_path: Path) -> None:
    run("benchmarks/sweep.py", "mlp", "--levels", "3", "--repeats", "1", "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert figures["mlp largest difference in accuracy"] < 1e-6
    assert min(figures["mlp loop / engine"], figures["mlp engine / limit"]) > 0
