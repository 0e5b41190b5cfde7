"""Movement: which weights training moves away from zero."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ._base import ScoreContext
from ._loss import LossScore, mean_gradient


@final
class Movement(LossScore):
    """How far training moves a weight away from zero: the sum of -w dL/dw over all times that it was computed.

    Sanh et al., Movement pruning: adaptive sparsity by fine-tuning, NeurIPS 2020,
    https://arxiv.org/abs/2005.07683. In `callbacks.Prune` a term is added at each update of the masks, on the data
    given; a single computation has one term. Scores can be negative: those weights shrink.

    Args:
        batch_size: how many observations are run at once. The scores do not depend on it.
    """

    name = "movement"

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        sums: dict[str, NDArray[Any]] = context.once(
            self.name, lambda: {path: np.zeros(value.shape) for path, value in context.values.items()}
        )
        slopes = mean_gradient(context, self.batch_size)
        for path, value in context.values.items():
            sums[path] = sums[path] - value * slopes[path]
        return dict(sums)
