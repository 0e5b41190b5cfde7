"""Exactly where the work fits a budget, else approximately: which it was stands in the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._select._selection import pruned_count

from . import _blocked, _trace
from ._gram import DAMPING, Matrix, check_inputs, squared_distance, squared_error
from ._nested import Nest, solve_nested
from ._refine import STEPS, refine
from ._solve import Flags, Work, equal_columns, solve

Method: TypeAlias = Literal["exact", "blocked", "refined"]

BUDGET = 2e12
"""The multiply-adds that a layer may take to be solved exactly for one mask: about a minute on two cores."""

TRACE_BUDGET = 5e12
"""The multiply-adds that a layer may take for a trace, which serves every level: some minutes on two cores."""


@dataclass(frozen=True)
class Solution:
    """The weights of one linear map, solved anew.

    Attributes:
        weights: n x m in float64, zero outside of the mask.
        method: `"exact"` for least squares with a factor for each mask; `"refined"` for SparseGPT's pass and conjugate
            gradients from there; `"blocked"` for the pass alone.
        multiply_adds: the estimate of the exact work that the choice was made by.
        energy: the mean square of each output of the unpruned network over the samples: m numbers.
        before: the mean squared error of each output with the masked old weights.
        after: the same with the new weights.
    """

    weights: Matrix
    method: Method
    multiply_adds: float
    energy: Matrix
    before: Matrix
    after: Matrix


@dataclass(frozen=True)
class Removals:
    """What the weights of one linear map are worth.

    Attributes:
        costs: n x m: the lowest go first; infinite where a weight never goes.
        method: `"exact"` for a trace of ExactOBS, which serves every level; `"blocked"` for SparseGPT's pass to one
            level, where it is best.
        multiply_adds: the estimate of the exact work that the choice was made by.
        trace: the trace, where there is one.
    """

    costs: Matrix
    method: Method
    multiply_adds: float
    trace: _trace.Trace | None


def solve_map(
    gram: Matrix,
    weights: NDArray[np.floating],
    mask: Flags,
    *,
    cross: Matrix | None = None,
    energy: Matrix | None = None,
    damping: float = DAMPING,
    budget: float = BUDGET,
    steps: int = STEPS,
    inverted: Callable[[], Matrix] | None = None,
) -> Solution:
    """Solve the weights that a mask keeps anew: exactly where the work fits the budget, else by a pass and steps.

    Args:
        gram: as for `solve`.
        weights: as for `solve`.
        mask: as for `solve`.
        cross: as for `solve`.
        energy: the mean square of each output of the unpruned network, m numbers, which goes with `cross`.
        damping: as for `solve`.
        budget: in multiply-adds; `math.inf` for always exactly, 0 for never.
        steps: the most conjugate gradients after a pass; 0 for the pass alone.
        inverted: as for `solve`.

    Raises:
        InvalidMaskError: as for `solve`.
        InvalidDataError: as for `solve`.
    """
    check_inputs(gram, weights)
    work = Work.of(len(gram), mask, equal_columns(mask)).multiply_adds
    method: Method = "exact"
    if work <= budget:
        new = solve(gram, weights, mask, cross=cross, damping=damping, inverted=inverted)
    else:
        method = "refined" if steps else "blocked"
        new = _blocked.solve_blocked(gram, weights, mask, cross=cross, damping=damping)
        new = refine(gram, weights, mask, new, cross=cross, damping=damping, steps=steps) if steps else new
    old = np.asarray(weights, np.float64)
    masked = np.where(mask, old, 0.0)
    if cross is None or energy is None:
        # One product for all three: H may be far larger than the weights.
        changes = squared_error(gram, np.concatenate([old, masked - old, new - old], axis=1))
        return Solution(new, method, work, *np.split(changes, 3))
    before, after = (squared_distance(gram, cross, energy, old, each) for each in (masked, new))
    return Solution(new, method, work, energy, before, after)


def solve_map_levels(
    gram: Matrix,
    weights: NDArray[np.floating],
    masks: Flags,
    *,
    damping: float = DAMPING,
    budget: float = BUDGET,
    inverted: Callable[[], Matrix] | None = None,
) -> Matrix:
    """Solve the weights that each of several masks keeps anew, by the method that `solve_map` has for it.

    Args:
        gram: as for `solve`.
        weights: as for `solve`.
        masks: levels x n x m booleans, the fullest first. Where each keeps a part of what the one before it keeps, and
            all are to be solved exactly, they share their factors.
        damping: as for `solve`.
        budget: as for `solve_map`, for each level.
        inverted: as for `solve`.

    Returns:
        The new weights, levels x n x m.
    """
    nest = Nest.of(masks) if len(masks) > 1 else None
    if nest is not None:
        alone = nest.work_alone()
        if max(alone) <= budget and nest.work() < sum(alone):
            return solve_nested(gram, weights, nest, damping=damping)
    options: dict[str, Any] = {"damping": damping, "budget": budget, "inverted": inverted}
    return np.stack([solve_map(gram, weights, mask, **options).weights for mask in masks])


def rank_map(
    gram: Matrix,
    weights: NDArray[np.floating],
    sparsity: float,
    *,
    units: NDArray[np.integer] | None = None,
    together: int = 1,
    n_of_m: tuple[int, int] | None = None,
    sensitivity: NDArray[np.floating] | None = None,
    damping: float = DAMPING,
    budget: float = TRACE_BUDGET,
    inverted: Callable[[], Matrix] | None = None,
    on_part: Callable[[int, int], None] | None = None,
) -> Removals:
    """Say what each weight is worth: by a trace where the work fits the budget, else by one pass.

    Args:
        gram: H = X'X / samples, n x n.
        weights: n x m, one column an output.
        sparsity: the share of the weights that a pass removes; a trace does not need it.
        units: as for `trace`. Units of several inputs have a trace alone.
        together: as for `trace`; more than 1 has a trace alone.
        n_of_m: as for `trace`.
        sensitivity: how much the network's loss feels each output: m numbers of at least 0; by default all the same.
        damping: as for `trace`.
        budget: in multiply-adds.
        inverted: as for `solve`.
        on_part: as for `trace`.

    Returns:
        Costs that are comparable between layers, as `keras_prunelab` compares scores: the lowest go first.

    Raises:
        InvalidDataError: H does not fit or is singular.
    """
    check_inputs(gram, weights)
    work = _trace.multiply_adds(len(gram), weights.shape[1], together)
    single = together == 1 and (units is None or len(np.unique(units[units >= 0])) == np.count_nonzero(units >= 0))
    felt = np.ones(weights.shape[1]) if sensitivity is None else np.asarray(sensitivity, np.float64)
    if work <= budget or not single:
        # Outputs that share their masks are weighed against each other before their losses are added up.
        scale = np.sqrt(felt) if together > 1 else np.ones_like(felt)
        found = _trace.trace(
            gram,
            weights * scale,
            units=units,
            together=together,
            n_of_m=n_of_m,
            damping=damping,
            inverted=None if inverted is None else inverted(),
            on_part=on_part,
        )
        return Removals(found.scores(felt if together == 1 else None), "exact", work, found)
    stays = None if units is None else units < 0
    free = weights.size if stays is None else int(np.count_nonzero(~stays)) * weights.shape[1]
    count = n_of_m or pruned_count(sparsity, free)
    passed = _blocked.choose_blocked(gram, weights, count, stays=stays, damping=damping)
    costs = np.multiply(passed.costs, felt, out=passed.costs, where=np.isfinite(passed.costs))
    return Removals(costs, "blocked", work, None)
