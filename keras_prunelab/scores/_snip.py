"""SNIP: how much the loss feels a weight."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ._base import ScoreContext
from ._loss import LossScore, mean_gradient


@final
class SNIP(LossScore):
    """The connection sensitivity |w dL/dw|, with L the loss over all data given.

    Lee et al., SNIP: single-shot network pruning based on connection sensitivity, ICLR 2019,
    https://arxiv.org/abs/1810.02340, for a network before training; it ranks a trained one as well.

    Args:
        batch_size: how many observations are run at once. The scores do not depend on it.
    """

    name = "snip"

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        slopes = mean_gradient(context, self.batch_size)
        return {path: np.abs(value * slopes[path]) for path, value in context.values.items()}
