"""Least squares at many levels at once, where each mask keeps a part of what the one before it keeps.

With the inputs of an output in the order in which they last, the weights of each level are the first ones; and the
factor L of their matrix, H_SS = L L', is made of the first rows and columns of the factor at the fullest level. So one
factor an output serves all levels, and one triangular solution with a right side a level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from ._gram import DAMPING, Matrix, damp
from ._solve import Flags, Work, check_mask, equal_columns, factor
from ._threads import run


@dataclass(frozen=True)
class Nest:
    """Masks of which each keeps a part of what the one before it keeps.

    Attributes:
        lasts: n x m: at how many of the levels a weight stays.
        levels: how many there are, the fullest first.
    """

    lasts: NDArray[np.intp]
    levels: int

    @classmethod
    def of(cls, masks: Flags) -> Nest | None:
        """See masks, levels x n x m, as nested ones, the fullest first; None where they are not."""
        lasts = np.asarray(masks.sum(axis=0, dtype=np.intp))
        nested = all(np.array_equal(mask, lasts > level) for level, mask in enumerate(masks))
        return cls(lasts, len(masks)) if nested else None

    def groups(self) -> list[NDArray[np.intp]]:
        """The outputs that have equal masks at each level."""
        return equal_columns(self.lasts)

    def work(self) -> float:
        """The multiply-adds of solving all levels from one factor an output, an estimate."""
        total = 0.0
        for columns in self.groups():
            kept = float(np.count_nonzero(self.lasts[:, columns[0]]))
            total += kept**3 / 3 + kept**2 * self.levels * len(columns)
        return total

    def work_alone(self) -> list[float]:
        """The multiply-adds of solving each level by itself."""
        masks = (self.lasts > level for level in range(self.levels))
        return [Work.of(len(mask), mask, equal_columns(mask)).multiply_adds for mask in masks]


def solve_nested(
    gram: Matrix, weights: NDArray[np.floating], nest: Nest, *, damping: float = DAMPING
) -> NDArray[np.float64]:
    """Solve the kept weights of a linear map anew at each of some levels, as `solve` does for one.

    Args:
        gram: H = X'X / samples, n x n.
        weights: n x m, one column an output.
        nest: the masks.
        damping: as for `solve`.

    Returns:
        The new weights, levels x n x m.

    Raises:
        InvalidMaskError: the masks are not of the weights' shape.
        InvalidDataError: H does not fit or is singular.
    """
    check_mask(gram, weights, nest.lasts > 0)
    whole = damp(gram, damping)
    target = whole @ np.asarray(weights, np.float64)
    result = np.zeros((nest.levels, *weights.shape))

    def solve_group(columns: NDArray[np.intp]) -> None:
        lasts = nest.lasts[:, columns[0]]
        places = np.argsort(-lasts, kind="stable")[: np.count_nonzero(lasts)]
        if not places.size:
            return
        lower = factor(whole.take(places, 0).take(places, 1))
        half = solve_triangular(lower, target[np.ix_(places, columns)], lower=True, check_finite=False)
        # What a level does not keep is zero on the right, and so it is in the solution from below.
        stays = lasts[places, None] > np.arange(nest.levels)
        sides = np.where(stays[:, :, None], half[:, None, :], 0.0).reshape(len(places), -1)
        new = solve_triangular(lower, sides, lower=True, trans="T", check_finite=False)
        result[:, places[:, None], columns] = new.reshape(len(places), nest.levels, -1).transpose(1, 0, 2)

    run(solve_group, nest.groups())
    return result
