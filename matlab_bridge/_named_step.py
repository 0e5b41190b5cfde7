"""Names within paths such as `"T.Sepal length"`, which may be no identifiers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_AFTER_A_NAME = ("", ".", "(", "{")


def name_at(path: str, position: int, names: Iterable[Any]) -> str:
    """The name that a path such as `"T.Sepal length"` has at a position, where `names` are those that may stand there.

    Other programs write variables, and MATLAB tables, whose names are no identifiers; the longest that fits is taken.

    Returns:
        The name; empty where none fits.
    """
    start = position + (position > 0)
    if position and not path.startswith(".", position):
        return ""
    fitting = (name for name in map(str, names) if path.startswith(name, start))
    return max((name for name in fitting if path[start + len(name) :][:1] in _AFTER_A_NAME), key=len, default="")
