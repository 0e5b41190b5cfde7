"""Rigging the lottery: weights move to where the loss is steepest."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._model._data import Batch, batches, check_batch_size
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._optimizers import Optimizers
from keras_prunelab._model._source import check_ends
from keras_prunelab._model._variables import Prunables
from keras_prunelab._select._allocation import Scope
from keras_prunelab.schedules._step import StepLike
from keras_prunelab.scores._loss import batch_gradients, check_loss, needs_labels

from ._dynamic_sparse import DynamicSparse
from ._run import FitRun


@final
class RigL(DynamicSparse):
    """Train a model that is sparse from the first step, and let its weights move to where the loss is steepest.

    Training begins with random masks. Every `frequency` steps a fraction of each variable's kept weights, those of
    the smallest magnitude, is dropped, and as many grow where the gradient of the loss, that of before the drop, is
    largest among the places without one. A place whose weight was just dropped is such a place: the paper's Algorithm
    1 grows outside of the active connections less the dropped ones. Grown weights begin at zero, their optimizer
    slots too; one that is dropped and grown in the same update stays as it was. Each variable thus keeps exactly as
    many weights as it began with, at the end of every batch. The fraction falls along a cosine,
    f(t) = fraction / 2 (1 + cos(pi t / end_step)).

    Evci et al., Rigging the lottery: making all tickets winners, ICML 2020, https://arxiv.org/abs/1911.11134.

    Each update computes its gradient on a batch of `data` of its own, the next one, with dropout off. Which one
    depends on the step only, so that a run that is resumed from a checkpoint goes on as if it had never been cut.
    Steps are counted, checkpoints are written and resumed, and errors are raised as by `Prune`. Give `end_step` where
    training is cut into several calls of `fit` whose `epochs` differ.

    Args:
        sparsity: the share of the weights that is zero all the time, in [0, 1).
        data: what the gradients are computed on: `(inputs, labels)`, with sample weights if there are any, or batches
            of these; after the last batch comes the first again.
        batch_size: how many observations one update takes at most.
        scope: how the sparsity is shared out among the layers: `"erk"` for Erdos-Renyi with kernel sizes, `"layer"`
            for the same share in each, `"global"`, `"lamp"` or an `Allocation`.
        fraction: alpha, the share of the kept weights that moves in the first updates, in (0, 1].
        frequency: Delta T, how far updates are apart: 100 for optimizer steps, "1ep" for epochs.
        end_step: when the masks come to rest; by default after 75 % of the epochs of `fit`.
        seed: a non-negative integer that the masks of the beginning depend on.
        include: only what matches one of these; see `prunable`.
        exclude: nothing that matches one of these.
        optimizers: the Keras optimizers that train the model; by default those that it holds. See `Prune`.

    Raises:
        InvalidSparsityError: the sparsity is outside [0, 1).
        InvalidScheduleError: the fraction is outside (0, 1], or a step is none. When `fit` begins: the length of the
            training is not known, or it ends before the first update.
        InvalidDataError: `batch_size` is not positive. When `fit` begins: the data has no labels, or does not fit.
        InvalidModelError: when `fit` begins: the model is compiled without a loss.
        UnknownNameError: there is no such scope.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(2)])
        >>> model.compile("adam", "mse")
        >>> x, y = np.ones((64, 8)), np.ones((64, 2))
        >>> rigl = kpl.callbacks.RigL(0.75, data=(x, y), frequency=5)
        >>> history = model.fit(x, y, batch_size=8, epochs=4, verbose=0, callbacks=[rigl])
        >>> kpl.sparsity(model)
        0.75
    """

    def __init__(
        self,
        sparsity: float,
        data: Any,
        *,
        batch_size: int = 128,
        scope: Scope = "erk",
        fraction: float = 0.3,
        frequency: StepLike = 100,
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
            data=data,
        )
        self.batch_size = check_batch_size(batch_size)
        self._turns = _Turns(data, self.batch_size)

    def check(self, found: Prunables, steps_per_epoch: float | None) -> None:
        """Raise whatever makes these arguments impossible for a model, before it is changed."""
        super().check(found, steps_per_epoch)
        check_ends(self.data)
        check_loss(self.model, self._turns.begin(self.model))

    def fraction_at(self, step: int, end: int) -> float:
        """Which share of the kept weights moves: less and less."""
        return self.fraction / 2 * (1 + math.cos(math.pi * step / end))

    def growth(self, run: FitRun, values: Mapping[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
        """The magnitude of the loss's gradient, of weights that are zero too."""
        batch = self._turns.batch(number - 1)
        data = (batch.inputs, batch.labels, *([] if batch.weights is None else [batch.weights]))
        context = dataclasses.replace(run.context.at(values), data=data)
        _, slopes = next(batch_gradients(context, len(batch)))
        return {path: np.abs(slope) for path, slope in slopes.items()}


class _Turns:
    """The batches of some data by number; after the last comes the first again."""

    def __init__(self, data: Any, size: int) -> None:
        self._data, self._size, self._model = data, size, None
        self._batches: Iterator[Batch] = iter(())
        self._last: tuple[int, Batch] | None = None

    def begin(self, model: Any) -> Batch:
        """The first batch, for a model.

        Raises:
            InvalidDataError: the data does not fit, has no labels where the loss needs them, or is empty.
        """
        self._model, self._last = model, None
        return self.batch(0)

    def batch(self, number: int) -> Batch:
        """One batch. What stands before it is passed over, not kept.

        Raises:
            InvalidDataError: the data does not fit, has no labels, or is empty.
        """
        if self._last is None or number < self._last[0]:
            labels = needs_labels(self._model)
            turns = (batches(self._data, self._size, labels=labels, model=self._model) for _ in itertools.count())
            self._batches = itertools.chain.from_iterable(turns)
            self._last = (0, next(self._batches))
        for position in range(self._last[0], number):
            self._last = (position + 1, next(self._batches))
        return self._last[1]
