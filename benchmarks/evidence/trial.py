"""One network of one seed: its data, its dense training, and the last measure on the test split."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import keras
import numpy as np

import keras_prunelab as kpl

from .data import Data, Split
from .networks import BATCH, Network, compile_for
from .rows import Outcome
from .shifted import Shifted

Learnables: TypeAlias = Literal["weights", "all"]
"""What is pruned: the weights of kernels, or biases too."""


def sparsity_for(compression: float, parameters: int, weights: int) -> float:
    """The sparsity of the kernels that leaves one of `compression` of all parameters.

    Args:
        compression: parameters of the dense network for each that is kept, above 1.
        parameters: of the dense network, all of them.
        weights: those of them that can be pruned.

    Returns:
        The sparsity, in [0, 1).

    Raises:
        ValueError: what cannot be pruned is more than may be kept.
    """
    left = int(parameters / compression) - (parameters - weights)
    if left < 1:
        raise ValueError(f"{parameters - weights} of {parameters} parameters are not pruned: no {compression:g} times.")
    return 1 - left / weights


@dataclass(frozen=True)
class Trial:
    """What every method begins with.

    Attributes:
        network: which network.
        seed: of the weights at the beginning, and of the order of the data.
        data: the splits, its inputs in the network's shape.
        epochs: how many epochs the dense network is trained, and all methods that prune while they train.
        tuning: how many epochs a pruned network is fine-tuned.
        work: the folder for dense networks and the stores of sweeps.
    """

    network: Network
    seed: int
    data: Data
    epochs: int
    tuning: int
    work: Path

    def new(self, epochs: int | None = None) -> keras.Model:
        """The network with its first weights, the same for every method, compiled for some epochs."""
        keras.utils.set_random_seed(self.seed)
        return self.compiled(self.network.build(), epochs or self.epochs)

    def compiled(self, model: keras.Model, epochs: int) -> keras.Model:
        """A model compiled for some epochs."""
        return compile_for(model, self.network, len(self.data.train.labels), epochs)

    def fit(self, model: keras.Model, callbacks: Sequence[Any] = (), epochs: int | None = None) -> keras.Model:
        """Train a model."""
        train, shift = self.data.train, self.network.shift
        data = (
            {"x": Shifted(train, shift, BATCH, self.seed)}
            if shift
            else {"x": train.inputs, "y": train.labels, "batch_size": BATCH}
        )
        model.fit(**data, epochs=epochs or self.epochs, verbose=0, callbacks=list(callbacks))
        return model

    @cached_property
    def dense(self) -> keras.Model:
        """The trained network before pruning, from its file where there is one."""
        path = self.work / f"{self.network.name}-{self.seed}.keras"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f"part-{path.name}")
            self.fit(self.new()).save(temporary)
            temporary.replace(path)
        return keras.saving.load_model(path)

    @cached_property
    def error_dense(self) -> float:
        """The share of wrong answers on the test split before pruning."""
        return error(self.dense, self.data.test)

    @cached_property
    def macs_dense(self) -> int:
        """Multiply-adds before pruning, for one observation."""
        return kpl.metrics(self.dense).macs

    @property
    def parameters(self) -> int:
        """All parameters before pruning."""
        return int(self.dense.count_params())

    @property
    def weights(self) -> int:
        """Those that can be pruned: the weights of kernels."""
        return kpl.prunable(self.dense).total

    def sparsity(self, compression: float, learnables: Learnables = "weights") -> float:
        """The sparsity of what is pruned for a compression of the whole network."""
        return sparsity_for(compression, self.parameters, kpl.prunable(self.dense, learnables=learnables).total)

    def measure(self, model: keras.Model, epochs: int, seconds: float, learnables: Learnables = "weights") -> Outcome:
        """Measure a network that is finished, on the test split."""
        gone = self.weights - kpl.prunable(model).total  # with filters that were cut out
        return Outcome(
            parameters=self.parameters,
            kept=int(model.count_params()) - zeros_of(model, learnables),
            weights=self.weights,
            zeros=zeros_of(model) + gone,
            macs_dense=self.macs_dense,
            macs=kpl.metrics(model).macs_effective,
            error_dense=self.error_dense,
            error=error(model, self.data.test),
            epochs=epochs,
            seconds=seconds,
            backend=keras.backend.backend(),
        )


def zeros_of(model: keras.Model, learnables: Learnables = "weights") -> int:
    """How many weights are zero."""
    return sum(int(np.count_nonzero(item.value() == 0)) for item in kpl.prunable(model, learnables=learnables))


def error(model: keras.Model, split: Split) -> float:
    """The share of wrong answers."""
    return float(np.mean(model.predict(split.inputs, 1000, verbose=0).argmax(axis=1) != split.labels))


class Clock:
    """Takes the time of a `with`.

    Attributes:
        seconds: how long it took.
    """

    def __enter__(self) -> Clock:
        self._begun = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._begun
