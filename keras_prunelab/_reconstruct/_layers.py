"""One layer's weights from its statistics: solved anew for a mask, or ranked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._gram import DAMPING, Matrix
from ._method import BUDGET, TRACE_BUDGET, Removals, Solution, rank_map, solve_map, solve_map_levels
from ._rules import LinearMap, flat_weights
from ._statistics import LayerStatistics
from ._trace import multiply_adds

Ids = NDArray[np.integer[Any]]


def solve_layer(
    statistics: LayerStatistics,
    mask: NDArray[np.bool_],
    *,
    follows: bool | None = None,
    damping: float = DAMPING,
    budget: float = BUDGET,
) -> tuple[NDArray[Any], list[Solution]]:
    """Solve the weights of a layer that a mask keeps anew.

    Args:
        statistics: of the layer, which has its unpruned weights.
        mask: for all its weights, flat, as `flat_weights` has them.
        follows: solve those maps alone whose rows follow from the others, or those alone whose rows do not; None for
            all. The weights of the others are masked.
        damping: a share of the mean of H's diagonal, at least 0.
        budget: in multiply-adds, for each of its matrices; beyond it one pass is made instead of an exact solution.

    Returns:
        The new weights, flat, of the layer's dtype and zero outside of the mask; and how each matrix was solved.
    """
    old = flat_weights(statistics.layer)
    new = np.where(mask, old, np.zeros((), old.dtype))
    solutions = []
    for each, grams in zip(statistics.maps, statistics.grams, strict=True):
        if follows is not None and each.follows != follows:
            continue
        matrices, kept = each.read(old), each.read(mask)
        own: list[Solution] = [
            solve_map(
                gram.matrix,
                weights,
                stays,
                cross=gram.cross,
                energy=gram.energy,
                damping=damping,
                budget=budget,
                inverted=partial(gram.inverse, damping),
            )
            for gram, weights, stays in zip(grams, matrices, kept, strict=True)
        ]
        each.write(new, np.stack([solution.weights for solution in own]))
        solutions += own
    return new, solutions


def solve_levels(
    statistics: LayerStatistics,
    masks: Sequence[NDArray[np.bool_]],
    *,
    damping: float = DAMPING,
    budget: float = BUDGET,
) -> list[NDArray[Any]]:
    """Solve the weights of a layer anew for each of several masks, as `solve_layer` does for one.

    Where each mask keeps a part of what the one before it keeps, all are solved from the factors of the first.

    Args:
        statistics: as for `solve_layer`.
        masks: as for `solve_layer`, the fullest first.
        damping: as for `solve_layer`.
        budget: as for `solve_layer`.

    Returns:
        The new weights for each mask.
    """
    old = flat_weights(statistics.layer)
    new = [np.where(mask, old, np.zeros((), old.dtype)) for mask in masks]
    for each, grams in zip(statistics.maps, statistics.grams, strict=True):
        kept = np.stack([each.read(mask) for mask in masks], axis=1)
        solved = [
            solve_map_levels(
                gram.matrix, weights, own, damping=damping, budget=budget, inverted=partial(gram.inverse, damping)
            )
            for gram, weights, own in zip(grams, each.read(old), kept, strict=True)
        ]
        for flat, matrices in zip(new, zip(*solved, strict=True), strict=True):
            each.write(flat, np.stack(matrices))
    return new


def rank_layer(
    statistics: LayerStatistics,
    sparsity: float,
    *,
    weights: NDArray[Any] | None = None,
    free: NDArray[np.bool_] | None = None,
    units: Ids | None = None,
    sensitivity: NDArray[np.floating] | None = None,
    damping: float = DAMPING,
    budget: float = TRACE_BUDGET,
    n_of_m: tuple[int, int] | None = None,
    on_part: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.float64], list[Removals]]:
    """Say what each weight of a layer is worth, by Optimal Brain Surgeon.

    Args:
        statistics: of the layer.
        sparsity: what a pass aims at where a trace would take too long.
        weights: the weights, flat; by default those that the layer has.
        free: which weights may go, flat; by default all but biases.
        units: the number of the unit that each weight belongs to, flat. Those of a unit go together, where a trace can
            see to that: where the units of a matrix are equally large blocks, and their trace is within the budget.
            With `n_of_m` they are the groups of M.
        sensitivity: how much the network's loss feels each weight's output: one number a weight, flat, equal along
            the columns of each matrix; by default all the same.
        damping: a share of the mean of H's diagonal, at least 0.
        budget: in multiply-adds, for each of its matrices.
        n_of_m: N and M, for N of every M inputs to stay.
        on_part: as for `trace`.

    Returns:
        Costs of all weights, flat: the lowest go first; infinite for those that stay, and for what no matrix has.
    """
    flat = flat_weights(statistics.layer) if weights is None else weights
    costs = np.full(flat.shape, np.inf)
    found = []
    for each, grams in zip(statistics.maps, statistics.grams, strict=True):
        matrices = each.read(flat)
        felt = np.ones(matrices.shape) if sensitivity is None else each.read(sensitivity)
        may_go = _without_bias(each) if free is None else each.read(free)
        own = []
        for number, (gram, matrix) in enumerate(zip(grams, matrices, strict=True)):
            rows = may_go[number].all(axis=1)
            ids = None if units is None else each.read(units)[number][rows]
            inputs, together, pattern = _arrangement(ids, matrix.shape, n_of_m, budget)
            numbers = np.full(len(rows), -1, np.int32)
            numbers[rows] = np.arange(np.count_nonzero(rows)) if inputs is None else inputs
            own.append(
                rank_map(
                    gram.matrix,
                    matrix,
                    sparsity,
                    units=numbers,
                    together=together,
                    n_of_m=pattern,
                    sensitivity=felt[number, 0],
                    damping=damping,
                    budget=budget,
                    inverted=partial(gram.inverse, damping),
                    on_part=on_part,
                )
            )
        costs[each.places] = np.stack([removals.costs for removals in own])
        found += own
    return costs, found


def output_energy(statistics: LayerStatistics, weights: NDArray[Any], free: NDArray[np.bool_]) -> Matrix:
    """What each output is worth as a whole, spread over its weights: w'Hw, the mean of its square.

    Args:
        statistics: of the layer.
        weights: its weights, flat.
        free: which weights may go, flat.

    Returns:
        One number a weight, flat; infinite for those that stay, and for what no matrix has.
    """
    costs = np.full(weights.shape, np.inf)
    for each, grams in zip(statistics.maps, statistics.grams, strict=True):
        matrices, rows = each.read(weights).astype(np.float64), each.read(free)
        for number, (gram, matrix) in enumerate(zip(grams, matrices, strict=True)):
            whole = np.einsum("ij,ij->j", gram.matrix @ matrix, matrix) / max(1, np.count_nonzero(rows[number, :, 0]))
            costs[each.places[number]] = np.where(rows[number], whole, np.inf)
    return costs


def _without_bias(each: LinearMap) -> NDArray[np.bool_]:
    """Every input may go; the bias stays."""
    free = np.ones(each.places.shape, np.bool_)
    if each.has_bias:
        free[:, -1] = False
    return free


def _arrangement(
    ids: Ids | None, shape: tuple[int, ...], n_of_m: tuple[int, int] | None, budget: float
) -> tuple[Ids | None, int, tuple[int, int] | None]:
    """How a trace sees to the units of a matrix.

    Args:
        ids: the number of each weight's unit, rows that may go x outputs; None for single weights.
        shape: inputs and outputs of the whole matrix.
        n_of_m: N and M, where the units are the groups of M.
        budget: in multiply-adds.

    Returns:
        The unit of each row, or None where each is one; how many outputs go together; and N and M, where neighbouring
        rows are the groups. Where a trace cannot see to units, their weights are ranked one by one, and added up later.
    """
    alone = None, 1, None
    if ids is None or not ids.size:
        return alone
    if n_of_m is not None:
        length = n_of_m[1]
        if len(ids) % length:
            return alone
        groups = ids.reshape(-1, length, ids.shape[1])
        return (None, 1, n_of_m) if (groups == groups[:, :1]).all() else alone
    changes = np.flatnonzero(ids[0] != ids[0, 0])
    together = int(changes[0]) if changes.size else ids.shape[1]
    _, first, units = np.unique(ids[:, 0], return_index=True, return_inverse=True)
    sizes = np.bincount(units)
    table = ids[first][:, ::together]
    expected = np.repeat(table[units], together, axis=1)[:, : ids.shape[1]]
    if sizes.min() != sizes.max() or len(np.unique(table)) != table.size or not np.array_equal(expected, ids):
        return alone
    if together == 1 and sizes[0] == 1:
        return alone
    return alone if multiply_adds(shape[0], shape[1], together) > budget else (units.astype(np.int32), together, None)
