"""Names and messages for people, without characters that a terminal or a browser would obey."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

# Control characters; invisible ones such as those that turn the direction of writing; separators of lines.
_OBEYED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
# Ends of lines and tabs shape a message; Persian, Indic scripts and emoji need the two joiners.
_HARMLESS = frozenset("\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")


def visible(text: str) -> str:
    r"""Text in which control characters, and those that turn the direction of writing, are spelled out.

    Args:
        text: any, such as the name of a layer or a variable of somebody else's file.

    Returns:
        The text; `\x1b`, `\u202e` and the like stand where such a character was.

    Examples:
        >>> print(visible("conv\x1b[31m1"))
        conv\x1b[31m1
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _OBEYED and character not in _HARMLESS
        else character
        for character in text
    )


def one_line(text: str) -> str:
    """As `visible`, with ends of lines and tabs spelled out too: a name in a table, a plot or a comment of code."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def suggest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like a wrong one, as a question to put behind an error; empty where none does.

    Examples:
        >>> suggest("Magnitud", ["magnitude", "random"])
        " Did you mean 'magnitude'?"
    """
    there = list(known)
    folded = {each.lower(): each for each in reversed(there)}
    nearest = difflib.get_close_matches(name.lower(), folded, 1)
    return f" Did you mean {folded[nearest[0]]!r}?" if nearest else ""
