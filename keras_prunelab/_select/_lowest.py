"""Finding the lowest of many scores: of equal ones those that stand first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Parts: TypeAlias = Sequence[NDArray[Any]]
Places: TypeAlias = list[NDArray[np.intp]]

_SAMPLE = 1 << 13


def lowest(scores: Parts, is_open: Parts, need: int) -> Places:
    """Find so many of the lowest scores, over several arrays as if they were one.

    A sample bounds the highest score that goes, so that only the few scores up to that bound are ranked: Floyd and
    Rivest, Expected time bounds for selection, Communications of the ACM 18(3), 1975.

    Args:
        scores: flat arrays without NaN.
        is_open: booleans for each; what is False does not take part.
        need: how many are to be found; all that take part where there are no more.

    Returns:
        Their places in each array, ascending.

    Examples:
        >>> lowest([np.array([3.0, 1.0]), np.array([1.0, 0.0])], [np.array([True, True]), np.array([True, False])], 1)
        [array([1]), array([], dtype=int64)]
    """
    most = sum(int(np.count_nonzero(each)) for each in is_open)
    if need <= 0:
        return [np.empty(0, np.intp) for _ in scores]
    if need >= most:
        return [np.flatnonzero(each) for each in is_open]
    found = _up_to(_bound(scores, is_open, need / most), scores, is_open)
    if sum(map(len, found)) < need:  # the sample misled
        found = [np.flatnonzero(each) for each in is_open]
    values = np.concatenate([part[places] for part, places in zip(scores, found, strict=True)])
    threshold = np.partition(values, need - 1)[need - 1]
    goes = values < threshold
    ties = np.flatnonzero(values == threshold)
    goes[ties[: need - int(np.count_nonzero(goes))]] = True
    ends = np.cumsum([len(places) for places in found])[:-1]
    return [places[chosen] for places, chosen in zip(found, np.split(goes, ends), strict=True)]


def lowest_units(scores: Parts, is_open: Parts, sizes: Parts, need: int) -> Places:
    """Find the lowest units that together have as close to so many weights as whole units come.

    Args:
        scores: one score a unit: flat arrays without NaN.
        is_open: booleans for each; what is False does not take part.
        sizes: how many weights each unit has.
        need: how many weights are to go.

    Returns:
        The places of these units in each array, ascending.
    """
    flat = np.concatenate(scores)
    places = np.flatnonzero(np.concatenate(is_open))
    order = places[np.argsort(flat[places], kind="stable")]
    reached = np.concatenate([[0], np.cumsum(np.concatenate(sizes)[order])])
    distance = np.abs(reached - max(need, 0))
    taken = np.sort(order[: len(reached) - 1 - int(np.argmin(distance[::-1]))])
    ends = np.cumsum([len(part) for part in scores])
    starts = ends - [len(part) for part in scores]
    return [
        taken[slice(*np.searchsorted(taken, (start, end)))] - start for start, end in zip(starts, ends, strict=True)
    ]


def mark(places: NDArray[np.intp], size: int) -> NDArray[np.bool_]:
    """Turn places into booleans.

    Args:
        places: where True is to stand.
        size: the number of booleans.

    Returns:
        A flat array.
    """
    there = np.zeros(size, np.bool_)
    there[places] = True
    return there


def _up_to(bound: float, scores: Parts, is_open: Parts) -> Places:
    return [np.flatnonzero((part <= bound) & each) for part, each in zip(scores, is_open, strict=True)]


def _bound(scores: Parts, is_open: Parts, share: float) -> float:
    """A score that most likely at least a share of all do not exceed, and few more than that."""
    stride = sum(map(len, scores)) // _SAMPLE | 1  # odd, so as not to run along one column
    sample = np.concatenate(
        [part[::stride][each[::stride]] for part, each in zip(scores, is_open, strict=True)], dtype=np.float64
    )
    expected = share * len(sample)
    rank = math.ceil(expected + 4 * math.sqrt(expected * (1 - share)) + 4)
    return float(np.partition(sample, rank)[rank]) if rank < len(sample) else math.inf
