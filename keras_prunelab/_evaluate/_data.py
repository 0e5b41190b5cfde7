"""The observations that a sweep measures a model on: in memory, or batches that are read anew each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._model._data import slice_batch

from ._by_group import Grouping, groupings
from ._metric import Metric

Array: TypeAlias = NDArray[Any]


class LabelledBatch(NamedTuple):
    """Some observations.

    Attributes:
        inputs: what the model takes: an array, or a list or dictionary of arrays.
        targets: what Keras' losses and metrics compare with.
        weights: one number an observation, or None.
        labels: the targets as class indices or responses; None where the sweep knows no measure of its own.
    """

    inputs: Any
    targets: Any
    weights: Any = None
    labels: Array | None = None


class Observations(Protocol):
    """What a sweep measures a model on."""

    @property
    def metric(self) -> Metric | None:
        """What the labels ask for: accuracy or RMSE; None where only Keras knows a measure."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, or nothing."""

    @property
    def is_held(self) -> bool:
        """Whether all of it is in memory, so that batches are cheap and can have any size."""

    @property
    def for_scores(self) -> Any:
        """What a score that needs data is given."""

    @property
    def groups(self) -> tuple[Grouping, ...]:
        """The variables that put each observation into a group."""

    def __len__(self) -> int: ...

    def batches(self, size: int) -> Iterator[LabelledBatch]:
        """The observations in batches of at most `size`, or as they come."""


@dataclass(frozen=True)
class Samples:
    """Observations in memory, of a model with one input and one output.

    Attributes:
        inputs: one array with an observation for each index of its first axis, or a list of sequences of
            different lengths.
        labels: class indices, or responses for regression, along the same first axis.
        metric: what to measure: accuracy for class indices, RMSE for responses.
        class_names: the names of the classes, or nothing.
        targets: the labels as they were given, which is how the loss of a compiled model wants them.
        weights: one number an observation, or None.
        groups: the variables that put each observation into a group, in the order of the batches.
    """

    inputs: Array | Sequence[Array]
    labels: Array | Sequence[Array]
    metric: Metric
    class_names: tuple[str, ...] = ()
    targets: Any = None
    weights: Array | None = None
    groups: tuple[Grouping, ...] = ()

    is_held = True

    def __len__(self) -> int:
        return len(self.inputs)

    def grouped(self, groups: Mapping[str, Any]) -> Samples:
        """The same with variables that put each observation into a group.

        Raises:
            InvalidDataError: as `groupings` says.
        """
        found = groupings(groups, len(self))
        if not isinstance(self.inputs, np.ndarray):  # batches have the short sequences first
            order = np.argsort([len(sequence) for sequence in self.inputs], kind="stable")
            found = tuple(replace(each, codes=each.codes[order]) for each in found)
        return replace(self, groups=found)

    @property
    def for_scores(self) -> Any:
        """Inputs and labels."""
        return self.inputs, self.labels

    def batches(self, size: int) -> Iterator[LabelledBatch]:
        """Cut into batches; a batch of sequences has one length, so nothing is padded."""
        if isinstance(self.inputs, np.ndarray):
            for start in range(0, len(self.inputs), size):
                yield self._batch(slice(start, start + size))
            return
        lengths = np.array([len(sequence) for sequence in self.inputs])
        for length in np.unique(lengths):
            group = np.flatnonzero(lengths == length)
            for start in range(0, len(group), size):
                yield self._batch(group[start : start + size])

    def _batch(self, chosen: slice | Array) -> LabelledBatch:
        labels = _take(self.labels, chosen)
        targets = labels if self.targets is None else _take(self.targets, chosen)
        return LabelledBatch(
            _take(self.inputs, chosen), targets, None if self.weights is None else self.weights[chosen], labels
        )


@dataclass(frozen=True)
class Structured:
    """Observations in memory, of a model with several inputs or outputs: Keras alone knows how to measure it."""

    inputs: Any
    targets: Any
    weights: Any = None
    class_names: tuple[str, ...] = ()

    is_held = True
    metric = None
    groups = ()

    def __len__(self) -> int:
        return len(keras.tree.flatten(self.inputs)[0])

    @property
    def for_scores(self) -> Any:
        """Inputs and targets."""
        return self.inputs, self.targets

    def batches(self, size: int) -> Iterator[LabelledBatch]:
        """Cut into batches."""
        for start in range(0, len(self), size):
            parts = (self.inputs, self.targets, self.weights)
            yield LabelledBatch(*(slice_batch(part, slice(start, start + size)) for part in parts))


@dataclass(frozen=True)
class Stream:
    """Batches that are read anew each time.

    Attributes:
        source: makes the batches, `(inputs, targets)` or with weights.
        check: a batch with its labels.
        count: the number of observations.
        metric: what to measure.
        for_scores: what the data was given as.
    """

    source: Callable[[], Iterable[Any]]
    check: Callable[[Any], tuple[LabelledBatch, Metric | None]]
    count: int
    metric: Metric | None
    for_scores: Any
    class_names: tuple[str, ...] = ()

    is_held = False
    groups = ()

    def __len__(self) -> int:
        return self.count

    def batches(self, size: int) -> Iterator[LabelledBatch]:  # noqa: ARG002  # they come as they come
        """The batches, in the order of the source."""
        for given in self.source():
            yield self.check(given)[0]


def _take(array: Array | Sequence[Array], chosen: slice | Array) -> Array:
    if isinstance(array, np.ndarray):
        return np.asarray(array[chosen])
    return np.stack([array[index] for index in chosen])  # type: ignore[union-attr] # sequences are chosen one by one
