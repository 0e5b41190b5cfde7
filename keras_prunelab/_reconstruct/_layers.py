"""One layer's weights from its statistics: solved anew for a mask, or ranked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._gram import DAMPING
from ._method import BUDGET, Removals, Solution, rank_map, solve_map
from ._rules import LinearMap, flat_weights
from ._statistics import LayerStatistics


def solve_layer(
    statistics: LayerStatistics, mask: NDArray[np.bool_], *, damping: float = DAMPING, budget: float = BUDGET
) -> tuple[NDArray[Any], list[Solution]]:
    """Solve the weights of a layer that a mask keeps anew.

    Args:
        statistics: of the layer, which has its unpruned weights.
        mask: for all its weights, flat, as `flat_weights` has them.
        damping: a share of the mean of H's diagonal, at least 0.
        budget: in multiply-adds, for each of its matrices; beyond it one pass is made instead of an exact solution.

    Returns:
        The new weights, flat, of the layer's dtype and zero outside of the mask; and how each matrix was solved.
    """
    old = flat_weights(statistics.layer)
    new = np.where(mask, old, np.zeros((), old.dtype))
    solutions = []
    for each, grams in zip(statistics.maps, statistics.grams, strict=True):
        matrices, kept = each.read(old), each.read(mask)
        own = [
            solve_map(gram.matrix, weights, stays, cross=gram.cross, damping=damping, budget=budget)
            for gram, weights, stays in zip(grams, matrices, kept, strict=True)
        ]
        each.write(new, np.stack([solution.weights for solution in own]))
        solutions += own
    return new, solutions


def rank_layer(
    statistics: LayerStatistics,
    sparsity: float,
    *,
    sensitivity: NDArray[np.floating] | None = None,
    damping: float = DAMPING,
    budget: float = BUDGET,
    n_of_m: tuple[int, int] | None = None,
) -> tuple[NDArray[np.float64], list[Removals]]:
    """Say what each weight of a layer is worth, by Optimal Brain Surgeon.

    Args:
        statistics: of the layer.
        sparsity: what a pass aims at where a trace would take too long.
        sensitivity: how much the network's loss feels each weight's output: one number a weight, flat, equal along
            the columns of each matrix; by default all the same.
        damping: a share of the mean of H's diagonal, at least 0.
        budget: in multiply-adds, for each of its matrices.
        n_of_m: N and M, for N of every M inputs to stay.

    Returns:
        Costs of all weights, flat: the lowest go first; infinite for biases, which stay, and for what no matrix has.
    """
    flat = flat_weights(statistics.layer)
    costs = np.full(flat.shape, np.inf)
    found = []
    for each, grams in zip(statistics.maps, statistics.grams, strict=True):
        felt = None if sensitivity is None else each.read(sensitivity)[:, 0]
        own = [
            rank_map(
                gram.matrix,
                weights,
                sparsity,
                units=_units(each),
                n_of_m=n_of_m,
                sensitivity=None if felt is None else felt[number],
                damping=damping,
                budget=budget,
            )
            for number, (gram, weights) in enumerate(zip(grams, each.read(flat), strict=True))
        ]
        costs[each.places] = np.stack([removals.costs for removals in own])
        found += own
    return costs, found


def _units(each: LinearMap) -> NDArray[np.int32]:
    """Every input for itself; the bias stays."""
    units = np.arange(each.places.shape[1], dtype=np.int32)
    if each.has_bias:
        units[-1] = -1
    return units
