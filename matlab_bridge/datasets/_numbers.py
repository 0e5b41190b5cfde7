"""Labels that are numbers: names of classes, or their indices, and how to tell which.

A 1 may be the class named '1', or the first of the classes. Where the whole set of labels fits only one of
these readings, that one is taken; where it fits both and they differ, the network itself is asked on a
sample, because a trained network agrees with its own labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .._errors import DatasetError
from ._dataset import Array, shortened
from ._expected import Expected

NumberLabels = Literal["auto", "names", "indices"]
# The positions of some observations, and the class that the network gives each of them.
Predictions = tuple[Array, Array]

NO_CLASS = -1


@dataclass(frozen=True)
class NumberReading:
    """One way to read the distinct numbers among labels.

    Attributes:
        kind: whether the numbers are taken for names of classes or for their indices.
        class_names: the order of classes.
        indices: the class index of each distinct number; -1 for a 0 among indices that begin at 1.
        note: a sentence about it.
    """

    kind: Literal["names", "indices"]
    class_names: tuple[str, ...]
    indices: tuple[int, ...]
    note: str


def name_of(number: Any) -> str:
    """The name that MATLAB's `categorical` gives a number: `"3"` for 3.0, `"0.5"` for 0.5."""
    value = float(number)
    return str(int(value)) if value.is_integer() else f"{value:.5g}"


def number_readings(values: Array, expected: Expected, *, logical: bool) -> tuple[NumberReading, ...]:
    """Every way to read the distinct numbers among labels, the likeliest first.

    Args:
        values: sorted, each once.
        expected: the network's class names and the number of its outputs.
        logical: whether they were logical values.

    Returns:
        Readings that differ; none where the numbers fit in no way.
    """
    by_name = _by_name(values, expected, logical=logical)
    if by_name is not None and set(by_name.indices) == set(range(len(by_name.class_names))):
        return (by_name,)  # each class is named by a number: no doubt is left
    found = [by_name] if by_name is not None else []
    # MATLAB counts from 1; a logical value counts from 0.
    for first in (0,) if logical else (1, 0):
        found += [reading for reading in [_by_index(values, expected, first)] if reading is not None]
    if not logical and len(values) > 1 and values[0] == 0 and expected.class_names:
        # Some people mark what was classified wrongly, or not at all, with 0.
        found += [reading for reading in [_by_index(values, expected, 1, zero=True)] if reading is not None]
    distinct = {reading.indices: reading for reading in reversed(found)}
    return tuple(reading for reading in found if distinct[reading.indices] is reading)


def choose(
    readings: tuple[NumberReading, ...],
    where: Array,
    asked: NumberLabels,
    predictions: Callable[[], Predictions | None] | None,
) -> NumberReading:
    """One of several readings.

    Args:
        readings: at least one.
        where: for each observation, which of the distinct numbers it has.
        asked: `"auto"`, or the only kind that the user wants.
        predictions: asks the network; None where there is none to ask.

    Returns:
        What was asked for; else the only reading; else the one that the network agrees with most; else the
        first.

    Raises:
        DatasetError: if none is of the kind that was asked for.
    """
    if asked != "auto":
        of_kind = [reading for reading in readings if reading.kind == asked]
        if not of_kind:
            raise DatasetError(
                f"number_labels={asked!r}, but the labels fit the network only as {readings[0].kind}: "
                f"{readings[0].note}"
            )
        return of_kind[0]
    answer = predictions() if len(readings) > 1 and predictions is not None else None
    if answer is None:
        return readings[0]
    positions, predicted = answer
    agreement = [float(np.mean(np.array(r.indices)[where[positions]] == predicted)) for r in readings]
    best = int(np.argmax(agreement))
    others = " and ".join(
        f"{share:.1%} as {reading.note}"
        for share, reading in zip(agreement, readings, strict=True)
        if reading is not readings[best]
    )
    chosen = readings[best]
    note = f"{chosen.note}; the network agrees with {agreement[best]:.1%} of a sample read so, with {others}"
    return NumberReading(chosen.kind, chosen.class_names, chosen.indices, note)


def _by_name(values: Array, expected: Expected, *, logical: bool) -> NumberReading | None:
    order = expected.class_names
    spellings = [[name_of(value) for value in values]]
    if logical:
        spellings.append([("false", "true")[int(value)] for value in values])
    for names in spellings:
        if order and set(names) <= set(order):
            indices = tuple(order.index(name) for name in names)
            return NumberReading("names", order, indices, "the names of the network's classes")
    names = spellings[-1]
    complete = expected.outputs is None or len(values) == expected.outputs
    if not order and complete and not _are_indices(values, 1, len(values)):
        note = f"the names of classes, sorted: {shortened(names)}"
        return NumberReading("names", tuple(names), tuple(range(len(names))), note)
    return None


def _by_index(values: Array, expected: Expected, first: int, *, zero: bool = False) -> NumberReading | None:
    """Class indices that begin at `first`; with `zero`, a 0 stands for no class."""
    # A single sigmoid output tells two classes apart.
    count = 2 if expected.outputs == 1 else expected.outputs or len(values)
    known = values[1:] if zero else values
    if not _are_indices(known, first, count):
        return None
    order = expected.class_names or tuple(str(number) for number in range(first, first + count))
    indices = tuple(int(value) - first for value in known)
    note = f"class indices {first} to {first + count - 1} ({name_of(known[0])} is {order[indices[0]]!r})"
    if zero:
        note += ", and 0 for no class, which no prediction matches"
        indices = (NO_CLASS, *indices)
    return NumberReading("indices", order, indices, note)


def _are_indices(values: Array, first: int, count: int) -> bool:
    whole = bool(np.all(np.equal(np.mod(values, 1), 0)))
    return whole and bool(values[0] >= first and values[-1] < first + count)
