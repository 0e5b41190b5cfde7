"""A random number a weight: what any other score should beat."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._model._numbers import check_seed

from ._base import Score, ScoreContext


@final
class Random(Score):
    """A uniform random number a weight: the baseline of every comparison.

    The numbers come from NumPy, keyed by the seed and the variable's position among the prunable ones: they
    are the same on every backend.

    Args:
        seed: a non-negative integer; another seed draws other weights.
    """

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = check_seed(seed)

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        return {
            path: np.random.default_rng([self.seed, position]).random(value.shape)
            for position, (path, value) in enumerate(context.values.items())
        }

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this score again."""
        return {"seed": self.seed}
