"""MATLAB's way to write values, calls and lists down, broken into lines of some 80 characters."""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np

from matlab_bridge._layer import Array
from matlab_bridge._text import one_line

WIDTH = 80

# https://www.mathworks.com/help/matlab/ref/iskeyword.html
_KEYWORDS = frozenset(
    {
        *("break", "case", "catch", "classdef", "continue", "else", "elseif", "end", "for", "function"),
        *("global", "if", "otherwise", "parfor", "persistent", "return", "spmd", "switch", "try", "while"),
    }
)
_LONGEST_NAME = 63


def is_function_name(name: str) -> bool:
    """Whether MATLAB takes a name for a function or a variable."""
    return re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) is not None and not (
        name in _KEYWORDS or len(name) > _LONGEST_NAME
    )


def quote(text: str) -> str:
    r"""A char row; characters that would end the line, or that nobody sees, are numbers: `['a' char(10) 'b']`.

    Examples:
        >>> quote("it's"), quote("2 lines\nof text")
        ("'it''s'", "['2 lines' char(10) 'of text']")
    """
    parts = [
        _plain("".join(characters)) if is_plain else _codes("".join(characters))
        for is_plain, characters in itertools.groupby(text, lambda character: one_line(character) == character)
    ]
    return _plain(text) if one_line(text) == text else f"[{' '.join(parts)}]"


def _plain(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _codes(text: str) -> str:
    """A call that makes a char row of numbers; MATLAB's characters are units of UTF-16."""
    codes = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")
    return f"char({codes[0]})" if len(codes) == 1 else f"char([{' '.join(map(str, codes))}])"


def literal(value: Any) -> str:
    """A number, a logical, a text or a matrix of numbers as it is typed; elements that are all equal as one.

    Args:
        value: a `str`, a number, or a numeric array of at most two dimensions, or a 1 x 1 x n one.

    Returns:
        The expression, with as many digits as the numbers need.

    Examples:
        >>> literal(np.array([[3.0, 3.0]])), literal(np.array([[28.0, 28.0, 1.0]])), literal("same")
        ('3', '[28 28 1]', "'same'")
    """
    if isinstance(value, str):
        return quote(value)
    array = np.asarray(value)
    numbers = [_number(element) for element in array.ravel(order="F")]
    if len(set(numbers)) == 1:
        return numbers[0]
    if array.ndim > 2:
        return f"reshape([{' '.join(numbers)}], {literal_size(array.shape)})"
    rows = np.reshape(numbers, np.atleast_2d(array).shape, order="F").tolist()
    return "[" + "; ".join(" ".join(row) for row in rows) + "]"


def literal_size(shape: Iterable[float]) -> str:
    """A size, which is written out even where all its elements are equal; NaN is a free one."""
    return "[" + " ".join(map(_number, shape)) + "]"


def _number(value: Any) -> str:
    if isinstance(value, np.bool_ | bool):
        return "true" if value else "false"
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Inf" if value > 0 else "-Inf"
    # The shortest text that gives the number back in its own precision; the sum has no minus before a zero.
    return f"{float(str(value)) + 0.0:.15g}"


def call(function: str, arguments: Sequence[str], indent: int) -> str:
    """A call, its arguments filled into lines that are continued by `...`."""
    return _fill(f"{' ' * indent}{function}(", arguments, ")", ", ", indent + 4)


def cell(names: Iterable[str], indent: int) -> str:
    """The elements of a cell column of texts."""
    return _fill("{", [quote(name) for name in names], "}", "; ", indent)


def _fill(start: str, parts: Sequence[str], end: str, separator: str, indent: int) -> str:
    lines, line = [], start
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        addition = part + (end if last else separator)
        room = WIDTH - (0 if last else len("..."))
        if len(line) + len(addition.rstrip()) > room and line != start:
            lines.append(line.rstrip() + " ...")
            line = " " * indent
        line += addition
    return "\n".join([*lines, line if parts else start + end])


def settings_field(layer_name: str, setting: str, taken: Container[str]) -> str:
    """The name of the field that holds a large setting of a layer, `"input_Mean"`, and that no other setting has."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", layer_name)
    start = plain if re.match("[A-Za-z]", plain) else f"x{plain}"
    ends = (f"_{setting}" + (f"_{number}" if number > 1 else "") for number in itertools.count(1))
    return next(field for end in ends if (field := start[: _LONGEST_NAME - len(end)] + end) not in taken)


def is_large(value: Any) -> bool:
    """Whether an array is better kept in a file than typed."""
    return isinstance(value, np.ndarray) and value.size > 16


def column(values: Sequence[Any]) -> Array:
    """A MATLAB cell column."""
    cells = np.empty((len(values), 1), dtype=object)
    cells[:, 0] = values
    return cells
