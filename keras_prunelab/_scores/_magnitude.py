"""The absolute value of a weight."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ._base import Score, ScoreContext


@final
class Magnitude(Score):
    """The absolute value of a weight: small ones go first.

    Han et al., Learning both weights and connections for efficient neural networks, NeurIPS 2015,
    https://arxiv.org/abs/1506.02626.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
        >>> kpl.sparsity(kpl.prune(model, 0.5, score="magnitude"))
        0.5
    """

    name = "magnitude"

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        return {path: np.abs(value) for path, value in context.values.items()}
