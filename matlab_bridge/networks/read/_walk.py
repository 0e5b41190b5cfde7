"""Searching structs, cells, tables and objects, with the paths that a MATLAB user would write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from matlab_bridge.matfile._values import MatlabObject

T = TypeVar("T")


def walk(value: Any, path: str, recognise: Callable[[Any], T | None]) -> Iterator[tuple[str, Any, T]]:
    """Everything inside a value that is recognised, in the order in which MATLAB stores it.

    What is recognised is not searched further, and an object that several places share is visited once, at
    its first: MATLAB's handles point back at their owners.

    Args:
        value: any MATLAB value.
        path: the name it goes by.
        recognise: what the value is, or None to look inside it.

    Yields:
        The path as one would write it in MATLAB (`"agent.Actor.Network"`, `"models{2}.net"`), the value, and
        what it is.
    """
    # The values themselves are kept: an id means nothing once its object is gone.
    visited: dict[int, Any] = {}
    waiting = [(path, value)]
    while waiting:
        where, current = waiting.pop()
        if id(current) in visited:
            continue
        visited[id(current)] = current
        recognised = recognise(current)
        if recognised is not None:
            yield where, current, recognised
        else:
            waiting.extend(reversed([(where + step, child) for step, child in _children(current)]))


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """The containers directly inside a value, each with MATLAB's way to index it."""
    named: Mapping[Any, Any] = {}
    if isinstance(value, MatlabObject):
        named = {name: child for name, child in value.fields.items() if name != "any"}
    elif isinstance(value, Mapping):
        named = value
    elif isinstance(value, pd.DataFrame):
        named = {name: column.to_numpy() for name, column in value.items()}
    elif isinstance(value, np.ndarray) and value.dtype == object:
        # A subclass is an array of structs or objects; a cell is a plain one.
        opening, closing = ("{", "}") if type(value) is np.ndarray else ("(", ")")
        for number, child in enumerate(value.ravel(order="F"), start=1):
            if _is_container(child):
                yield f"{opening}{number}{closing}", child
    for name, child in named.items():
        if _is_container(child):
            yield f".{name}" if str(name).isidentifier() else f"({name!r})", child


def _is_container(value: Any) -> bool:
    return isinstance(value, MatlabObject | Mapping | pd.DataFrame) or (
        isinstance(value, np.ndarray) and value.dtype == object
    )
