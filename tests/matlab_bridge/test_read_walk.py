"""Every path that the search gives leads, read as MATLAB reads it, to what was found."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from matlab_bridge.matfile import MatlabObject, ObjectArray, StructArray
from matlab_bridge.read._walk import walk

from .objects_by_hand import cell, row

NAMES = st.sampled_from(["net", "x", "Actor", "two words", "1st"])


class Treasure(MatlabObject):
    """What the search is for."""


def treasure() -> Treasure:
    return Treasure("Treasure", {})


def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    structs = st.dictionaries(NAMES, children, max_size=3)
    elements = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        structs,
        elements.map(lambda items: cell(*items)),
        elements.map(lambda items: cell(*items, shape=(1, len(items)))),
        elements.map(lambda items: StructArray(cell(*({"net": item} for item in items)), ("net",))),
        structs.map(lambda fields: MatlabObject("plain", fields)),
        structs.map(lambda fields: MatlabObject("saved", {"any": fields})),
        elements.map(
            lambda items: ObjectArray(cell(*(MatlabObject("element", {"p": item}) for item in items)), "root")
        ),
    )


VALUES = st.recursive(
    st.one_of(st.builds(treasure), st.just("text"), st.builds(lambda: row(1, 2))), containers, max_leaves=12
)


def follow(value: Any, path: str) -> Any:
    """Evaluate the indexing after the variable's name."""
    assert path.startswith("value")
    for name, key, number in re.findall(r"\.(\w+)|\('([^']*)'\)|[({](\d+)[)}]", path.removeprefix("value")):
        if number:
            value = value.ravel(order="F")[int(number) - 1]
        elif isinstance(value, MatlabObject):
            value = value.fields[name or key]
        else:
            value = value[name or key]
    return value


def count(value: Any) -> int:
    if isinstance(value, Treasure):
        return 1
    if isinstance(value, MatlabObject):
        return sum(count(child) for name, child in value.fields.items() if name != "any")
    if isinstance(value, dict):
        return sum(map(count, value.values()))
    if hasattr(value, "dtype") and value.dtype == object:
        return sum(map(count, value.ravel()))
    return 0


@given(VALUES)
def test_paths_lead_to_what_was_found(value: Any) -> None:
    found = list(walk(value, "value", lambda part: "found" if isinstance(part, Treasure) else None))
    assert len(found) == count(value)
    assert len({path for path, _, _ in found}) == len(found)
    for path, what, label in found:
        assert follow(value, path) is what
        assert label == "found"
