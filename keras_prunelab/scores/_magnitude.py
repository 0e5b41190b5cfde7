"""The absolute value of a weight."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._model._numbers import whole_number

from ._base import Score, ScoreContext


@final
class Magnitude(Score):
    """The absolute value of a weight: small ones go first.

    The score of a channel or block is the sum over its weights, the L1 norm of Li et al., Pruning filters for
    efficient ConvNets, ICLR 2017, https://arxiv.org/abs/1608.08710, or the L2 norm.

    Han et al., Learning both weights and connections for efficient neural networks, NeurIPS 2015,
    https://arxiv.org/abs/1506.02626.

    Args:
        norm: 1 or 2: how the weights of a channel or block are joined.

    Raises:
        UnknownNameError: the norm is neither.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
        >>> kpl.sparsity(kpl.prune(model, 0.5, score="magnitude"))
        0.5
    """

    name = "magnitude"

    def __init__(self, norm: int = 1) -> None:
        found = whole_number(norm)
        if found not in (1, 2):
            raise UnknownNameError(
                f"norm={norm!r}; it is 1 for the sum of absolute weights, 2 for the root of squares."
            )
        self.group_norm = found

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        return {path: np.abs(value) for path, value in context.values.items()}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this score again."""
        return {"norm": self.group_norm}
