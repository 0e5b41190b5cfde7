"""Values inside the variables of a file, by the path that one would write in MATLAB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from matlab_bridge._errors import VariableNotFoundError
from matlab_bridge._named_step import name_at
from matlab_bridge._text import suggest
from matlab_bridge.matfile._values import MatlabObject, StructArray

from ._pairs import column

_STEP = re.compile(
    r"\.?(?P<name>[A-Za-z]\w*)|(?P<bracket>[({])(?P<index>(?::\s*,\s*)?\d{1,18}(?:\s*,\s*\d{1,18})*)[)}]"
)


def resolve(variables: Mapping[str, Any], path: str) -> Any:
    """The value at a path such as `"XTest"`, `"data.XTest"`, `"s(2).x"`, `"c{1}"`, or `"s.x"` of all elements of s.

    `"c(:,2)"` is a column of a cell; of single labels it is one array of them.

    Args:
        variables: the variables of a file, by name.
        path: names of fields after dots, 1-based indices in round or curly brackets.

    Returns:
        The value.

    Raises:
        VariableNotFoundError: if there is no such value; it lists what there is at the place where the path
            breaks.
    """
    value: Any = variables
    position = 0
    while position < len(path):
        if name := name_at(path, position, _names(value)):
            value = _field(value, name, path[:position])
            position += len(name) + (position > 0)
            continue
        step = _STEP.match(path, position)
        if step is None or (position == 0 and step["name"] is None):
            raise VariableNotFoundError(
                f"{path!r} is no path to a variable. Write it as in MATLAB: 'XTest', 'data.XTest', 's(2).x' "
                f"or 'c{{1}}'."
            )
        value = _field(value, step["name"], path[:position]) if step["name"] else _element(value, step, path, position)
        position = step.end()
    return value


def fields(value: Any) -> Mapping[str, Any]:
    """What can stand after a dot: fields of a struct, columns of a table, properties of an object."""
    if isinstance(value, MatlabObject):
        return value.fields
    if isinstance(value, pd.DataFrame):
        return {str(name): _column(value[name]) for name in value.columns}
    return value if isinstance(value, Mapping) else {}


def field_of_all(structs: StructArray, name: str) -> Any:
    """A field of all elements of a struct array, as MATLAB's `{structs.name}` gives it: a cell of that size."""
    cell = np.empty(structs.shape, dtype=object)
    for index in np.ndindex(structs.shape):
        cell[index] = structs[index][name]
    return cell


def _column(column: pd.Series[Any]) -> Any:
    """A variable of a table as it would be on its own."""
    return column.array if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy()


def _alone(value: Any) -> Any:
    """The element of a cell or an array of one: MATLAB lets one leave out its (1)."""
    return value.ravel()[0] if isinstance(value, np.ndarray) and value.dtype == object and value.size == 1 else value


def _names(value: Any) -> Iterable[Any]:
    value = _alone(value)
    if isinstance(value, pd.DataFrame):
        return value.columns
    return value.fields if isinstance(value, StructArray) else fields(value)


def _field(value: Any, name: str, path: str) -> Any:
    value = _alone(value)
    if isinstance(value, StructArray) and name in value.fields:
        return field_of_all(value, name)
    found: Mapping[str, Any] = dict.fromkeys(value.fields) if isinstance(value, StructArray) else fields(value)
    if name not in found:
        where = f"{path!r} has no field {name!r}" if path else f"There is no variable {name!r}"
        raise VariableNotFoundError(f"{where}. There are: {', '.join(found) or 'none'}.{suggest(name, found)}")
    return found[name]


def _element(value: Any, step: re.Match[str], path: str, position: int) -> Any:
    is_column = step["index"].startswith(":")
    numbers = [int(number) for number in step["index"].split(",")[is_column:]]
    array = value if isinstance(value, np.ndarray) else np.array([[None]], dtype=object)
    if not isinstance(value, np.ndarray):
        array[0, 0] = value  # a 1x1 struct or object is not held in an array
    try:
        if min(numbers) < 1 or (is_column and (array.dtype != object or array.ndim != 2 or len(numbers) > 1)):
            raise IndexError
        if is_column:
            return column(array, numbers[0])
        if len(numbers) == 1:
            return array.ravel(order="F")[numbers[0] - 1]
        return array[tuple(number - 1 for number in numbers)]
    except IndexError:
        raise VariableNotFoundError(
            f"{path[: step.end()]!r} is outside of {path[:position]!r}, whose size is "
            f"{'x'.join(map(str, array.shape))} (indices begin at 1)."
        ) from None
