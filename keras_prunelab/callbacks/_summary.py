"""What pruning reached, in the logs of `fit` and in a table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_prunelab._backend import when_built
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._prunable import weights_counted
from keras_prunelab._model._variables import Learnables, Prunable
from keras_prunelab._text import one_line
from keras_prunelab._training._epoch_logs import contribute, withdraw

from ._event_file import EventFile


class PruningSummary(keras.callbacks.Callback):
    """Put the sparsity into the logs of `fit`, and print a table at the end.

    At the end of each epoch the logs get `"sparsity"`, over all prunable weights, and `"sparsity/<layer>"` for each
    layer that has some: shares of zeros in [0, 1], counted in the weights themselves. All callbacks of the list see
    them, whatever their order: `History`, `CSVLogger`, `TensorBoard`, `ModelCheckpoint(monitor="sparsity")`. It works
    with any way of pruning, or none. In a loop of your own that calls the callbacks, those behind this one see them.

    Args:
        include: only what matches one of these; see `keras_prunelab.prunable`.
        exclude: nothing that matches one of these.
        learnables: `"weights"` counts kernels only; `"all"` biases, normalizations and embeddings too.
        verbose: 1 to print a table when `fit` ends, 0 for the logs only.
        log_dir: a folder for TensorBoard, to which the same numbers are written under the same names, by epoch,
            counted from 0; by default none. This works on every backend, and needs
            `pip install "keras-prunelab[tensorboard]"`.

    Raises:
        MissingBackendError: `log_dir` is given, and TensorBoard is not installed.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, name="hidden")])
        >>> model.compile("sgd", "mse")
        >>> callbacks = [kpl.callbacks.Prune(0.75), kpl.callbacks.PruningSummary(verbose=0)]
        >>> history = model.fit(np.ones((8, 8)), np.ones((8, 16)), verbose=0, callbacks=callbacks)
        >>> history.history["sparsity"], history.history["sparsity/hidden"]
        ([0.75], [0.75])
    """

    def __init__(
        self,
        *,
        include: Filters = None,
        exclude: Filters = None,
        learnables: Learnables = "weights",
        verbose: int = 1,
        log_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self.include, self.exclude, self.learnables = include, exclude, learnables
        self.verbose = verbose
        self.log_dir = log_dir
        self._file = None if log_dir is None else EventFile(log_dir)
        self._found: dict[str, float] | None = None  # of an epoch that is done, until its end is told

    def add_to_logs(self, logs: dict[str, Any]) -> None:
        """Put the sparsity in, in all and of each layer."""
        counts = self._counts()
        zeros, total = (sum(column) for column in zip(*counts.values(), strict=True))
        self._found = {"sparsity": zeros / total}
        self._found |= {f"sparsity/{layer}": pruned / size for layer, (pruned, size) in counts.items()}
        logs.update(self._found)

    def on_train_begin(self, logs: Any = None) -> None:
        """Raise what is wrong with the filters, or with the model, before it is trained."""
        self._found = None
        when_built(self.model, self._check)
        contribute(self.model, self)

    def _check(self) -> None:
        self._counted()

    def _counted(self) -> Sequence[Prunable]:
        return weights_counted(self.model, self.include, self.exclude, learnables=self.learnables)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add the sparsity to the logs of a loop of the user's own, and write it for TensorBoard."""
        if self._found is None and (logs is not None or self._file is not None):
            self.add_to_logs({} if logs is None else logs)
        found, self._found = self._found, None
        if self._file is not None and found is not None:
            self._file.write(found, epoch)

    def on_train_end(self, logs: Any = None) -> None:
        """Print the table."""
        withdraw(self.model, self)
        if self._file is not None:
            self._file.end()
        if not self.verbose:
            return
        counts = self._counts()
        total = (sum(pruned for pruned, _ in counts.values()), sum(size for _, size in counts.values()))
        table = Table(
            "Layer",
            title=escape(one_line(f"Sparsity of {self.model.name}")),
            title_justify="left",
            show_footer=len(counts) > 1,
        )
        table.columns[0].footer = "all"
        for heading, footer in (("Weights", f"{total[1]:,}"), ("Zeros", f"{total[0]:,}"), ("Sparsity", _share(*total))):
            table.add_column(heading, footer, justify="right")
        for layer, (pruned, size) in counts.items():
            table.add_row(escape(one_line(layer)), f"{size:,}", f"{pruned:,}", _share(pruned, size))
        Console().print(table)

    def _counts(self) -> dict[str, tuple[int, int]]:
        """Zeros and weights of each layer, by the names of the layers that it stands in."""
        counts: dict[str, tuple[int, int]] = {}
        for item in self._counted():
            zeros, size = counts.get("/".join(item.within), (0, 0))
            counts["/".join(item.within)] = (zeros + item.zeros(), size + item.size)
        return counts


def _share(zeros: int, total: int) -> str:
    return f"{zeros / total:.2%}"
