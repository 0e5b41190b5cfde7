"""Which names MATLAB gives to variables and fields."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from matlab_bridge._errors import UnwritableValueError

MAX_LENGTH = 63  # namelengthmax

_KEYWORDS = frozenset(
    [
        "break",
        "case",
        "catch",
        "classdef",
        "continue",
        "else",
        "elseif",
        "end",
        "for",
        "function",
        "global",
        "if",
        "otherwise",
        "parfor",
        "persistent",
        "return",
        "spmd",
        "switch",
        "try",
        "while",
    ]
)


# What stands after the dot of a table and is no variable.
_RESERVED = frozenset(("Properties", "RowNames", "VariableNames", ":"))


def check_variables(names: Iterable[Any], dimensions: set[str], what: str) -> list[str]:
    """The names of the variables of a table, which since R2019b may be any text.

    Source: https://www.mathworks.com/help/matlab/matlab_prog/rules-for-table-and-timetable-names.html

    Args:
        names: any values; only a `str` can be a name.
        dimensions: the names of its dimensions, which no variable may have.
        what: the table, for the error.

    Raises:
        UnwritableValueError: for what is no text, empty, too long, reserved or there twice.
    """
    checked: list[str] = []
    for name in names:
        reason = None
        if not isinstance(name, str):
            reason = f"a {type(name).__name__}; MATLAB's names are text (str)"
        elif not name or len(name) > MAX_LENGTH:
            reason = f"which has {len(name)} characters; a name has 1 to {MAX_LENGTH}"
        elif name in _RESERVED or name in dimensions:
            reason = f"a name that MATLAB's tables keep for themselves; {name + '_'!r} would do"
        elif name in checked:
            reason = "as another one; there are two variables of the same name"
        if reason:
            raise UnwritableValueError(f"A variable of the {what} is named {name!r}, {reason}.")
        checked.append(name)
    return checked


def plain_names(names: list[str]) -> list[str]:
    """Names for releases before R2019b: those that are no identifiers are replaced, all stay different."""
    plain: list[str] = []
    for name in names:
        similar = name if _is_identifier(name) else _similar(name)
        number = 0
        while similar in plain or (similar != name and similar in names) or similar in _KEYWORDS:
            number += 1
            similar = f"{_similar(name)[: MAX_LENGTH - 6]}_{number}"
        plain.append(similar)
    return plain


def _is_identifier(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None and len(name) <= MAX_LENGTH


def check_name(name: Any, what: str) -> str:
    """The name, if MATLAB can have a variable or a field of that name.

    Args:
        name: any value; only a `str` can be a name.
        what: what it names, for the error.

    Raises:
        UnwritableValueError: with what is wrong, and a name that would do.
    """
    if not isinstance(name, str):
        raise UnwritableValueError(f"{what} is named {name!r}, a {type(name).__name__}; MATLAB's names are text (str).")
    if name in _KEYWORDS:
        raise UnwritableValueError(f"{what} is named {name!r}, a keyword of MATLAB; {name + '_'!r} would do.")
    if not _is_identifier(name):
        raise UnwritableValueError(
            f"{what} is named {name!r}. A name in MATLAB is letters, digits and underscores, begins with a "
            f"letter, and has at most {MAX_LENGTH} characters; {_similar(name)!r} would do."
        )
    return name


def _similar(name: str) -> str:
    similar = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return (similar if re.match(r"[A-Za-z]", similar) else "x" + similar)[:MAX_LENGTH]
