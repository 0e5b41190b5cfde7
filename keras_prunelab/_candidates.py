"""The units of some variables that can still go, and taking the lowest of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._arrays import last, masked
from ._granularity import Granularity
from ._prunable import Prunable


class Candidates:
    """The units of a group of variables: single weights, blocks or channels.

    Args:
        group: the variables.
        scores: one score a weight, by path.
        kept: the masks so far, by path.
        grain: what goes as a whole.
        norm: how the scores of a unit's weights are joined: 1 for their sum, 2 for the Euclidean norm.

    Attributes:
        gone: how many weights the masks have pruned already.
    """

    def __init__(
        self,
        group: Sequence[Prunable],
        scores: Mapping[str, NDArray[Any]],
        kept: Mapping[str, NDArray[np.bool_]],
        grain: Granularity,
        norm: int,
    ) -> None:
        self._group, self._kept = group, kept
        self._units = [grain.units(item) for item in group]
        parts = [
            _weights(item, scores[item.path], kept[item.path], grain)
            if units is None
            else _joined(units, scores[item.path], kept[item.path], grain, norm)
            for item, units in zip(group, self._units, strict=True)
        ]
        self._scores, self._is_open, sizes = (_concatenated(column) for column in zip(*parts, strict=True))
        self._sizes = sizes if grain.units(group[0]) is not None else None
        self._ends = np.cumsum([part[0].size for part in parts])
        self._taken = np.zeros(self._scores.shape, np.bool_)
        self.gone = sum(kept[item.path].size - int(np.count_nonzero(kept[item.path])) for item in group)

    def bound(self, least: int, most: int) -> None:
        """Let the lowest units go in any case, and the highest in no case.

        Args:
            least: how many weights go in any case.
            most: how many can go at all.
        """
        allowed = self._lowest(most)
        forced = self._lowest(least)
        self._is_open = self._is_open & allowed
        self._scores = masked(self._scores, ~forced, -np.inf)

    def _lowest(self, need: int) -> NDArray[np.bool_]:
        return lowest(last(self._scores, self._is_open), self._sizes, int(np.count_nonzero(self._is_open)), need)

    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """The masks without what was taken."""
        masks = {}
        for item, units, taken in zip(self._group, self._units, np.split(self._taken, self._ends[:-1]), strict=True):
            gone = taken.reshape(item.shape) if units is None else taken[units]
            masks[item.path] = self._kept[item.path] & ~gone
        return masks


def take(candidates: Sequence[Candidates], need: int) -> None:
    """Take the lowest units of several groups together.

    Args:
        candidates: the groups.
        need: how many weights to take. Of whole units, as many as come closest.
    """
    scores = _concatenated([last(each._scores, each._is_open) for each in candidates])
    most = sum(int(np.count_nonzero(each._is_open)) for each in candidates)
    every = [each._sizes for each in candidates]
    sizes = None if every[0] is None else _concatenated(every)
    ends = np.cumsum([each._scores.size for each in candidates])[:-1]
    for each, taken in zip(candidates, np.split(lowest(scores, sizes, most, need), ends), strict=True):
        each._taken = taken


def _concatenated(arrays: Sequence[Any]) -> NDArray[Any]:
    return np.asarray(arrays[0]) if len(arrays) == 1 else np.concatenate(arrays)


def _weights(
    item: Prunable, scores: NDArray[Any], kept: NDArray[np.bool_], grain: Granularity
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.int64]]:
    floats = scores.astype(np.result_type(scores, np.float32), copy=False)
    protected = grain.protected(item, floats, kept)
    is_open = kept if protected is None else kept & ~protected
    return floats.reshape(-1), is_open.reshape(-1), np.empty(0, np.int64)


def _joined(
    units: NDArray[np.int64], scores: NDArray[Any], kept: NDArray[np.bool_], grain: Granularity, norm: int
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.int64]]:
    flat = masked(scores.astype(np.float64), kept).reshape(-1)
    sizes = np.bincount(units.reshape(-1), weights=kept.reshape(-1)).astype(np.int64)
    powers = flat if norm == 1 else np.abs(flat) ** norm
    totals = np.asarray(np.bincount(units.reshape(-1), weights=powers) ** (1 / norm))
    is_open = sizes > 0
    if grain.kind == "channel" and is_open.any():  # one stays, or nothing would pass
        is_open[_best(totals, is_open)] = False
    return totals, is_open, sizes


def _best(totals: NDArray[Any], is_open: NDArray[np.bool_]) -> int:
    among = np.flatnonzero(is_open)
    # Of equal ones the last, because those that stand first go.
    return int(among[len(among) - 1 - np.argmax(totals[among][::-1])])


def lowest(scores: NDArray[Any], sizes: NDArray[np.int64] | None, most: int, need: int) -> NDArray[np.bool_]:
    """Find the units with the lowest scores: of equal ones those that stand first.

    Args:
        scores: one score a unit, flat; infinite where the unit cannot go.
        sizes: how many weights each unit has; None for single weights.
        most: how many units can go.
        need: how many weights are to go. Of whole units, as many as come closest.

    Returns:
        True for the units that go.
    """
    taken = np.zeros(scores.shape, np.bool_)
    if need <= 0 or not most:
        return taken
    if sizes is not None:
        order = np.argsort(scores, kind="stable")[:most]
        reached = np.concatenate([[0], np.cumsum(sizes[order])])
        distance = np.abs(reached - need)
        taken[order[: len(reached) - 1 - int(np.argmin(distance[::-1]))]] = True
        return taken
    count = min(need, most)
    threshold = np.partition(scores, count - 1)[count - 1]
    np.less(scores, threshold, out=taken)
    ties = np.flatnonzero(scores == threshold)
    taken[ties[: count - int(np.count_nonzero(taken))]] = True
    return taken
