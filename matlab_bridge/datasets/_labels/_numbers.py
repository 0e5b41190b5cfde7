"""Labels that are numbers: names of classes, or their indices, and how to tell which.

A 1 may be the class named '1', or the first of the classes. Where the whole set of labels fits only one of
these readings, that one is taken; where it fits both and they differ, the network itself is asked on a
sample, because a trained network agrees with its own labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from matlab_bridge._errors import DatasetError
from matlab_bridge.datasets._expected import Expected
from matlab_bridge.datasets._values import Array, shorten

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

    @property
    def is_complete(self) -> bool:
        """Whether each class is named by one of the numbers, which leaves no doubt."""
        return self.kind == "names" and set(self.indices) == set(range(len(self.class_names)))


def name_of(number: Any) -> str:
    """The name that MATLAB's `categorical` gives a number: `"3"` for 3.0, `"0.5"` for 0.5."""
    value = float(number)
    return str(int(value)) if value.is_integer() else f"{value:.5g}"


def are_whole(numbers: Array) -> bool:
    """Whether numbers have no fractions, and are numbers at all."""
    return bool(np.all(np.isfinite(numbers)) and np.all(numbers == np.floor(numbers)))


def number_readings(values: Array, expected: Expected, *, logical: bool) -> tuple[NumberReading, ...]:
    """Every way to read the distinct numbers among labels, the likeliest first.

    Args:
        values: sorted, each once.
        expected: the network's class names and the number of its outputs.
        logical: whether they were logical values.

    Returns:
        The readings; none where the numbers fit in no way.
    """
    found = [_by_name(values, expected, logical=logical)]
    # MATLAB counts from 1; a logical value counts from 0.
    found += [_by_index(values, expected, first) for first in ((0,) if logical else (1, 0))]
    if not logical and len(values) > 1 and values[0] == 0 and expected.outputs:
        # Some people mark what was classified wrongly, or not at all, with 0.
        found.append(_by_index(values, expected, 1, zero=True))
    return tuple(reading for reading in found if reading is not None)


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
        Of those that were asked for, the one that the network agrees with most; without a network, or where
        the numbers name every class, the first.

    Raises:
        DatasetError: if none is of the kind that was asked for.
    """
    offered = [reading for reading in readings if asked in {"auto", reading.kind}]
    if not offered:
        raise DatasetError(f"number_labels={asked!r}, but the labels fit the network only as {readings[0].note}.")
    first = offered[0]
    differ = len({reading.indices for reading in offered}) > 1
    answer = predictions() if differ and not first.is_complete and predictions is not None else None
    if answer is None:
        return first
    positions, predicted = answer
    agreement = [float(np.mean(np.array(r.indices)[where[positions]] == predicted)) for r in offered]
    best = offered[int(np.argmax(agreement))]
    others = " and ".join(
        f"{share:.1%} as {reading.note}"
        for share, reading in zip(agreement, offered, strict=True)
        if reading.indices != best.indices
    )
    note = f"{best.note}; the network agrees with {max(agreement):.1%} of a sample read so, with {others}"
    return replace(best, note=note)


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
        note = f"the names of classes, sorted: {shorten(names)}"
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
    return are_whole(values) and bool(values[0] >= first and values[-1] < first + count)
