"""First-order Taylor: what the loss would lose without a weight."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ._base import ScoreContext
from ._loss import LossScore, batch_gradients


@final
class Taylor(LossScore):
    """The squared first-order change of the loss without a weight, (w dL/dw)^2, averaged over batches.

    Molchanov et al., Importance estimation for neural network pruning, CVPR 2019, https://arxiv.org/abs/1906.10771.
    The score of a channel or block is the sum over its weights.

    Args:
        batch_size: how many observations make one gradient. The scores depend on it: the square is taken batch by
            batch.
    """

    name = "taylor"

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        sums = {path: np.zeros(value.shape) for path, value in context.values.items()}
        for number, (_, slopes) in enumerate(batch_gradients(context, self.batch_size), start=1):
            for path, value in context.values.items():
                sums[path] += (np.square(np.float64(value) * slopes[path]) - sums[path]) / number
        return sums
