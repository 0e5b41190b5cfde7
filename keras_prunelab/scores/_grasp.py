"""GraSP: keep the gradient flowing."""

from __future__ import annotations

from typing import Any, final

from numpy.typing import NDArray

from ._base import ScoreContext
from ._loss import LossScore, hessian_gradient


@final
class GraSP(LossScore):
    """How much gradient flow goes with a weight: w (H g), with g and H the loss's gradient and Hessian.

    The paper's S(-w) = -w (H g) is the change of the gradient's squared norm, halved, when the weight is taken away,
    and the weights with the highest go. The sign is turned here, because everywhere the lowest scores go first.
    Scores can be negative.

    Wang et al., Picking winning tickets before training by preserving gradient flow, ICLR 2020,
    https://arxiv.org/abs/2002.07376, for a network before training.

    Args:
        batch_size: how many observations are run at once. The scores do not depend on it.
    """

    name = "grasp"

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        flow = hessian_gradient(context, self.batch_size)
        return {path: value * flow[path] for path, value in context.values.items()}
