"""The observations on which the ranges of a quantized file are measured, written batch by batch for the converter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import litert_input_name
from keras_prunelab._errors import InvalidDataError
from keras_prunelab._model._data import batches, require_finite
from keras_prunelab._model._random_inputs import random_inputs
from keras_prunelab._model._source import check_ends

from ._inputs import Array, arrays_by_input, name_of, one_observation

_BATCH = 256
_FIRST = 8


def write_calibration(model: keras.Model, calibration: Any, folder: Path) -> int:
    """Write inputs as files that the converter reads one after the other; never all are in memory.

    Args:
        model: the model.
        calibration: inputs, `(inputs, labels)`, or batches of either.
        folder: where to; it is empty.

    Returns:
        How many observations there are.

    Raises:
        InvalidDataError: there are none, they do not fit the model, one is NaN or infinite, an input has the same
            number everywhere, or the outputs are not finite.
    """
    if calibration is None:
        raise InvalidDataError(
            "quantize='int8' needs calibration=: some hundred inputs such as those in use, on which the ranges of all "
            "values are measured. quantize='int8-weights' and 'float16' need none."
        )
    check_ends(calibration)
    names = [litert_input_name(tensor) for tensor in model.inputs]
    ranges = [(np.inf, -np.inf)] * len(names)
    count = 0
    for number, batch in enumerate(batches(calibration, _BATCH, labels=False, model=model)):
        arrays = arrays_by_input(model, batch.inputs)
        for array in arrays:
            require_finite("calibration inputs", array)
        ranges = [
            (min(low, float(array.min())), max(high, float(array.max())))
            for (low, high), array in zip(ranges, arrays, strict=True)
        ]
        typed = [array.astype(tensor.dtype) for array, tensor in zip(arrays, model.inputs, strict=True)]
        if number == 0:
            _require_finite_outputs(model, typed)
        named: dict[str, Any] = dict(zip(names, typed, strict=True))
        np.savez(folder / f"{number:08}.npz", **named)
        count += len(batch)
    for tensor, (low, high) in zip(model.inputs, ranges, strict=True):
        if low == high:
            raise InvalidDataError(
                f"All calibration numbers of input {name_of(tensor)!r} are {low:g}, so they have no range to divide "
                "into 256 steps. Give inputs such as those in use."
            )
    return count


def _require_finite_outputs(model: keras.Model, arrays: Sequence[Array]) -> None:
    for output in keras.tree.flatten(model(one_observation(model, arrays), training=False)):
        if not np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))).all():
            raise InvalidDataError(
                f"Model {model.name!r} gives outputs that are NaN or infinite for the first calibration inputs, so "
                "they have no range to divide into 256 steps. Give inputs such as those in use, or train the model."
            )


def first_observations(model: keras.Model, calibration: Any, written: Path) -> Mapping[str, Array]:
    """The first observations, by the names that a LiteRT file gives its inputs.

    Args:
        model: the model.
        calibration: as `write_calibration` takes it; None for random numbers.
        written: the folder that `write_calibration` wrote, where it did: batches can be read once.
    """
    files = sorted(written.glob("*.npz"))
    if files:
        with np.load(files[0], allow_pickle=False) as arrays:
            return {name: array[:_FIRST] for name, array in arrays.items()}
    inputs = random_inputs(model)
    if calibration is not None:
        check_ends(calibration)
        inputs = next(batches(calibration, _FIRST, labels=False, model=model)).inputs
    names = [litert_input_name(tensor) for tensor in model.inputs]
    return {name: array[:_FIRST] for name, array in zip(names, arrays_by_input(model, inputs), strict=True)}
