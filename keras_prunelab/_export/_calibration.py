"""The observations on which the ranges of a quantized file are measured, written batch by batch for the converter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import litert_input_name
from keras_prunelab._errors import InvalidDataError
from keras_prunelab._model._data import batches, check_ends, require_finite

from ._inputs import arrays_by_input, name_of

_BATCH = 256


def write_calibration(model: keras.Model, calibration: Any, folder: Path) -> int:
    """Write inputs as files that the converter reads one after the other; never all are in memory.

    Args:
        model: the model.
        calibration: inputs, `(inputs, labels)`, or batches of either.
        folder: where to; it is empty.

    Returns:
        How many observations there are.

    Raises:
        InvalidDataError: there are none, they do not fit the model, one is NaN or infinite, or an input has the same
            number everywhere.
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
        typed = (array.astype(tensor.dtype) for array, tensor in zip(arrays, model.inputs, strict=True))
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
