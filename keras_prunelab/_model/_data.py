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
from ._shapes import Shape, at_a_time, check_shapes, fits, input_shapes, is_for, is_text_for, odd_count
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


def calibration_of(calibration: Any, **alias: Any) -> Any:
    """The data that something is computed on, given as `calibration=` or under another name.

    Args:
        calibration: as it was given, or None.
        **alias: the other name, and what was given under it.

    Raises:
        InvalidDataError: both were given.
    """
    ((name, other),) = alias.items()
    if calibration is not None and other is not None:
        raise InvalidDataError(f"calibration= and {name}= mean the same, and both were given. Give calibration= alone.")
    return other if calibration is None else calibration


def check_batch_size(size: Any) -> int:
    """Make sure that a number is the size of a batch.

    Raises:
        InvalidDataError: it is no whole number from 1.
    """
    found = whole_number(size)
    if found is None or found < 1:
        raise InvalidDataError(f"batch_size={size!r}; a batch has at least one observation.")
    return found


def require_finite(what: str, array: NDArray[Any]) -> None:
    """Make sure that no number of an array is NaN or infinite.

    Args:
        what: what the array is, for the error.
        array: the array.

    Raises:
        InvalidDataError: one is.
    """
    if array.dtype.kind == "f" and not all_finite(array):
        raise InvalidDataError(
            f"The {what} hold NaN or infinite numbers: leave those observations out, or replace the numbers, for "
            "example with np.nan_to_num(x)."
        )


def slice_batch(part: Any, chosen: slice) -> Any:
    """Some observations of one array or of several; None stays None."""
    return None if part is None else keras.tree.map_structure(lambda array: array[chosen], part)


def _given(data: Any, model: Any, labels: bool) -> list[Any]:
    """Arrays as a list of batches."""
    if hasattr(data, "inputs") and hasattr(data, "labels"):
        return [(data.inputs, data.labels)]
    if not isinstance(data, list) or len(data) < 2:  # a list of one is what a model may be given
        return [data]
    parts = _parts(data, model, labels)
    if isinstance(parts, tuple) or _are_observations(data, input_shapes(model)):
        return [parts]
    return data if len(input_shapes(model)) == 1 else [data]


def _parts(data: Any, model: Any, labels: bool) -> Any:
    """A list of inputs and labels, as torch's DataLoader makes them, as a tuple; anything else as it is."""
    shapes = input_shapes(model)
    if not isinstance(data, list) or not 2 <= len(data) <= 3 or _are_observations(data, shapes):
        return data
    nested = isinstance(data[0], dict) or (isinstance(data[0], list) and all(map(is_array, data[0])))
    alone = len(shapes) == 1 and (labels or not _is_input(data[1], shapes[0]))
    return tuple(data) if nested or alone else data


def _are_observations(part: Any, shapes: list[Shape]) -> bool:
    """Whether inputs are a list of single observations."""
    if len(shapes) != 1 or not isinstance(part, list) or not part:
        return False
    return all(is_array(each) and fits(np.shape(each), shapes[0][1:]) for each in part)


def _of_one_shape(one: Any, model: Any) -> Iterator[Any]:
    """A batch; or, of single observations, one for each of their shapes, in the order of the first of each."""
    inputs, *others = one if isinstance(one, tuple) and one else (one,)
    if not _are_observations(inputs, input_shapes(model)):
        yield one
        return
    for part in others:
        if part is not None and len(part) != len(inputs):
            raise InvalidDataError(
                f"Inputs, labels and weights have different lengths: {sorted({len(inputs), len(part)})}."
            )
    alike: dict[tuple[int, ...], list[int]] = {}
    for index, each in enumerate(inputs):
        alike.setdefault(tuple(np.shape(each)), []).append(index)
    for places in alike.values():
        parts = [inputs, *others]
        yield tuple(None if part is None else np.stack([as_array(part[place]) for place in places]) for part in parts)


def _is_input(value: Any, wanted: Shape) -> bool:
    return value is not None and fits(np.shape(as_array(value))[1:], wanted[1:])


def _batch(one: Any, model: Any) -> Batch:
    parts = one if isinstance(one, tuple) else (one,)
    if not 1 <= len(parts) <= 3:
        raise InvalidDataError(f"A batch is inputs, (inputs, labels) or with weights, not a tuple of {len(parts)}.")
    if parts[0] is None:
        raise InvalidDataError("There are no inputs: give data=inputs, or data=(inputs, labels).")
    inputs = arrays_of(parts[0])
    check_shapes(model, keras.tree.flatten(inputs))  # before the lengths, which are odd where the shape is wrong
    batch = Batch(inputs, *(None if part is None else arrays_of(part) for part in parts[1:]))
    every = [array for part in (batch.inputs, batch.labels, batch.weights) for array in keras.tree.flatten(part)]
    for array in every:
        if array is not None and (array.ndim == 0 or (array.dtype.kind == "O" and not is_text_for(model, array))):
            raise InvalidDataError(
                f"Calibration data is arrays with one observation after the other, not {array!r:.80}."
            )
    lengths = {len(array) for array in every if array is not None}
    if len(lengths) != 1:
        raise InvalidDataError(f"Inputs, labels and weights have different lengths: {sorted(lengths)}.")
    return batch


def arrays_of(part: Any) -> Any:
    """One array, or several in their structure; lists of numbers are an array, as Keras takes them."""
    first = part
    while isinstance(first, list | tuple) and len(first):
        first = first[0]
    is_numbers = first is not part and not isinstance(first, dict) and np.ndim(first) == 0
    return as_array(part) if is_numbers else keras.tree.map_structure(as_array, part)


def _kind(data: Any) -> str:
    return f"an array of shape {tuple(data.shape)}" if hasattr(data, "shape") else f"of type {type(data).__name__}"
