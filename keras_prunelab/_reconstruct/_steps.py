"""The steps of a trace: several outputs side by side, each with its own inverse, their updates put off in blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._gram import Matrix, singular

_BLOCK = 128  # inputs whose updates wait for each other
_TILE = 128  # rows of an inverse that are worked on at once, few enough for the cache
_SHRINK = 0.85  # the inverses shrink to the inputs that are left where those are no more than this share


class Lanes:
    """Some outputs, or groups of outputs, that lose their weights one unit a step.

    An inverse is symmetric, so that in each tile of rows what lies before the tile is neither computed nor read.

    Args:
        start: the inverse of H for the inputs that may go, those of a unit next to each other.
        weights: lanes x outputs of a group x inputs.
        size: how many inputs a unit has.
        n_of_m: N and M, as for `trace`.
    """

    def __init__(self, start: NDArray[np.floating], weights: Matrix, size: int, n_of_m: tuple[int, int] | None) -> None:
        lanes, _, inputs = weights.shape
        units = inputs // size
        self._lanes = np.arange(lanes)
        self._size = size
        self._tile = max(1, _TILE // size) * size
        self._inverses: list[NDArray[np.floating]] = [start] * lanes
        self._memory = [np.empty(0, start.dtype)] * lanes
        self._weights = weights.copy()
        self._names = np.tile(np.arange(units, dtype=np.int32), (lanes, 1))
        self._gone = np.zeros((lanes, units), np.bool_)
        self._closed = np.zeros((lanes, units))  # infinite where a unit is gone or has to stay
        self._limit = n_of_m
        if n_of_m is not None:
            self._room = np.full((lanes, units // n_of_m[1]), n_of_m[1] - n_of_m[0])

    def follow(self, order: NDArray[np.int32], losses: Matrix) -> None:
        """Take the steps, and write down which unit goes and what it costs: steps x lanes each."""
        done, total = 0, len(order)
        # Of a singular H divisions by zero; and of what an inverse does not have, numbers that nobody reads.
        with np.errstate(all="ignore"):
            while done < total:
                block = slice(done, min(done + max(1, _BLOCK // self._size), total))
                rows = self._take_block(order[block], losses[block])
                if not np.isfinite(losses[block]).all():
                    raise singular()
                done = block.stop
                if done < total:
                    self._catch_up(rows)

    def _take_block(self, order: NDArray[np.int32], losses: Matrix) -> Matrix:
        """Remove some units; returns the rows whose squares the inverses still have to lose."""
        lanes, _, inputs = self._weights.shape
        size = self._size
        rows = np.empty((lanes, len(order) * size, inputs), self._inverses[0].dtype)
        corners = self._corners()
        for step in range(len(order)):
            costs = self._costs(corners)
            costs += self._closed
            chosen = np.argmin(costs, axis=1)
            order[step] = self._names[self._lanes, chosen]
            losses[step] = costs[self._lanes, chosen]
            fresh = self._fresh_rows(rows[:, : step * size], chosen)
            rows[:, step * size : (step + 1) * size] = fresh
            self._remove(chosen, fresh, corners)
        return rows

    def _corners(self) -> Matrix:
        """The part of each inverse that belongs to each unit: lanes x units x size x size."""
        lanes, units = self._gone.shape
        size = self._size
        corners = np.empty((lanes, units, size, size))
        for corner, inverse in zip(corners, self._inverses, strict=True):
            own = np.diagonal(inverse.reshape(units, size, units, size), axis1=0, axis2=2)
            corner[:] = np.moveaxis(own, -1, 0)
        corners[self._gone] = np.eye(size)
        return corners

    def _costs(self, corners: Matrix) -> Matrix:
        """What the objective gains by each unit's removal: w' G^-1 w with G its corner, lanes x units."""
        lanes, outputs, inputs = self._weights.shape
        if self._size == 1:
            squares = np.square(self._weights)
            return np.asarray((squares[:, 0] if outputs == 1 else squares.sum(axis=1)) / corners[:, :, 0, 0])
        parts = self._weights.reshape(lanes, outputs, inputs // self._size, self._size).transpose(0, 2, 3, 1)
        return np.asarray(np.einsum("lusq,lusq->lu", parts, np.linalg.solve(corners, parts)))

    def _fresh_rows(self, known: Matrix, chosen: NDArray[np.intp]) -> Matrix:
        """The rows of the chosen units in each inverse as it would be now, divided by the root of their corner."""
        places = self._places(chosen)
        rows = np.stack([self._row(inverse, own) for inverse, own in zip(self._inverses, places, strict=True)])
        if known.shape[1]:
            rows -= np.matmul(self._at(known, places), known)
        if self._size == 1:
            rows /= np.sqrt(self._at(rows, places))
            return rows
        return np.linalg.solve(np.linalg.cholesky(self._at(rows, places)), rows)

    def _row(self, inverse: NDArray[np.floating], places: NDArray[np.intp]) -> NDArray[np.floating]:
        """The rows of a unit: from their tile on they are there, what lies before stands in the tiles above."""
        first = places[0] // self._tile * self._tile
        return np.concatenate([inverse[:first, places].T, inverse[places, first:]], axis=1)

    def _remove(self, chosen: NDArray[np.intp], fresh: Matrix, corners: Matrix) -> None:
        """Take units out of the weights and corners; their own weights are 0 from here on."""
        lanes, _, inputs = self._weights.shape
        size = self._size
        places = self._places(chosen)
        root, lost = self._at(fresh, places), self._at(self._weights, places)
        if size == 1:
            self._weights -= (lost / root).transpose(0, 2, 1) * fresh
            corners[:, :, 0, 0] -= np.square(fresh[:, 0])
        else:
            # With L the root of the corner, the rows are L^-1 G_B: and w changes by (L^-1 w_B)' times them.
            self._weights -= np.matmul(np.linalg.solve(root, lost).transpose(0, 2, 1), fresh)
            parts = fresh.reshape(lanes, size, inputs // size, size).transpose(0, 2, 1, 3)
            corners -= np.matmul(parts.transpose(0, 1, 3, 2), parts)
        self._weights[self._lanes[:, None], :, places] = 0.0
        corners[self._lanes, chosen] = np.eye(size)
        self._gone[self._lanes, chosen] = True
        self._closed[self._lanes, chosen] = np.inf
        if self._limit is not None:
            self._close_full_groups(chosen, self._limit[1])

    def _close_full_groups(self, chosen: NDArray[np.intp], length: int) -> None:
        """Let the other units of a group stay where as many have gone as may."""
        group = self._names[self._lanes, chosen] // length
        self._room[self._lanes, group] -= 1
        full = self._room[self._lanes, group] == 0
        self._closed[full[:, None] & (self._names // length == group[:, None])] = np.inf

    def _places(self, units: NDArray[np.intp]) -> NDArray[np.intp]:
        """The inputs of one unit in each lane: lanes x size."""
        return units[:, None] * self._size + np.arange(self._size)

    def _at(self, rows: Matrix, places: NDArray[np.intp]) -> Matrix:
        """What stands at the places of each lane's rows: lanes x places x rows."""
        return rows[self._lanes[:, None], :, places]

    def _catch_up(self, rows: Matrix) -> None:
        """Take the squares of a block of rows off the inverses, and shrink those to what is left."""
        lanes, units = self._gone.shape
        left = units - int(np.count_nonzero(self._gone[0]))
        shrinks = left <= _SHRINK * units
        if not shrinks:
            left = units
        stay = np.nonzero(~self._gone if shrinks else np.ones_like(self._gone))[1].reshape(lanes, left)
        places = (stay[:, :, None] * self._size + np.arange(self._size)).reshape(lanes, -1)
        for lane, own in enumerate(places):
            self._inverses[lane] = self._reduced(lane, own, rows[lane])
        if shrinks:
            self._weights = np.take_along_axis(self._weights, places[:, None, :], axis=2)
            self._names = np.take_along_axis(self._names, stay, axis=1)
            self._closed = np.take_along_axis(self._closed, stay, axis=1)
            self._gone = np.zeros((lanes, left), np.bool_)

    def _reduced(self, lane: int, places: NDArray[np.intp], rows: NDArray[np.floating]) -> NDArray[np.floating]:
        """The inverse less the squares of rows, at the places that stay, in the memory of the one before.

        A row of the result never lies behind the row that it is made from, so that no row is lost before it is read.
        """
        before, left = self._inverses[lane], len(places)
        if not self._memory[lane].size:
            self._memory[lane] = np.empty(left * left, before.dtype)
        after = self._memory[lane][: left * left].reshape(left, left)
        rows = rows.take(places, 1) if left < len(before) else rows
        turned = np.ascontiguousarray(rows.T)
        for first in range(0, left, self._tile):
            tile = slice(first, first + self._tile)
            part = before[tile, first:]
            if left < len(before):
                part = before.take(places[tile], 0).take(places[first:], 1)
            own = np.subtract(part, turned[tile] @ rows[:, first:], out=after[tile, first:])
            corner = own[:, : len(own)]
            corner[:] = np.triu(corner) + np.triu(corner, 1).T  # what shrinks next may read all of it
        return after
