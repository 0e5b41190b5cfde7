"""Batches of sequences for Keras' `fit`, `evaluate` and `predict`, padded one batch at a time."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ._padding import Padded, Side, pad
from ._values import Array, Sequences


class SequenceBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of sequences, each filled up to the longest of the batch; `Dataset.batches` makes them.

    Args:
        sequences: N arrays `(T, C)`.
        labels: as those of a `Dataset`.
        batch_size: sequences a batch; the last batch may have fewer.
        side: where the padding goes.
        value: what it is filled with.
        bucket: whether sequences of like length share a batch.
        generator: shuffles anew after each epoch; None keeps the order.
    """

    def __init__(
        self,
        sequences: Sequences,
        labels: Array | Sequences | None,
        batch_size: int,
        *,
        side: Side,
        value: float,
        bucket: bool,
        generator: np.random.Generator | None,
    ) -> None:
        super().__init__()
        self._sequences, self._labels = sequences, labels
        self._batch_size, self._side, self._value = batch_size, side, value
        self._bucket, self._generator = bucket, generator
        self._batches = self._order()

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Array, ...]:
        batch = self.padded(index)
        parts = (batch.inputs, batch.labels, batch.sample_weight)
        return tuple(part for part in parts if part is not None)

    def on_epoch_end(self) -> None:
        """Shuffle, if that was asked for."""
        if self._generator is not None:
            self._batches = self._order()

    @property
    def order(self) -> Array:
        """The positions of the sequences as the batches give them, `(N,)`.

        `scores[np.argsort(batches.order)]` puts predictions into the order of the dataset.
        """
        return np.concatenate(self._batches)

    def padded(self, index: int) -> Padded:
        """A batch with its mask."""
        chosen = self._batches[index]
        labels: Any = self._labels
        if isinstance(labels, list):
            labels = [labels[position] for position in chosen]
        elif labels is not None:
            labels = labels[chosen]
        return pad([self._sequences[position] for position in chosen], labels, side=self._side, value=self._value)

    def _order(self) -> list[Array]:
        count = len(self._sequences)
        order = np.arange(count) if self._generator is None else self._generator.permutation(count)
        if self._bucket:
            order = order[np.argsort([len(self._sequences[position]) for position in order], kind="stable")]
        batches = [order[start : start + self._batch_size] for start in range(0, count, self._batch_size)]
        if self._bucket and self._generator is not None:
            batches = [batches[position] for position in self._generator.permutation(len(batches))]
        return batches
