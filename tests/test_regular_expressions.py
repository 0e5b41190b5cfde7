"""No regular expression of the two packages takes more than linear time, whatever text a file gives it."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import keras_prunelab
import matlab_bridge

_FUNCTIONS = {"compile", "match", "fullmatch", "search", "sub", "split", "findall", "finditer"}
_LONGEST = 10_000
_SECONDS = 0.2
"""The most for one text: linear time takes a hundredth of it, quadratic time ten times as much."""


@dataclass(frozen=True, order=True)
class Expression:
    """A regular expression that the sources write down.

    Attributes:
        where: the module and the line.
        pattern: its text.
        flags: those of `re`.
        methods: how it is used: `"match"`, `"search"`, ...
    """

    where: str
    pattern: str
    flags: int
    methods: tuple[str, ...]


def _expressions() -> Iterator[Expression]:
    for package in (keras_prunelab, matlab_bridge):
        root = Path(next(iter(package.__path__)))
        for file in sorted(root.rglob("*.py")):
            source = file.read_text(encoding="utf-8")
            if "import re\n" not in source:
                continue
            name = ".".join(file.relative_to(root.parent).with_suffix("").parts)
            module = importlib.import_module(name)
            for call in filter(_is_of_re, ast.walk(ast.parse(source))):
                yield Expression(f"{name}:{call.lineno}", *_written(call, module), _methods(call, source))


def _is_of_re(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in _FUNCTIONS
    )


def _written(call: ast.Call, module: types.ModuleType) -> tuple[str, int]:
    """The pattern and its flags, which are constants or made of the constants of the module."""

    def value(node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), "pattern", "eval"), vars(module))  # noqa: S307  # our own source

    given = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
    return value(call.args[0]), sum(value(node) for node in given if ast.unparse(node).startswith("re."))


def _methods(call: ast.Call, source: str) -> tuple[str, ...]:
    """What is called of it; of a compiled one, by the name that it has in the module."""
    if call.func.attr != "compile":
        return (call.func.attr,)
    name = re.search(r"^(\w+) = " + re.escape(ast.get_source_segment(source, call) or ""), source, re.MULTILINE)
    return tuple(sorted(set(re.findall(rf"\b{name[1]}\.(\w+)\(", source)))) if name else ("search",)


EXPRESSIONS = sorted(_expressions())


def _texts(pattern: str) -> Iterator[tuple[str, str]]:
    """Beginnings that the pattern knows, and what is repeated after them: characters and pairs that it tells apart."""
    told_apart = set(re.findall(r"[^\w\s?*+$^]", pattern)) - {"\\"} | ({"\\", "/"} if "/" in pattern else set())
    characters = sorted({"a", "A", "1", "_", " ", "\n"} | told_apart)
    pumps = [*characters, *map("".join, itertools.permutations(characters, 2))]
    starts = {text[:length] for text in _matching(re._parser.parse(pattern)) for length in range(len(text) + 1)}
    yield from itertools.product(sorted(starts), pumps)


def _matching(tree: Any) -> list[str]:
    """Short texts that match a parsed pattern, one for each of its alternatives; what only looks around is left out."""
    texts = [""]
    for operation, argument in tree:
        match str(operation), argument:
            case "LITERAL", code:
                parts = [chr(code)]
            case "IN", [(kind, code), *_]:
                parts = [{"LITERAL": chr, "RANGE": lambda ends: chr(ends[0])}.get(str(kind), lambda _: "1")(code)]
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT", (least, _, inner):
                parts = [text * max(1, least) for text in _matching(inner)]
            case "SUBPATTERN", (*_, inner):
                parts = _matching(inner)
            case "BRANCH", (_, branches):
                parts = [text for branch in branches for text in _matching(branch)]
            case "ANY" | "NOT_LITERAL", _:
                parts = ["a"]
            case _:
                parts = [""]
        texts = [text + part for text, part in itertools.product(texts, parts)][:30]
    return texts


def _time_of(compiled: re.Pattern[str], methods: tuple[str, ...], text: str) -> float:
    start = time.process_time()
    for method in methods:
        found = getattr(compiled, method)(*[""] * (method == "sub"), text)
        if method == "finditer":
            list(found)
    return time.process_time() - start


def _slowest(pattern: Expression, start: str, pump: str) -> tuple[float, str]:
    """The time for a text that grows slowly, so that exponential time is found before it takes for ever."""
    compiled, length = re.compile(pattern.pattern, pattern.flags), 8
    while True:
        text = f"{start}{(pump * length)[:length]}\x00"
        seconds = _time_of(compiled, pattern.methods, text)
        if seconds > _SECONDS:
            seconds = min(seconds, _time_of(compiled, pattern.methods, text))  # the machine may have been busy
        if seconds > _SECONDS or length >= _LONGEST:
            return seconds, text
        length = length + 4 if length < 40 else length * 4


@pytest.mark.parametrize("pattern", EXPRESSIONS, ids=[each.where for each in EXPRESSIONS])
def test_long_texts_take_linear_time(pattern):
    for start, pump in _texts(pattern.pattern):
        seconds, text = _slowest(pattern, start, pump)
        assert seconds <= _SECONDS, f"{len(text)} characters, {text[:60]!r}..., take {seconds:.1f} s"


@pytest.mark.parametrize(
    "slow", ["([A-Za-z]+(?:[_-]?[A-Za-z]+)*?[_-]?\\d+[a-z]?)(?=$|[^A-Za-z0-9])", " +([;,.])", "(a|a)*b"]
)
def test_exponential_and_quadratic_time_are_found(slow):
    pattern = Expression("here", slow, 0, ("search",))
    assert any(_slowest(pattern, start, pump)[0] > _SECONDS for start, pump in _texts(slow))


def test_all_of_them_are_found():
    assert len(EXPRESSIONS) > 30
    assert {"match", "fullmatch", "search", "sub", "split", "findall"} <= {
        method for each in EXPRESSIONS for method in each.methods
    }
