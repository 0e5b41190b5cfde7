"""Images that are moved by a few pixels, anew in every epoch: more data than there is."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from .data import Split


class Shifted(keras.utils.PyDataset):
    """Batches of images, each moved by up to some pixels along both axes, black coming in at the edges.

    Args:
        split: images, in any shape of 28 times 28 pixels, and their labels.
        pixels: how far an image moves at most.
        batch: images at once.
        seed: of the order and of the moves.
    """

    def __init__(self, split: Split, pixels: int, batch: int, seed: int) -> None:
        super().__init__()
        self._labels, self._batch, self._shape = split.labels, batch, split.inputs.shape[1:]
        images = np.pad(split.inputs.reshape(-1, 28, 28), [(0, 0), *[(pixels, pixels)] * 2])
        self._windows = np.lib.stride_tricks.sliding_window_view(images, (28, 28), axis=(1, 2))
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        """How many batches make an epoch."""
        return -(-len(self._labels) // self._batch)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """One batch."""
        rows = slice(index * self._batch, (index + 1) * self._batch)
        chosen, down, right = self._order[rows], self._down[rows], self._right[rows]
        return self._windows[chosen, down, right].reshape(-1, *self._shape), self._labels[chosen]

    def on_epoch_end(self) -> None:
        """Draw the order and the moves of the next epoch."""
        count = len(self._labels)
        self._order: Any = self._rng.permutation(count)
        self._down, self._right = self._rng.integers(self._windows.shape[1], size=(2, count))
