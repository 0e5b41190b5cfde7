"""Sparse evolutionary training: weights move to random places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._model._filters import Filters
from keras_prunelab._model._optimizers import Optimizers
from keras_prunelab._select._allocation import Scope
from keras_prunelab.schedules._step import StepLike

from ._dynamic_sparse import DynamicSparse
from ._run import FitRun


@final
class SET(DynamicSparse):
    """Train a model that is sparse from the first step, and let its weights move to random places.

    Training begins with random masks. Every `frequency` steps a fraction of each variable's kept weights, those of
    the smallest magnitude, is dropped, and as many grow in places drawn at random from all that have none. Grown
    weights begin at zero, their optimizer slots too; one that is drawn again where it was just dropped stays as it
    was. Each variable thus keeps exactly as many weights as it began with, at the end of every batch. The same seed
    draws the same places on every backend.

    Mocanu et al., Scalable training of artificial neural networks with adaptive sparse connectivity inspired by
    network science, Nature Communications 9, 2018, https://arxiv.org/abs/1707.04780. The paper takes the fraction of
    the positive and of the negative weights, each for itself, once an epoch; magnitudes are ranked together here, as
    Evci et al. do, https://arxiv.org/abs/1911.11134.

    Steps are counted, checkpoints are written and resumed, and errors are raised as by `Prune`. Give `end_step` where
    training is cut into several calls of `fit` whose `epochs` differ.

    Args:
        sparsity: the share of the weights that is zero all the time, in [0, 1).
        scope: how it is shared out among the layers: `"erk"` for Erdos-Renyi with kernel sizes, `"layer"` for the
            same share in each, `"global"`, `"lamp"` or an `Allocation`.
        fraction: zeta, the share of the kept weights that moves in each update, in (0, 1].
        frequency: how far updates are apart: 100 for optimizer steps, "1ep" for epochs.
        end_step: when the masks come to rest; by default after 75 % of the epochs of `fit`.
        seed: a non-negative integer that the random places depend on.
        include: only what matches one of these; see `prunable`.
        exclude: nothing that matches one of these.
        optimizers: the Keras optimizers that train the model; by default those that it holds. See `Prune`.

    Raises:
        InvalidSparsityError: the sparsity is outside [0, 1).
        InvalidScheduleError: the fraction is outside (0, 1], or a step is none. When `fit` begins: the length of the
            training is not known, or it ends before the first update.
        UnknownNameError: there is no such scope.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(2)])
        >>> model.compile("adam", "mse")
        >>> x, y = np.ones((64, 8)), np.ones((64, 2))
        >>> sparse = kpl.callbacks.SET(0.75)
        >>> history = model.fit(x, y, batch_size=8, epochs=4, verbose=0, callbacks=[sparse])
        >>> sparse.masks.sparsity
        0.75
    """

    def __init__(
        self,
        sparsity: float,
        *,
        scope: Scope = "erk",
        fraction: float = 0.3,
        frequency: StepLike = "1ep",
        end_step: StepLike | None = None,
        seed: int = 0,
        include: Filters = None,
        exclude: Filters = None,
        optimizers: Optimizers = None,
    ) -> None:
        super().__init__(
            sparsity,
            scope=scope,
            fraction=fraction,
            frequency=frequency,
            end_step=end_step,
            seed=seed,
            include=include,
            exclude=exclude,
            optimizers=optimizers,
        )

    def fraction_at(self, step: int, end: int) -> float:
        """Which share of the kept weights moves: always the same."""
        return self.fraction

    def growth(self, run: FitRun, values: Mapping[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
        """A random number a place."""
        return {
            item.path: np.random.default_rng([self.seed, position, number]).random(item.shape)
            for position, item in enumerate(run.found)
        }
