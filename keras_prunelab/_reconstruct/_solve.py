"""Least squares on the weights that a mask keeps: w'_S = (H_SS + d)^-1 (H w + d w)_S for each output.

Hassibi and Stork, Second order derivatives for network pruning: optimal brain surgeon, NIPS 1992; Dong et al., Learning
to prune deep neural networks via layer-wise optimal brain surgeon, NIPS 2017, https://arxiv.org/abs/1705.07565.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from keras_prunelab._errors import InvalidMaskError

from ._gram import DAMPING, Matrix, check_inputs, damp, inverse, pull, singular
from ._threads import run

Flags = NDArray[np.bool_]


def solve(
    gram: Matrix,
    weights: NDArray[np.floating],
    mask: Flags,
    *,
    cross: Matrix | None = None,
    damping: float = DAMPING,
    inverted: Callable[[], Matrix] | None = None,
) -> Matrix:
    """Solve the kept weights of a linear map anew, so that its outputs change least.

    Each column of the result minimizes ||X w' - Y||^2 / samples + d ||w' - w||^2 over the w' that are zero outside of
    the mask. Y is X w, or, with `cross`, what the unpruned network gave for the same samples. Columns with equal masks
    share a factorization; where few weights are gone, those are solved for instead of those that stay.

    Args:
        gram: H = X'X / samples, n x n.
        weights: n x m, one column an output.
        mask: n x m booleans, True where a weight stays.
        cross: X'^T X / samples, n x n, where the inputs X' of a pruned network replace X; H is then theirs.
        damping: d as a share of the mean of H's diagonal, at least 0.
        inverted: gives the inverse of the damped H, which is only read; by default it is computed where it is needed.

    Returns:
        The new weights in float64, n x m. Weights of inputs that are always zero stay as they are.

    Raises:
        InvalidMaskError: the mask is not of the weights' shape, or of another type than bool.
        InvalidDataError: H does not fit or is singular.
    """
    check_mask(gram, weights, mask)
    whole = damp(gram, damping)
    old = np.asarray(weights, np.float64)
    target = whole @ old if cross is None else cross @ old + pull(gram, damping)[:, None] * old
    groups = equal_columns(mask)
    work = Work.of(len(gram), mask, groups)
    result = np.zeros_like(old)
    removal = None
    if work.removes:
        whole_inverse = inverse(whole.copy()) if inverted is None else inverted()
        removal = _Removal(whole_inverse, old if cross is None else whole_inverse @ target)

    def solve_group(columns: NDArray[np.intp]) -> None:
        kept = mask[:, columns[0]]
        places = np.flatnonzero(kept)
        direct, removed = _costs(len(gram), float(len(places)), len(columns))
        if removal is not None and removed < direct:
            result[:, columns] = removal.without(~kept, columns)
        else:
            result[np.ix_(places, columns)] = _positive_solve(whole, places, target[np.ix_(places, columns)])

    run(solve_group, groups)
    return result


def equal_columns(mask: NDArray[Any]) -> list[NDArray[np.intp]]:
    """Group the columns of a mask that are equal.

    Args:
        mask: n x m booleans; or numbers, which are not zero where a weight stays.

    Returns:
        The columns of each group, those with more weights first, so that threads end together.
    """
    if not mask.size:
        return []
    packed = np.ascontiguousarray((np.packbits(mask, axis=0) if mask.dtype == np.bool_ else mask).T)
    found: dict[bytes, list[int]] = {}
    for column, bits in enumerate(packed):
        found.setdefault(bits.tobytes(), []).append(column)
    groups = [np.array(each, np.intp) for each in found.values()]
    return sorted(groups, key=lambda columns: -int(np.count_nonzero(mask[:, columns[0]])))


@dataclass(frozen=True)
class Work:
    """What solving for the kept weights of a mask costs.

    Attributes:
        multiply_adds: an estimate, |S|^3 / 3 a group of equal columns at its core; or what is removed, where that is
            less.
        removes: whether some groups are solved for what is removed.
    """

    multiply_adds: float
    removes: bool

    @classmethod
    def of(cls, inputs: int, mask: Flags, groups: list[NDArray[np.intp]]) -> Work:
        """Estimate the work for a mask and its groups of equal columns."""
        kept = np.array([np.count_nonzero(mask[:, columns[0]]) for columns in groups], np.float64)
        direct, removed = _costs(inputs, kept, np.array([len(columns) for columns in groups], np.float64))
        mixed = float(np.minimum(direct, removed).sum()) + float(inputs) ** 3
        removes = mixed < float(direct.sum())
        return cls(mixed if removes else float(direct.sum()), removes)


def _costs(inputs: int, kept: Any, width: Any) -> tuple[Any, Any]:
    """What a group of so many columns costs by what it keeps, and by what it has lost."""
    pruned = inputs - kept
    return kept**3 / 3 + kept**2 * width, pruned**3 / 3 + (pruned**2 + inputs * pruned) * width


@dataclass(frozen=True)
class _Removal:
    """The solution with all weights, and how it changes when some are taken out."""

    inverted: Matrix
    best: Matrix

    def without(self, pruned: Flags, columns: NDArray[np.intp]) -> Matrix:
        """Optimal Brain Surgeon for a set of weights: w - G_:R (G_RR)^-1 w_R with G the inverse of H."""
        places = np.flatnonzero(pruned)
        best = self.best[:, columns]
        result = best - self.inverted[:, places] @ _positive_solve(self.inverted, places, best[places])
        result[places] = 0.0
        return result


def _positive_solve(matrix: Matrix, places: NDArray[np.intp], right: Matrix) -> Matrix:
    """Solve with the rows and columns of a positive definite matrix that stand at some places."""
    if not places.size:
        return right
    lower = factor(_part(matrix, places))
    half = solve_triangular(lower, right, lower=True, check_finite=False)
    return np.asarray(solve_triangular(lower, half, lower=True, trans="T", check_finite=False))


def factor(matrix: Matrix) -> Matrix:
    """The lower Cholesky factor of a positive definite matrix.

    Raises:
        InvalidDataError: it is singular.
    """
    try:
        return np.asarray(np.linalg.cholesky(matrix))  # unlike SciPy's, it lets other threads run
    except np.linalg.LinAlgError:
        raise singular() from None


def _part(matrix: Matrix, places: NDArray[np.intp]) -> Matrix:
    """The rows and columns at some places, which ascend."""
    if places.size == len(matrix):
        return matrix
    if 2 * places.size < len(matrix):  # whole rows would be mostly what is not needed
        return matrix[np.ix_(places, places)]
    return matrix.take(places, 0).take(places, 1)


def check_mask(gram: Matrix, weights: NDArray[np.floating], mask: Flags) -> None:
    """Make sure that a mask belongs to weights, and those to H.

    Raises:
        InvalidMaskError: the mask is of another shape or type.
        InvalidDataError: H has another number of inputs.
    """
    check_inputs(gram, weights)
    if mask.shape != weights.shape or mask.dtype != np.bool_:
        raise InvalidMaskError(
            f"A mask of {mask.dtype} and shape {mask.shape} was given for weights of shape {weights.shape}; it is of "
            "bool, and inputs x outputs like the weights."
        )
