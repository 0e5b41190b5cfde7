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
import ast
import difflib
import importlib
import importlib.util
import json
import os
import random
import signal
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names
from parso.python.tree import Keyword

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / ".mutants.json"
OUTPUT = ROOT / ".mutants.log"
"""What the tests of the last mutant say."""
# Imported before the first fork: what takes long, and nothing of ours.
_HEAVY = (
    *("keras", "h5py", "matio", "matplotlib.pyplot", "mlxtend", "pandas", "PIL.Image", "scipy.io", "scipy.sparse"),
    *("hypothesis", "hypothesis.strategies", "hypothesis.extra.numpy", "numpy.testing"),
)
_PYTEST = ("-x", "-q", "--assert=plain", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist")
# The first two want names of variables; the others change nothing, for short strings and small numbers are one object.
_LEFT_OUT = (
    "core/VariableReplacer",
    "core/VariableInserter",
    "core/ReplaceComparisonOperator_Eq_Is",
    "core/ReplaceComparisonOperator_NotEq_IsNot",
)
_NO_BEHAVIOR = {"frozen", "slots", "repr", "strict"}  # of dataclasses, and of zip


class DeleteStatement(Operator):
    """Leave out a call, an assignment to a part of something, a `raise`, or a `return` that cuts a function short."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "simple_stmt" and self._can_go(node, node.children[0]):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        first = node.get_first_leaf()
        node.children[0] = Keyword("pass", first.start_pos, prefix=first.prefix)
        return node

    @staticmethod
    def _can_go(statement: Any, body: Any) -> bool:
        if body.type == "expr_stmt":  # without the assignment of a plain name, the next line would just fail
            return body.children[0].type == "atom_expr" or body.children[1].type != "operator"
        is_inner = statement.parent.type == "suite" and statement.parent.parent.type != "funcdef"
        return body.type in ("atom_expr", "raise_stmt") or (body.type == "return_stmt" and is_inner)

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


@dataclass(frozen=True)
class Mutant:
    """One small fault.

    Attributes:
        group: what the module is a part of.
        path: the file, from the root of the repository.
        line: the first line that differs.
        change: the lines before and after.
        source: the whole module.
    """

    group: str
    path: str
    line: int
    change: str
    source: str


def mutants(group: str, path: str, *, sample: int | None, seed: int) -> Iterator[Mutant]:
    """Mutants of a module that may behave differently, in the order of the code.

    Args:
        group: what the module is a part of.
        path: the file, from the root of the repository.
        sample: how many places of the code are mutated, once each; None for every mutant at every place.
        seed: chooses the places and the mutants there.
    """
    before = (ROOT / path).read_text(encoding="utf-8")
    tree, plain, draw = get_ast(before), _behavior(before), random.Random(f"{seed} {path}")  # noqa: S311, no secret
    places: dict[Any, list[tuple[Operator, int]]] = {}
    for operator in (*(get_operator(name)() for name in operator_names() if name not in _LEFT_OUT), DeleteStatement()):
        positions = [position for node in ast_nodes(tree) for position in operator.mutation_positions(node)]
        for occurrence, position in enumerate(positions):
            # Operators of one family are told apart behind an underscore. A place is for each family one.
            key = (*position, type(operator).__name__.partition("_")[0])
            places.setdefault(key, []).append((operator, occurrence))
    found: dict[Any, list[Mutant]] = {}
    for key in draw.sample(sorted(places), len(places)):
        if sample is not None and len(found) == sample:
            break
        for operator, occurrence in draw.sample(places[key], len(places[key])):
            try:
                after = mutate_code(before, operator, occurrence)
            except AttributeError:  # cosmic-ray's ExceptionReplacer knows no names with a dot
                continue
            if after is not None and _behavior(after) not in (plain, None):
                found.setdefault(key, []).append(Mutant(group, path, *_difference(before, after), after))
                if sample is not None:
                    break
    return (mutant for key in sorted(found) for mutant in found[key])


def _behavior(source: str) -> str | None:
    """The code without annotations, and without what only forbids; None where it is no code."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arguments):  # parameters by position, by name or both
            node.args, node.posonlyargs, node.kwonlyargs = [*node.posonlyargs, *node.args, *node.kwonlyargs], [], []
            node.defaults, node.kw_defaults = [*node.defaults, *filter(None, node.kw_defaults)], []
        elif isinstance(node, ast.Call):
            node.keywords = [each for each in node.keywords if each.arg not in _NO_BEHAVIOR]
    return ast.dump(tree)


def _difference(before: str, after: str) -> tuple[int, str]:
    old, new = before.splitlines(), after.splitlines()
    for tag, start, stop, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            lines = ("".join(f"{sign} {line.strip()}\n" for line in part) for sign, part in
                     (("-", old[start:stop]), ("+", new[first:last])))
            return start + 1, "".join(lines)
    return 0, ""


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


def run(chosen: Sequence[Mutant], tests: dict[str, list[str]]) -> list[Mutant]:
    """Run mutants against the tests of their modules, and return the survivors."""
    limits: dict[str, float] = {}
    survivors = []
    for number, mutant in enumerate(chosen, start=1):
        path = mutant.path
        if path not in limits:
            begin = time.monotonic()
            if not survives(path, (ROOT / path).read_text(encoding="utf-8"), tests[path], 1800):
                sys.exit(f"The tests of {path} fail without any mutant:\n{OUTPUT.read_text()}")
            took = time.monotonic() - begin
            limits[path] = 20 + 4 * took
            print(f"{path}: its tests take {took:.1f} s", flush=True)
        if survives(path, mutant.source, tests[path], limits[path]):
            survivors.append(mutant)
            print(f"{number}/{len(chosen)} SURVIVED {path}:{mutant.line}\n{mutant.change}", end="", flush=True)
    return survivors


def main() -> None:
    """The command."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutants"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=f"groups ({', '.join(groups)}) or modules; all by default")
    parser.add_argument("--sample", type=int, default=40, help="places of a module that are mutated, once each")
    parser.add_argument("--seed", type=int, default=0, help="chooses the places and the mutants there")
    parser.add_argument("--all", action="store_true", help="every mutant at every place")
    parser.add_argument("--again", action="store_true", help="what survived the last run")
    given = parser.parse_args()
    tests = {path: names for group in groups.values() for path, names in group.items()}
    if given.again:
        chosen = [Mutant(**each) for each in json.loads(RESULTS.read_text(encoding="utf-8"))]
        chosen = [each for each in chosen if not given.what or {each.group, each.path} & set(given.what)]
    else:
        chosen = []
        for group, paths in groups.items():
            for path in paths:
                if not given.what or {group, path} & set(given.what):
                    chosen += mutants(group, path, sample=None if given.all else given.sample, seed=given.seed)
    for name in _HEAVY:
        importlib.import_module(name)
    survivors = run(chosen, tests)
    RESULTS.write_text(json.dumps([asdict(each) for each in survivors], indent=1), encoding="utf-8")
    for group in groups:
        made, left = (sum(each.group == group for each in part) for part in (chosen, survivors))
        if made:
            print(f"{group}: {made - left} of {made} killed, {100 * (made - left) / made:.1f} %")


if __name__ == "__main__":
    main()
