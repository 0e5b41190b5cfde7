"""Wanda: a weight, and how strong its input is."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._model._data import check_batch_size

from ._base import Score, ScoreContext
from ._input_norms import input_norms


@final
class Wanda(Score):
    """The absolute value of a weight times the Euclidean norm of its input over all data given.

    The input of a weight is one feature of a dense layer, or one channel of a convolution, at all observations and
    positions. It needs no labels. The paper ranks the weights of each output for themselves, which is closest to
    `scope="layer"`.

    Sun et al., A simple and effective pruning approach for large language models, ICLR 2024,
    https://arxiv.org/abs/2306.11695.

    Args:
        batch_size: how many observations are run at once. The scores do not depend on it.

    Raises:
        InvalidModelError: at the call: the input of a variable cannot be observed from outside its layer, such as
            the state that a recurrent kernel meets.
    """

    name = "wanda"
    needs_data = True

    def __init__(self, batch_size: int = 128) -> None:
        self.batch_size = check_batch_size(batch_size)

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        norms = input_norms(context, self.batch_size)
        return {path: np.abs(value) * norms[path] for path, value in context.values.items()}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this score again."""
        return {"batch_size": self.batch_size}
