"""Data in any form that users give, as batches: one reader for scores, sweeps, callbacks and `recalibrate`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError
from keras_prunelab._util._arrays import all_finite, as_array

from ._numbers import whole_number
from ._shapes import Shape as Shape  # others import it from here
from ._shapes import at_a_time, check_shapes, fits, input_shapes, is_for, is_text_for, odd_count
from ._source import check_ends, is_array, source


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
            yield Batch(*(slice_batch(part, chosen) for part in parts))

    def require_finite(self) -> None:
        """Make sure that no number is NaN or infinite.

        Raises:
            InvalidDataError: one is.
        """
        for what, part in (("inputs", self.inputs), ("labels", self.labels), ("weights", self.weights)):
            for array in keras.tree.flatten(part) if part is not None else ():
                require_finite(what, as_array(array))


def batches(data: Any, size: int, *, labels: bool, model: Any = None) -> Iterator[Batch]:
    """Cut data into batches.

    Args:
        data: inputs; `(inputs, labels)`; `(inputs, labels, sample weights)`; an object with `inputs` and `labels`; or
            batches of these: what `source` reads, or a list of arrays where the model has one input. Its inputs may
            also be a list of single observations, as sequences of different lengths are.
        size: how many observations a batch has at most. Larger ones that come in are cut.
        labels: whether labels are needed.
        model: the model that takes the inputs, which are compared with its input shapes; None compares nothing.

    Returns:
        The batches, as NumPy arrays.

    Raises:
        InvalidDataError: labels are missing, the lengths differ, the inputs do not fit the model, or there is nothing;
            the data has no end; or `size` is not a positive number.
    """
    size = check_batch_size(size)
    fixed = at_a_time(model)
    if data is None:
        raise InvalidDataError(f"There is no data; give data={'(inputs, labels)' if labels else 'inputs'}.")
    found = source(data)
    seen = 0
    given = _given(data, model, labels) if found is None else (_parts(each, model, labels) for each in found.read())
    for one in itertools.chain.from_iterable(_of_one_shape(each, model) for each in given):
        batch = _batch(one, model)
        if labels and batch.labels is None:
            raise InvalidDataError(f"This needs labels, but the data is {_kind(data)}; give data=(inputs, labels).")
        seen += len(batch)
        if fixed is not None and len(batch) % fixed:
            raise odd_count(model, len(batch), fixed)
        yield from batch.cut(fixed or size)
    if not seen:
        hint = (
            ""
            if found is None or found.tells_length
            else (
                " A generator can be read only once: give a function that returns a new one, such as "
                "data=lambda: batches()."
            )
        )
        raise InvalidDataError(f"The data is empty.{hint}")


def inputs_of(model: Any, data: Any, size: int = 128) -> Iterator[Any]:
    """The inputs of some data, as a model takes them: all at once where they are given so, else in batches.

    Args:
        model: a built functional or sequential model.
        data: what `batches` takes.
        size: how many observations a batch has at most.

    Raises:
        InvalidDataError: as `batches` says.
    """
    whole = source(data) is None and is_for(model, data) and at_a_time(model) is None and len(Batch(data))
    check_ends(data)
    for batch in [Batch(data)] if whole else batches(data, size, labels=False, model=model):
        batch.require_finite()
        yield batch.inputs


