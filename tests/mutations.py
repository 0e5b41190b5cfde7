"""Small faults of a module, made of its source: cosmic-ray's operators, and one of ours that leaves out a statement."""

from __future__ import annotations

import ast
import difflib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names
from parso.python.tree import Keyword

ROOT = Path(__file__).resolve().parents[1]

# The first two want names of variables; the others change nothing, for short strings and small numbers are one object.
_LEFT_OUT = (
    "core/VariableReplacer",
    "core/VariableInserter",
    "core/ReplaceComparisonOperator_Eq_Is",
    "core/ReplaceComparisonOperator_NotEq_IsNot",
)
_NO_BEHAVIOR = {"frozen", "slots", "repr", "strict"}  # of dataclasses, and of zip


_IN_PLACE = {"+=", "-=", "*=", "/=", "&=", "|="}


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
            return body.children[0].type == "atom_expr" or body.children[1].get_code().strip() in _IN_PLACE
        is_inner = statement.parent.type == "suite" and statement.parent.parent.type != "funcdef"
        return body.type in ("atom_expr", "raise_stmt") or (body.type == "return_stmt" and is_inner)

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


@dataclass(frozen=True)
class Mutant:
    """One small fault: the file, the first line that differs, the lines before and after, and the whole module."""

    path: str
    line: int
    change: str
    source: str


def mutants(path: str, *, sample: int | None, seed: int) -> Iterator[Mutant]:
    """Mutants of a module that may behave differently, in the order of the code.

    Args:
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
                found.setdefault(key, []).append(Mutant(path, *_difference(before, after), after))
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
        elif isinstance(node, ast.ClassDef):
            node.decorator_list = [each for each in node.decorator_list if ast.unparse(each) != "final"]
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arguments):  # parameters by position, by name or both
            node.args, node.posonlyargs, node.kwonlyargs = [*node.posonlyargs, *node.args, *node.kwonlyargs], [], []
            node.defaults, node.kw_defaults = [*node.defaults, *filter(None, node.kw_defaults)], []
        elif isinstance(node, ast.Call):
            node.keywords = [each for each in node.keywords if each.arg not in _NO_BEHAVIOR]
    return ast.dump(tree)


def _difference(before: str, after: str) -> tuple[int, str]:
    """The first line that differs, and all lines before and after."""
    old, new = before.splitlines(), after.splitlines()
    steps = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    parts = [(start, old[start:stop], new[first:last]) for tag, start, stop, first, last in steps if tag != "equal"]
    lines = (
        f"{sign} {line.strip()}\n" for _, was, now in parts for sign, part in (("-", was), ("+", now)) for line in part
    )
    return parts[0][0] + 1 if parts else 0, "".join(lines)


def is_current(mutant: Mutant) -> bool:
    """Whether the module is still the one that the mutant was made of."""
    return _difference((ROOT / mutant.path).read_text(encoding="utf-8"), mutant.source)[1] == mutant.change
