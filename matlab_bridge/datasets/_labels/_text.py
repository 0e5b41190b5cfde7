"""Labels that are names: categoricals, strings, cells of char rows and char matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from matlab_bridge._errors import LabelMismatchError
from matlab_bridge.datasets._values import Array
from matlab_bridge.matfile._values import CategoricalArray

Names = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Text:
    """Labels that are names, with the categories in MATLAB's order where they had any."""

    names: Names
    categories: tuple[str, ...] = ()


def as_text(value: Any) -> Text | None:
    """Labels that are names, or None for a value of another kind.

    Raises:
        LabelMismatchError: if an element of a categorical is `<undefined>`.
    """
    if isinstance(value, pd.Categorical):
        codes, categories = np.asarray(value.codes), tuple(str(name) for name in value.categories)
        return Text(_names(codes, categories), categories)
    if isinstance(value, CategoricalArray):
        codes = np.ravel(value.codes, order="F").astype(np.int64) - 1
        return Text(_names(codes, value.categories), value.categories)
    if isinstance(value, str):
        return Text(np.array([value.rstrip()], dtype=object))
    if isinstance(value, np.ndarray) and value.dtype.kind in "OTU" and value.size:
        elements = list(value.ravel(order="F"))
        if all(isinstance(element, str) for element in elements):
            # A char matrix pads its rows with blanks.
            return Text(np.array([str(element).rstrip() for element in elements], dtype=object))
    return None


def _names(codes: Array, categories: tuple[str, ...]) -> Names:
    undefined = int(np.count_nonzero(codes < 0))
    if undefined:
        raise LabelMismatchError(
            f"{undefined} of {len(codes)} labels are <undefined>. Remove those observations in MATLAB, with "
            "~isundefined(labels), or give them a category."
        )
    return np.array(categories, dtype=object)[codes]
