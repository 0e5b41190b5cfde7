"""Empirical Fisher: the curvature of the loss along a weight."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ._base import ScoreContext
from ._loss import LossScore, batch_gradients


@final
class Fisher(LossScore):
    """The second-order change of the loss without a weight, w^2 F / 2, with F the mean squared gradient.

    The saliency of optimal brain damage, LeCun et al., NeurIPS 1989, with the diagonal of the empirical Fisher
    information in the place of the Hessian's, as in Theis et al., Faster gaze prediction with dense networks and
    Fisher pruning, 2018, https://arxiv.org/abs/1801.05787. F is the mean over observations of the squared gradient.

    Args:
        batch_size: how many observations make one gradient. With 1, F is exact; with more it is faster, and their
            number times the squared mean gradient stands for the mean squared one.
    """

    name = "fisher"

    def __init__(self, batch_size: int = 1) -> None:
        super().__init__(batch_size)

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        total, sums = 0, {path: np.zeros(value.shape) for path, value in context.values.items()}
        for count, slopes in batch_gradients(context, self.batch_size):
            total += count
            for path, slope in slopes.items():
                sums[path] += np.square(count * np.float64(slope))
        return {path: np.square(value) * sums[path] / (2 * total) for path, value in context.values.items()}
