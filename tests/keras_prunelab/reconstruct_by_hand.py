"""Layer-wise least squares and Optimal Brain Surgeon from their definitions, each removal solved anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def problem(inputs: int, outputs: int, samples: int, seed: int = 0) -> tuple[Array, Array]:
    """Rectified, correlated inputs, and weights."""
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(samples, inputs // 2 + 1)) @ random.normal(size=(inputs // 2 + 1, inputs))
    rows = np.maximum(hidden + random.normal(size=(samples, inputs)), 0)
    return rows, random.normal(size=(inputs, outputs))


def penalty(rows: Array, damping: float) -> float:
    """How much the squared distance from the old weights counts, beside the mean squared error."""
    return damping * float(np.square(rows).sum()) / rows.size


def least_squares(rows: Array, target: Array, old: Array, kept: Array, damping: float) -> Array:
    """One output's new weights: NumPy's least squares on the samples, with one further equation a weight."""
    pull = np.sqrt(penalty(rows, damping)) * np.eye(len(old))
    stacked = np.concatenate([rows / np.sqrt(len(rows)), pull])
    wanted = np.concatenate([target / np.sqrt(len(rows)), pull @ old])
    new = np.zeros(len(old))
    new[kept] = np.linalg.lstsq(stacked[:, kept], wanted, rcond=None)[0]
    return new


def objective(rows: Array, old: Array, new: Array, damping: float) -> float:
    """The mean squared error, and the pull."""
    error = np.square(rows @ (new - old)).sum() / len(rows)
    return float(error + penalty(rows, damping) * np.square(new - old).sum())


def removals(
    rows: Array,
    weights: Array,
    damping: float,
    *,
    units: Sequence[Sequence[int]],
    n_of_m: tuple[int, int] | None = None,
) -> tuple[list[int], list[float]]:
    """Greedy removals for outputs that share their mask: at each step every unit is tried, and all solved anew."""
    gone: list[int] = []
    losses: list[float] = []
    reached = 0.0
    while True:
        open_units = [unit for unit in range(len(units)) if unit not in gone and _may_go(unit, gone, n_of_m)]
        if not open_units:
            return gone, losses
        costs = []
        for unit in open_units:
            kept = np.ones(len(weights), np.bool_)
            kept[[place for each in [*gone, unit] for place in units[each]]] = False
            new = [least_squares(rows, rows @ old, old, kept, damping) for old in weights.T]
            costs.append(sum(objective(rows, old, one, damping) for old, one in zip(weights.T, new, strict=True)))
        best = int(np.argmin(costs))
        gone.append(open_units[best])
        losses.append(costs[best] - reached)
        reached = costs[best]


def _may_go(unit: int, gone: list[int], n_of_m: tuple[int, int] | None) -> bool:
    if n_of_m is None:
        return True
    n, m = n_of_m
    return sum(each // m == unit // m for each in gone) < m - n
