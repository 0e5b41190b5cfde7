"""LAMP: magnitudes made comparable between layers."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ._base import Score, ScoreContext


@final
class LAMP(Score):
    """A weight's share in the squares of its variable's weights that are not smaller.

    For `scope="global"`: a global ranking of these scores finds the sparsity of each layer by itself.

    Lee et al., Layer-adaptive sparsity for the magnitude-based pruning, ICLR 2021,
    https://arxiv.org/abs/2010.07611.
    """

    name = "lamp"

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        return {path: lamp_scores(value) for path, value in context.values.items()}


def lamp_scores(value: NDArray[Any]) -> NDArray[np.float64]:
    """The LAMP scores of one variable: w_u^2 divided by the sum of w_v^2 over all v not smaller than u.

    Args:
        value: the weights, of any shape.

    Returns:
        The scores, of that shape, in [0, 1]; of equal weights those that stand first have the lower ones.
    """
    squares = np.square(value.reshape(-1).astype(np.float64))
    order = np.argsort(squares, kind="stable")
    rest = np.cumsum(squares[order][::-1])[::-1]
    scores = np.zeros_like(squares)
    scores[order] = np.divide(squares[order], rest, out=np.zeros_like(rest), where=rest > 0)
    return scores.reshape(value.shape)
