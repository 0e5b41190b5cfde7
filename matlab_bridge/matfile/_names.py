"""Which names MATLAB gives to variables and fields."""

from __future__ import annotations

import re
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


def checked_name(name: Any, what: str) -> str:
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
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or len(name) > MAX_LENGTH:
        raise UnwritableValueError(
            f"{what} is named {name!r}. A name in MATLAB is letters, digits and underscores, begins with a "
            f"letter, and has at most {MAX_LENGTH} characters; {_similar(name)!r} would do."
        )
    return name


def _similar(name: str) -> str:
    similar = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return (similar if re.match(r"[A-Za-z]", similar) else "x" + similar)[:MAX_LENGTH]
