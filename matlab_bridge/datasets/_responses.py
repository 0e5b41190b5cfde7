"""The response in a table of numbers: the variable that is to be found from the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ._arrays import numbers_of
from ._expected import Expected
from ._names import names_labels


def response_of(value: Any, expected: Expected) -> str | None:
    """The numeric variable of a table that is its response; None where there is none, or it is not clear.

    With a network it is the one more variable than the network takes: one whose name says labels, or else the last, as
    `trainNetwork` takes it. Without one it is the last, if its name alone says labels and no other is called `x`.

    Source: https://www.mathworks.com/help/deeplearning/ref/trainnetwork.html

    Args:
        value: a table; anything else has no response.
        expected: what the network takes.
    """
    if not isinstance(value, pd.DataFrame):
        return None
    widths = {str(name): np.asarray(numbers_of(value[[name]])).shape[1] for name in value.columns}
    numeric = [name for name, width in widths.items() if width]
    named = [name for name in numeric if names_labels(name)]
    if expected.kind == "feature" and sum(widths.values()) == expected.size[0] + 1 and numeric:
        return named[0] if len(named) == 1 else numeric[-1]
    is_clear = len(numeric) > 1 and named == numeric[-1:] and "x" not in map(str.lower, numeric)
    return named[0] if expected.kind == "unknown" and is_clear else None


def without_response(value: Any, expected: Expected) -> Any:
    """A table without its response; anything else as it is."""
    response = response_of(value, expected)
    return value if response is None else value.drop(columns=response)
