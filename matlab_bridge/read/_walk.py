"""Searching structs, cells, tables and objects, with the paths that a MATLAB user would write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from matlab_bridge._errors import VariableNotFoundError
from matlab_bridge._named_step import name_at
from matlab_bridge.matfile._values import MatlabObject, is_pandas

T = TypeVar("T")

# A field of a struct or an object, an element of a cell or an array: ".W", "{2}", "(1,3)".
_STEP = re.compile(r"\.?(?P<field>[A-Za-z]\w*)|[{(](?P<index>\d{1,18}(?:\s*,\s*\d{1,18})*)[})]")


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
    elif is_pandas(value, "DataFrame"):
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
    is_cell = isinstance(value, np.ndarray) and value.dtype == object
    return is_cell or isinstance(value, MatlabObject | Mapping) or is_pandas(value, "DataFrame")


def follow(variables: Mapping[str, Any], path: str) -> Any:
    """The value at a path that one would write in MATLAB.

    Args:
        variables: the variables of a file.
        path: such as `"W1"`, `"net.W{2}"` or `"layers(3).b"`.

    Returns:
        The value there.

    Raises:
        VariableNotFoundError: if there is none; the message tells how far the path leads.
    """
    value: Any = variables
    position = 0
    while position < len(path):
        if name := name_at(path, position, _fields(value)):
            value, position = _fields(value)[name], position + len(name) + (position > 0)
            continue
        step = _STEP.match(path, position)
        if step is None:
            raise VariableNotFoundError(f"{path!r} is no path: a name, then '.field', '{{1}}' or '(1)'.")
        try:
            value = _child(value, step)
        except (KeyError, IndexError, TypeError) as error:
            known = ", ".join(map(str, _fields(value))) or f"none: it is {_words(value)}"
            raise VariableNotFoundError(
                f"Nothing is at {path!r}: {path[:position] or 'the file'!r} has no {step.group().lstrip('.')!r}. "
                f"It has: {known}."
            ) from error
        position = step.end()
    return value


def _child(value: Any, step: re.Match[str]) -> Any:
    if step["field"]:
        return _fields(value)[step["field"]]
    indices = [int(index) - 1 for index in step["index"].split(",")]
    if not isinstance(value, np.ndarray):  # a struct or an object of its own is the first of an array of one
        if any(indices):
            raise IndexError(step["index"])
        return value
    return value.ravel(order="F")[indices[0]] if len(indices) == 1 else value[tuple(indices)]


def _fields(value: Any) -> Mapping[Any, Any]:
    if isinstance(value, MatlabObject):
        return value.fields
    return value if isinstance(value, Mapping) else {}


def _words(value: Any) -> str:
    return f"an array of {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
