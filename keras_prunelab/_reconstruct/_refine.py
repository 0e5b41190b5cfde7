"""Conjugate gradients on the kept weights of a large layer: all outputs at once, without a factor for each.

Meng et al., ALPS: improved optimization for highly sparse one-shot pruning, NeurIPS 2024,
https://arxiv.org/abs/2406.07831, refine the weights of a mask like this. A step is one product of H with all directions
and makes each output better, or leaves it as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._gram import DAMPING, Matrix, pull
from ._solve import Flags, check_mask
from ._threads import run

STEPS = 10
"""The steps by default. From a pass they reach the exact error within a percent where samples outnumber inputs."""

_COLUMNS = 512  # outputs that a thread takes at once
_ENOUGH = 1e-3  # a step that takes less than this share off the objective is the last


def refine(
    gram: Matrix,
    weights: NDArray[np.floating],
    mask: Flags,
    start: Matrix,
    *,
    cross: Matrix | None = None,
    damping: float = DAMPING,
    steps: int = STEPS,
) -> Matrix:
    """Bring approximate weights closer to the exact ones, in n^2 m multiply-adds a step.

    Args:
        gram: as for `solve`.
        weights: as for `solve`, the old ones.
        mask: as for `solve`.
        start: the new weights so far, n x m, zero outside of the mask.
        cross: as for `solve`.
        damping: as for `solve`.
        steps: the most that are taken, 0 or more; fewer where they stop to pay.

    Returns:
        The better weights, n x m.

    Raises:
        InvalidMaskError: as for `solve`.
        InvalidDataError: as for `solve`.
    """
    check_mask(gram, weights, mask)
    amount = pull(gram, damping)[:, None]
    scale = 1 / (np.diagonal(gram)[:, None] + amount)
    result = np.array(start, np.float64)

    def follow(first: int) -> None:
        columns = slice(first, first + _COLUMNS)
        old, kept = np.asarray(weights[:, columns], np.float64), mask[:, columns]
        new = result[:, columns].copy()
        pulled = amount * (old - new)
        # What is left to reach, as a gradient: zero where it is reached.
        left = gram @ (old - new) if cross is None else cross @ old - gram @ new
        left = np.where(kept, left + pulled, 0.0)
        direction = left * scale
        size = np.einsum("ij,ij->j", left, direction)
        gained = np.zeros(len(size))
        for _ in range(steps):
            product = np.where(kept, gram @ direction + amount * direction, 0.0)
            length = _divide(size, np.einsum("ij,ij->j", direction, product))
            new += length * direction
            left -= length * product
            gain = length * size
            gained += gain
            if (gain <= _ENOUGH * gained).all():
                break
            scaled = left * scale
            before, size = size, np.einsum("ij,ij->j", left, scaled)
            direction *= _divide(size, before)
            direction += scaled
        result[:, columns] = new

    run(follow, range(0, weights.shape[1], _COLUMNS))
    return result


def _divide(numerator: Matrix, denominator: Matrix) -> Matrix:
    """A ratio for each output; 0 where nothing is left to gain."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
