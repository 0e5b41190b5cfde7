"""Data that comes in batches: held in memory where it fits, read anew for every point where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import InvalidDataError
from keras_prunelab._model._shapes import at_a_time, odd_count
from keras_prunelab._model._source import source
from keras_prunelab._util._arrays import as_array

from ._arrays import check_inputs, is_structured, observations_of_arrays, output_shape, require_labels
from ._data import LabelledBatch, Observations, Samples, Stream
from ._labels import labels_of_batch, mixed_labels
from ._metric import Metric

HELD_BYTES = 2 * 2**30
"""What comes in batches is held in memory up to this size, and read once only."""


def observations(model: keras.Model, data: Any, groups: Mapping[str, Any] | None = None) -> Observations:
    """Check whatever data a sweep takes against a model.

    Args:
        model: a built model.
        data: `(inputs, labels)` and the like, see `samples`; or batches of these, as `source` of
            `keras_prunelab._model._source` reads them.
        groups: variables that put each observation into a group, by name; None for none.

    Returns:
        The observations.

    Raises:
        InvalidDataError: shapes or kinds do not fit, the data has no end, or it can be read only once; or there are
            groups of data that is not held in memory, or of a model with several inputs or outputs.
    """
    read = source(data)
    found = observations_of_arrays(model, data) if read is None else _collect(model, data, read.read)
    fixed = at_a_time(model)
    if fixed is not None and len(found) % fixed:
        raise odd_count(model, len(found), fixed)
    if not groups:
        return found
    if not isinstance(found, Samples):
        raise InvalidDataError(
            "groups needs data that fits into memory, and a model with one input and one output, whose answers are "
            "compared one by one: leave groups out, or give fewer observations."
        )
    return found.grouped(groups)


def _collect(model: keras.Model, data: Any, read: Callable[[], Iterable[Any]]) -> Observations:
    outputs = None
    metrics: list[Metric | None] = []

    def check(given: Any) -> tuple[LabelledBatch, Metric | None]:
        nonlocal outputs
        batch = _batch(given)
        if is_structured(model, batch.inputs) or not isinstance(batch.inputs, np.ndarray):
            return batch, None
        check_inputs(model, batch.inputs)
        outputs = outputs or output_shape(model, batch.inputs)
        labels, metric = labels_of_batch(model, batch.targets, outputs, metrics[0] if metrics else None)
        return batch._replace(labels=labels), metric

    held: list[LabelledBatch] = []
    count = size = 0
    for given in read():
        batch, metric = check(given)
        if metric not in metrics:
            metrics.append(metric)
        count += len(keras.tree.flatten(batch.inputs)[0])
        size += sum(array.nbytes for array in keras.tree.flatten(batch[:3]) if array is not None)
        if size <= HELD_BYTES:
            held.append(batch)
        else:
            held.clear()
    if not count:
        raise InvalidDataError("The data has no observations.")
    arrays = _join(held) if size <= HELD_BYTES else None
    if arrays is not None:
        return observations_of_arrays(model, arrays)
    if len(metrics) > 1:
        raise mixed_labels()
    return Stream(read, check, count, metrics[0], data)


def _batch(given: Any) -> LabelledBatch:
    if not isinstance(given, tuple | list) or not 2 <= len(given) <= 3:
        raise InvalidDataError(f"A batch is (inputs, labels), perhaps with weights, but got {type(given).__name__}.")
    parts = [None if part is None else keras.tree.map_structure(as_array, part) for part in given]
    require_labels(parts[1])
    return LabelledBatch(*parts)


def _join(held: list[LabelledBatch]) -> Any:
    """All batches as one, or None where their observations have different shapes."""
    parts = []
    for several in zip(*(batch[:3] for batch in held), strict=True):
        if several[0] is None:
            continue
        columns = list(zip(*map(keras.tree.flatten, several), strict=True))
        if any(len({array.shape[1:] for array in column}) > 1 for column in columns):
            return None
        parts.append(keras.tree.pack_sequence_as(several[0], [np.concatenate(column) for column in columns]))
    return tuple(parts)
