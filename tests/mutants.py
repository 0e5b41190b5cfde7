"""Mutation testing: small faults put into the core one at a time, and the tests that should see each of them.

    python -m tests.mutants                          # a sample of every module that pyproject.toml names
    python -m tests.mutants masks level5 --all       # every mutant of two groups
    python -m tests.mutants --again                  # those that survived the last run

cosmic-ray's operators make the mutants, and one of ours that leaves out a statement. Keras is imported once; each
mutant has a process of its own, forked from there, in which an import hook puts the mutant in the module's place. So
this runs where Python can fork (Linux, macOS), and tests that start another Python do not see the mutant there.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import signal
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType
from typing import Any

import pytest

from tests.mutations import ROOT, Mutant, is_current, mutants

FOLDER = ROOT / ".mutants"
RESULTS = FOLDER / "results.json"
OUTPUT = FOLDER / f"output-{os.getpid()}.txt"
"""What the tests of the last mutant say."""
# Imported before the first fork: what takes long, and nothing of ours.
_HEAVY = (
    *("keras", "h5py", "matio", "matplotlib.pyplot", "mlxtend", "pandas", "PIL.Image", "scipy.io", "scipy.sparse"),
    *("hypothesis", "hypothesis.strategies", "hypothesis.extra.numpy", "numpy.testing"),
)
_PYTEST = ("-x", "-q", "--assert=plain", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist")


class _Finder:
    """Finds the mutant where the module is looked for."""

    def __init__(self, path: str, source: str) -> None:
        self._name = path.removesuffix(".py").replace("/", ".")
        self._file, self._source = str(ROOT / path), source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        source = self._source

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                return compile(source, self.path, "exec")

        return importlib.util.spec_from_file_location(name, self._file, loader=Loader(name, self._file))


def survives(path: str, source: str, tests: Sequence[str], timeout: float) -> bool:
    """Whether the tests pass with that source in the place of a module; if they take too long, they do not."""
    child = os.fork()
    if child == 0:
        os.setsid()
        output = os.open(OUTPUT, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(output, stream)
        sys.meta_path.insert(0, _Finder(path, source))
        code = 1
        try:
            code = int(pytest.main([*_PYTEST, *tests]))
        finally:
            os._exit(code)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def survivors(path: str, chosen: Sequence[Mutant], tests: Sequence[str]) -> Iterator[Mutant]:
    """Run mutants of a module against its tests, and give those that no test sees."""
    begin = time.monotonic()
    if not survives(path, (ROOT / path).read_text(encoding="utf-8"), tests, 1800):
        sys.exit(f"The tests of {path} fail without any mutant:\n{OUTPUT.read_text(errors='replace')}")
    took = time.monotonic() - begin
    print(f"{path}: {len(chosen)} mutants; the tests take {took:.1f} s", flush=True)
    for mutant in chosen:
        if survives(path, mutant.source, tests, 20 + 4 * took):
            print(f"survived: line {mutant.line}\n{mutant.change}", end="", flush=True)
            yield mutant


def results() -> dict[str, Any]:
    """Of each module how many mutants were made, and which are left, over all runs so far."""
    return dict(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.exists() else {}


def main() -> None:
    """The command."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutants"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=f"groups ({', '.join(groups)}) or modules; all by default")
    parser.add_argument("--sample", type=int, default=25, help="places of a module that are mutated, once each")
    parser.add_argument("--seed", type=int, default=0, help="chooses the places and the mutants there")
    parser.add_argument("--all", action="store_true", help="every mutant at every place")
    parser.add_argument("--again", action="store_true", help="what survived before, where the module is the same")
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    sample = None if given.all else given.sample
    for name in _HEAVY:
        importlib.import_module(name)
    for group, paths in groups.items():
        for path, tests in paths.items():
            if given.what and not {group, path} & set(given.what):
                continue
            known = results().get(path, {"made": 0, "left": []})
            if given.again:
                chosen = [each for each in (Mutant(**left) for left in known["left"]) if is_current(each)]
                known["made"] -= len(known["left"]) - len(chosen)
            else:
                chosen = list(mutants(path, sample=sample, seed=given.seed))
                known["made"] = len(chosen)
            known["left"] = [asdict(each) for each in survivors(path, chosen, tests)]
            RESULTS.write_text(json.dumps(results() | {path: known}, indent=1), encoding="utf-8")
    for group, paths in groups.items():
        found = [known for path, known in results().items() if path in paths]
        if made := sum(each["made"] for each in found):
            killed = made - sum(len(each["left"]) for each in found)
            print(f"{group}: {killed} of {made} killed, {100 * killed / made:.1f} %")


if __name__ == "__main__":
    main()
