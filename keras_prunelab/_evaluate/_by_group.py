"""How good a network is on each group of observations, such as those of one signal-to-noise ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError

from ._by_class import PointKey

MAX_GROUPS = 100
"""Values of one variable; a variable with more has to be rounded, or put into bins."""
Value: TypeAlias = "float | str"
MetricByGroup: TypeAlias = "Mapping[str, tuple[float, ...]]"
"""A metric for each value of each variable, by the name of the variable."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """A variable that puts each observation into a group.

    Attributes:
        name: the name of the variable.
        values: its values, ascending.
        codes: which of the values each observation has, in the order in which the observations are measured.
    """

    name: str
    values: tuple[Value, ...]
    codes: NDArray[np.intp]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many observations have each value."""
        return tuple(np.bincount(self.codes, minlength=len(self.values)).tolist())


@dataclass(frozen=True)
class ByGroup:
    """A metric for each value of a variable.

    Attributes:
        name: the name of the variable.
        values: its values, ascending.
        observations: how many observations have each value.
        dense: the metric of the dense network for each value.
        points: the same of each point of a sweep.
    """

    name: str
    values: tuple[Value, ...]
    observations: tuple[int, ...]
    dense: tuple[float, ...]
    points: Mapping[PointKey, tuple[float, ...]]

    def table(self, keys: Sequence[PointKey], metric: str) -> pd.DataFrame:
        """The metric by value at one point, or its mean over several; without rows where one is missing."""
        known = bool(keys) and all(key in self.points for key in keys)
        values = np.mean([self.points[key] for key in keys], axis=0) if known else np.empty(0)
        columns = dict(zip(columns_of(metric), (self.name, self.values, self.observations, self.dense), strict=False))
        found = pd.DataFrame({name: column if known else [] for name, column in columns.items()})
        return found.assign(**{metric: values, "change": values - found["dense"].to_numpy(dtype=float)})

    def to_json(self) -> dict[str, Any]:
        """The values as JSON values."""
        about = {"name": self.name, "values": list(self.values), "observations": list(self.observations)}
        points = [[*key, _finite(values)] for key, values in self.points.items()]
        return about | {"dense": _finite(self.dense), "points": points}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> ByGroup:
        """The values from what `to_json` made."""
        points = {(str(a), str(b), str(c), int(d), float(e)): _numbers(f) for a, b, c, d, e, f in given["points"]}
        values, counts = tuple(given["values"]), tuple(map(int, given["observations"]))
        return cls(str(given["name"]), values, counts, _numbers(given["dense"]), points)

    def joined(self, others: Sequence[ByGroup]) -> ByGroup | None:
        """These and the points of another sweep with the same groups; None where it has none like them."""
        for other in others:
            if replace(self, points={}) == replace(other, dense=self.dense, points={}):
                return replace(self, points={**self.points, **other.points})
        return None


def columns_of(metric: str) -> list[str]:
    """The columns of `ByGroup.table`."""
    return ["variable", "value", "observations", "dense", metric, "change"]


def groupings(groups: Mapping[str, Any], count: int) -> tuple[Grouping, ...]:
    """Check variables that put observations into groups.

    Args:
        groups: for each variable its name, and one number or text for each observation.
        count: how many observations there are.

    Raises:
        InvalidDataError: a variable has another length, more than `MAX_GROUPS` values, or values that are missing or
            neither numbers nor text.
    """
    if not isinstance(groups, Mapping):
        raise InvalidDataError(
            f"groups has a name for each variable, such as {{'SNR': ratios}}, but got {type(groups).__name__}."
        )
    return tuple(_grouping(str(name), values, count) for name, values in groups.items())


def _grouping(name: str, given: Any, count: int) -> Grouping:
    array = np.asarray(given)
    if array.size != count or array.ndim > 2 or max(array.shape, default=0) != count:
        raise InvalidDataError(
            f"groups[{name!r}] has one value for each of the {count} observations, but its shape is {array.shape}."
        )
    array = array.reshape(-1)
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array):
        array = array.astype(str)
    if array.dtype.kind not in "buifU":
        raise InvalidDataError(f"groups[{name!r}] has numbers or texts, but got {array.dtype}.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidDataError(
            f"groups[{name!r}] has values that are missing or infinite: leave those observations out, or give them a "
            "number of their own."
        )
    values, codes = np.unique(array, return_inverse=True)
    if len(values) > MAX_GROUPS:
        raise InvalidDataError(
            f"groups[{name!r}] has {len(values)} different values, and up to {MAX_GROUPS} are compared: round them, as "
            "with np.round, or put them into bins with np.digitize."
        )
    is_text = array.dtype.kind == "U"
    return Grouping(name, tuple(str(value) if is_text else float(value) for value in values), codes.reshape(-1))


def metric_by_group(names: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Metrics by group from JSON values.

    Raises:
        TypeError: they are no numbers.
    """
    if not isinstance(names, Mapping):
        raise TypeError(f"{names!r:.60} are no numbers by name")
    return {str(name): _numbers(values) for name, values in names.items()}


def _finite(values: Sequence[float]) -> list[float | None]:
    """Numbers as JSON has them; those of a network that overflows are missing."""
    return [value if math.isfinite(value) else None for value in values]


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(value is None or isinstance(value, int | float) for value in values):
        raise TypeError(f"{values!r:.60} are no numbers")
    return tuple(math.nan if value is None else float(value) for value in values)
