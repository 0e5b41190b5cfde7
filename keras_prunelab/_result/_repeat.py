"""The Python that makes a result again: sweeps that are joined, and what has to stand before them."""

from __future__ import annotations

import re

_NEEDED = re.compile(r"# Provide (?P<names>.*), as they were for this sweep\.\n")


def followed_by(call: str, more: str, by: str = "join") -> str:
    """Spell two sweeps whose results are put together.

    Args:
        call: from `spell`, or from here.
        more: from `spell`.
        by: the method of the first result that does it.
    """
    own = more.removeprefix("import keras_prunelab as kpl\n\n").replace("result = kpl.sweep(", "more = kpl.sweep(")
    return f"{call}\n\n{own}\nresult = result.{by}(more)"


def preceded_by(loading: str, call: str) -> str:
    """Spell a sweep behind the code that makes what it needs.

    Args:
        loading: Python that makes `model`, `data` and the like.
        call: from `spell`, or from `followed_by`. Its comments stay where they name something that is not made.
    """
    made = set(re.findall(r"^(\w+) = ", loading, re.MULTILINE))

    def left(found: re.Match[str]) -> str:
        return "" if made.issuperset(found["names"].split(", ")) else found[0]

    return f"{loading.rstrip()}\n\n{_NEEDED.sub(left, call)}"
