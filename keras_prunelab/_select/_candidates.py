"""The units of some variables that can still go, and taking the lowest of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._model._variables import Prunable
from keras_prunelab._util._arrays import mask_with

from ._granularity import Granularity
from ._lowest import Places, lowest, lowest_units, mark


class Candidates:
    """The units of a group of variables: single weights, blocks or channels.

    Args:
        group: the variables.
        scores: one score a weight, by path.
        kept: the masks so far, by path.
        grain: what goes as a whole.
        norm: how the scores of a unit's weights are joined: 1 for their sum, 2 for the Euclidean norm.

    Attributes:
        pruned: how many weights the masks have pruned already.
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
            else _join(units, scores[item.path], kept[item.path], grain, norm)
            for item, units in zip(group, self._units, strict=True)
        ]
        self._scores, self._is_open, self._sizes = (list(column) for column in zip(*parts, strict=True))
        self._taken: Places = [np.empty(0, np.intp) for _ in group]
        self.pruned = sum(kept[item.path].size - int(np.count_nonzero(kept[item.path])) for item in group)

    def bound(self, least: int, most: int) -> None:
        """Let the lowest units go in any case, and the highest in no case.

        Args:
            least: how many weights go in any case.
            most: how many can go at all.
        """
        allowed, forced = _lowest([self], most), _lowest([self], least)
        self._is_open = [mark(places, len(part)) for places, part in zip(allowed, self._scores, strict=True)]
        self._scores = [part.copy() for part in self._scores]
        for part, places in zip(self._scores, forced, strict=True):
            part[places] = -np.inf

    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """The masks without what was taken."""
        masks = {}
        for item, units, scores, places in zip(self._group, self._units, self._scores, self._taken, strict=True):
            mask = self._kept[item.path].copy()
            if units is None:
                mask.reshape(-1)[places] = False
            else:
                mask &= ~mark(places, len(scores))[units]
            masks[item.path] = mask
        return masks


def take(candidates: Sequence[Candidates], need: int) -> None:
    """Take the lowest units of several groups together.

    Args:
        candidates: the groups.
        need: how many weights to take. Of whole units, as many as come closest.
    """
    places = iter(_lowest(candidates, need))
    for each in candidates:
        each._taken = list(itertools.islice(places, len(each._scores)))


def _lowest(candidates: Sequence[Candidates], need: int) -> Places:
    scores, is_open, sizes = (
        [part for each in candidates for part in getattr(each, name)] for name in ("_scores", "_is_open", "_sizes")
    )
    return lowest(scores, is_open, need) if sizes[0] is None else lowest_units(scores, is_open, sizes, need)


def _weights(
    item: Prunable, scores: NDArray[Any], kept: NDArray[np.bool_], grain: Granularity
) -> tuple[NDArray[Any], NDArray[np.bool_], None]:
    floats = scores.astype(np.result_type(scores, np.float32), copy=False)
    protected = grain.protected(item, floats, kept)
    is_open = kept if protected is None else kept & ~protected
    return floats.reshape(-1), is_open.reshape(-1), None


def _join(
    units: NDArray[np.int64], scores: NDArray[Any], kept: NDArray[np.bool_], grain: Granularity, norm: int
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.int64]]:
    flat = mask_with(scores.astype(np.float64), kept).reshape(-1)
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
