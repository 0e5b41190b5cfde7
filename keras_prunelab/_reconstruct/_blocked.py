"""SparseGPT's pass over the inputs of a large layer: one factor of H for all outputs.

Frantar and Alistarh, SparseGPT: massive language models can be accurately pruned in one-shot, ICML 2023,
https://arxiv.org/abs/2301.00774.

The inputs are decided one after the other, and only those behind an input make up for it. Written with the factor of H
itself, H = R R' with R an upper triangle, the change D of the weights follows row by row from R' D = E: a weight that
stays has no error of its own, e = 0, and one that goes has D = w. No inverse is needed, the products are those of
matrices, and the sum of the e^2 is what the objective has lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, lapack

from keras_prunelab._errors import InvalidDataError
from keras_prunelab._select._lowest import lowest, mark

from ._gram import DAMPING, Matrix, check_inputs, pull, singular
from ._solve import Flags, check_mask
from ._threads import linear_algebra_on, run

_BLOCK = 128  # inputs between two large products
_INNER = 16  # inputs between two small ones
_COLUMNS = 1024  # outputs that a thread takes at once

_Decide = Callable[[slice, Matrix], Flags]
"""Called with the next inputs and what each of their weights costs; returns which go."""


@dataclass(frozen=True)
class Pass:
    """What a pass made of a layer.

    Attributes:
        weights: n x m in float64, zero where they are gone.
        mask: True where a weight stays.
        costs: what each weight would have added to the objective when its block was decided, n x m; infinite where it
            had to stay, 0 where the input is always zero.
    """

    weights: Matrix
    mask: Flags
    costs: Matrix


def solve_blocked(
    gram: Matrix, weights: NDArray[np.floating], mask: Flags, *, cross: Matrix | None = None, damping: float = DAMPING
) -> Matrix:
    """Solve the weights that a mask keeps anew, approximately: n^3 / 6 + n^2 m / 2 multiply-adds in all.

    Inputs that most outputs have lost are decided first, so that those that stay make up for them.

    Args:
        gram: as for `solve`.
        weights: as for `solve`.
        mask: as for `solve`.
        cross: as for `solve`.
        damping: as for `solve`.

    Returns:
        The new weights in float64, n x m.

    Raises:
        InvalidMaskError: as for `solve`.
        InvalidDataError: as for `solve`.
    """
    check_mask(gram, weights, mask)
    factor = _Factor(gram, damping, np.argsort(np.count_nonzero(mask, axis=1), kind="stable"))
    result = np.empty(weights.shape)

    def follow(first: int) -> None:
        columns = slice(first, first + _COLUMNS)
        start = factor.best(weights[:, columns], None if cross is None else cross @ weights[:, columns])
        pruned = ~mask[factor.places, columns]
        start -= _change(factor, start, lambda rows, _: pruned[rows], _BLOCK)
        start[pruned] = 0.0
        result[factor.places, columns] = start

    run(follow, range(0, weights.shape[1], _COLUMNS))
    return result


def choose_blocked(
    gram: Matrix,
    weights: NDArray[np.floating],
    pruned: int | tuple[int, int],
    *,
    stays: Flags | None = None,
    damping: float = DAMPING,
) -> Pass:
    """Choose which weights of a large layer go, and solve the others anew in the same pass.

    Args:
        gram: H = X'X / samples, n x n.
        weights: n x m, one column an output.
        pruned: how many weights of the layer go; or N and M: of every M inputs N stay for each output.
        stays: n booleans, True for an input that never goes, such as a bias. These are decided last.
        damping: a share of the mean of H's diagonal, at least 0.

    Raises:
        InvalidDataError: H does not fit or is singular, or more weights are to go than there are.
    """
    check_inputs(gram, weights)
    fixed = np.zeros(len(gram), np.bool_) if stays is None else stays
    factor = _Factor(gram, damping, np.argsort(fixed, kind="stable"))
    free = int(np.count_nonzero(~fixed))
    start = factor.best(weights, None)
    dead = np.diagonal(gram)[factor.places] == 0
    costs = np.full(start.shape, np.inf)
    taken = np.zeros(start.shape, np.bool_)
    np.square(start[:free] * factor.diagonal[:free, None], out=costs[:free])
    costs[:free][dead[:free]] = 0.0
    choose, length = _chooser(pruned, costs[:free])

    def decide(rows: slice, now: Matrix) -> Flags:
        own = slice(rows.start, min(rows.stop, free))
        if own.start < own.stop:
            costs[own] = np.where(dead[own, None], 0.0, now[: own.stop - own.start])
            taken[own] = choose(own, costs[own])
        return taken[rows]

    start -= _change(factor, start, decide, length)
    start[taken] = 0.0
    back = np.argsort(factor.places)
    return Pass(start[back], ~taken[back], costs[back])


def multiply_adds(inputs: int, outputs: int) -> float:
    """Estimate what a pass costs."""
    return float(inputs) ** 2 * (inputs / 6 + outputs / 2)


def _chooser(pruned: int | tuple[int, int], initial: Matrix) -> tuple[_Decide, int]:
    """What decides which weights go, and how many inputs it decides on at once."""
    free, outputs = initial.shape
    if isinstance(pruned, tuple):
        n, m = pruned
        if not 0 < n < m or free % m:
            raise InvalidDataError(f"Of {free} inputs, {n} of every {m} cannot stay: give 0 < N < M, a divisor of all.")
        return lambda _, costs: np.argsort(np.argsort(costs, axis=0, kind="stable"), axis=0) < m - n, m
    if not 0 <= pruned <= initial.size:
        raise InvalidDataError(f"{pruned} weights are to go of a layer that has {initial.size}.")
    # How many go among the inputs of a block is what a ranking of all weights at the start says.
    (places,) = lowest([initial.ravel()], [np.ones(initial.size, np.bool_)], pruned)
    counts = np.bincount(places // (outputs * _BLOCK), minlength=-(-free // _BLOCK)) if outputs else [0]

    def choose(rows: slice, costs: Matrix) -> Flags:
        need = int(counts[rows.start // _BLOCK])
        (own,) = lowest([costs.ravel()], [np.ones(costs.size, np.bool_)], need)
        return mark(own, costs.size).reshape(costs.shape)

    return choose, _BLOCK


def _change(factor: _Factor, start: Matrix, decide: _Decide, length: int) -> Matrix:
    """By how much each weight gets less: all of it where it goes, else what makes up for those before it."""
    inputs, outputs = start.shape
    change = np.empty((inputs, outputs))
    block = _BLOCK // length * length or length
    inner = min(_INNER, length)
    for first in range(0, inputs, block):
        stop = min(first + block, inputs)
        rows = factor.rows(first, stop)
        pressure = rows[:, :first] @ change[:first]
        for begin in range(first, stop, inner):
            end = min(begin + inner, stop)
            if begin > first:
                pressure[begin - first : end - first] += (
                    rows[begin - first : end - first, first:begin] @ change[first:begin]
                )
            if (begin - first) % length == 0:
                chosen = slice(begin, min(begin + length, stop))
                own = slice(begin - first, chosen.stop - first)
                now = np.square(start[chosen] * factor.diagonal[chosen, None] + pressure[own])
                pruned = decide(chosen, now)
            for place in range(begin, end):
                row = rows[place - first]
                total = pressure[place - first] + row[begin:place] @ change[begin:place]
                change[place] = np.where(pruned[place - chosen.start], start[place], -total / row[place])
    return change


class _Factor:
    """R of H = R R' with R an upper triangle, for the inputs in some order.

    Attributes:
        places: the inputs in the order in which they are decided.
        diagonal: of R.
    """

    def __init__(self, gram: Matrix, damping: float, places: NDArray[np.intp]) -> None:
        self.places = places
        self._pull = pull(gram, damping)
        self._back = places[::-1]
        # The usual factor, from the last input to the first.
        matrix = gram[np.ix_(self._back, self._back)]
        matrix[np.diag_indices_from(matrix)] += self._pull[self._back]
        self._lower: Matrix
        with linear_algebra_on(len(matrix)):
            self._lower, failed = lapack.dpotrf(matrix.T, lower=1, overwrite_a=1) if matrix.size else (matrix, 0)
        if failed:
            raise singular()
        self._turned = self._lower.T[::-1, ::-1]
        self.diagonal = np.diagonal(self._turned).copy()

    def rows(self, first: int, stop: int) -> Matrix:
        """Some rows of R', up to the diagonal."""
        return np.ascontiguousarray(self._turned[first:stop, :stop])

    def best(self, weights: NDArray[np.floating], target: Matrix | None) -> Matrix:
        """The weights that minimize the objective before any goes, in the order of the inputs here.

        Args:
            weights: the old ones.
            target: X'^T X w / samples, where the inputs are those of a pruned network.
        """
        if target is None:
            return np.asarray(weights[self.places], np.float64)
        wanted = (target + self._pull[:, None] * weights)[self._back]
        return np.asarray(cho_solve((self._lower, True), wanted, check_finite=False)[::-1])
