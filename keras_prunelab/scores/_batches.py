"""Calibration data in batches, whatever form it comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_prunelab._arrays import as_array
from keras_prunelab._errors import InvalidDataError


@dataclass(frozen=True)
class Batch:
    """Some observations.

    Attributes:
        inputs: what the model takes: an array, or a list or dictionary of arrays.
        labels: what its loss compares with, or None.
        weights: one number an observation, or None.
    """

    inputs: Any
    labels: Any = None
    weights: Any = None

    def __len__(self) -> int:
        return len(keras.tree.flatten(self.inputs)[0])

    def cut(self, size: int) -> Iterator[Batch]:
        """The same observations in batches of at most this size."""
        parts = (self.inputs, self.labels, self.weights)
        for start in range(0, len(self), size):
            chosen = slice(start, start + size)
            yield Batch(*(keras.tree.map_structure(_Cut(chosen), part) if part is not None else None for part in parts))


@dataclass(frozen=True)
class _Cut:
    chosen: slice

    def __call__(self, array: Any) -> Any:
        return array[self.chosen]


def batches(data: Any, size: int, *, labels: bool, inputs: int | None = None) -> Iterator[Batch]:
    """Cut calibration data into batches.

    Args:
        data: inputs; `(inputs, labels)`; `(inputs, labels, sample weights)`; or batches of these: a
            `tf.data.Dataset`, a Keras `PyDataset`, a list, or a function that returns an iterable.
        size: how many observations a batch has at most. Larger ones that come in are cut.
        labels: whether labels are needed.
        inputs: how many inputs the model takes, as `inputs_of` tells. A list of arrays is batches where that is one,
            and else one batch of several inputs.

    Returns:
        The batches, as NumPy arrays.

    Raises:
        InvalidDataError: labels are missing, the lengths differ, or there is nothing; or `size` is not a positive
            number.
    """
    if size < 1:
        raise InvalidDataError(f"batch_size={size!r}; a batch has at least one observation.")
    seen = 0
    for one in _given(data, inputs):
        batch = _batch(one)
        if labels and batch.labels is None:
            raise InvalidDataError(
                f"The score needs labels, but the data is {_described(data)}; give data=(inputs, labels)."
            )
        if batch.inputs is None:
            raise InvalidDataError("There are no inputs: give data=inputs, or data=(inputs, labels).")
        lengths = {len(array) for array in keras.tree.flatten((batch.inputs, *_some(batch.labels, batch.weights)))}
        if len(lengths) != 1:
            raise InvalidDataError(f"Inputs, labels and weights have different lengths: {sorted(lengths)}.")
        seen += len(batch)
        yield from batch.cut(size)
    if not seen:
        raise InvalidDataError(
            "The data for the score is empty. A generator can be read only once: give a function that returns a new "
            "one, such as data=lambda: batches()."
        )


def inputs_of(model: Any) -> int | None:
    """How many inputs a model takes; None for a subclass, of which nobody knows."""
    return len(getattr(model, "inputs", None) or ()) or None


def _given(data: Any, inputs: int | None) -> Iterable[Any]:
    if isinstance(data, keras.utils.PyDataset):
        return (data[index] for index in range(len(data)))
    if callable(data) and not hasattr(data, "shape"):
        made: Callable[[], Iterable[Any]] = data
        return made()
    several = inputs == 1 and isinstance(data, list) and len(data) > 1  # a list of one is what a model may be given
    is_batches = several or (isinstance(data, list) and bool(data) and isinstance(data[0], tuple))
    if is_batches or (hasattr(data, "__iter__") and not isinstance(data, (tuple, list, dict)) and not _is_array(data)):
        return data  # type: ignore[no-any-return]
    return [data]


def _batch(one: Any) -> Batch:
    parts = one if isinstance(one, tuple) else (one,)
    if not 1 <= len(parts) <= 3:
        raise InvalidDataError(f"A batch is inputs, (inputs, labels) or with weights, not a tuple of {len(parts)}.")
    return Batch(*(None if part is None else keras.tree.map_structure(_array, part) for part in parts))


def _array(value: Any) -> Any:
    array = as_array(value)
    if array.ndim == 0 or array.dtype.kind == "O":
        raise InvalidDataError(f"Calibration data is arrays with one observation after the other, not {array!r:.80}.")
    return array


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _some(*parts: Any) -> list[Any]:
    return [part for part in parts if part is not None]


def _described(data: Any) -> str:
    return f"an array of shape {tuple(data.shape)}" if _is_array(data) else f"of type {type(data).__name__}"
