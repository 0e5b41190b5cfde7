"""The kernels, one a file of C, and which of them a network needs."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from importlib import resources

_SUFFIX = re.compile(r"_(float32|int8)$")
_WORD = re.compile(r"\bnet_(\w+)\b")


@functools.cache
def kernels(dtype: str) -> dict[str, str]:
    """The text of each kernel for one type of numbers, by its name.

    A file whose name ends in a type is for this type alone.
    """
    found = {}
    for file in resources.files(__package__).joinpath("kernels").iterdir():
        stem = file.name.removesuffix(".c")
        ending = _SUFFIX.search(stem)
        if file.name.endswith(".c") and (ending is None or ending[1] == dtype):
            found[_SUFFIX.sub("", stem)] = _for_type(file.read_text(encoding="utf-8"), dtype)
    return found


def _for_type(text: str, dtype: str) -> str:
    """The lines for one type: files say `#if INT8` where they differ."""
    lines, keep = [], True
    for line in text.splitlines():
        if line in ("#if INT8", "#if !INT8"):
            keep = (dtype == "int8") == (line == "#if INT8")
        elif line == "#else":
            keep = not keep
        elif line == "#endif":
            keep = True
        elif keep:
            lines.append(line)
    return "\n".join(lines)


def with_needed(names: Iterable[str], dtype: str) -> list[str]:
    """The names of kernels, and before each those that its text names."""
    library = kernels(dtype)
    homes = {word: name for name, text in library.items() for word in _defined(text)}
    found: dict[str, None] = {}

    def add(name: str) -> None:
        if name in found:
            return
        for word in _WORD.findall(library[name]):
            if homes.get(word, name) != name:
                add(homes[word])
        found[name] = None

    for name in names:
        add(name)
    return list(found)


def _defined(text: str) -> set[str]:
    """The functions and types that a text defines."""
    functions = re.findall(r"^static \w+ net_(\w+)\(", text, re.MULTILINE)
    types = re.findall(r"^typedef \w+ net_(\w+);|^} net_(\w+);", text, re.MULTILINE)
    return {*functions, *(one or other for one, other in types)}
