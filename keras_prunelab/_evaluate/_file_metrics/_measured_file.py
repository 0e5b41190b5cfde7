"""A network as the LiteRT file that it becomes, made once and looked at by several measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._evaluate._data import Observations
from keras_prunelab._evaluate._evaluate import classes_of
from keras_prunelab._evaluate._evaluate_file import in_order_of_file
from keras_prunelab._evaluate._metric import ACCURACY
from keras_prunelab._evaluate._paired import AnswerLog, Answers
from keras_prunelab._export._calibration import first_observations
from keras_prunelab._export._inputs import arrays_by_input
from keras_prunelab._export._litert import export_litert
from keras_prunelab._export._litert_conversion import Quantize
from keras_prunelab._export._runtimes import open_file, run_batch
from keras_prunelab._export._tflm._write import MicroModel, micro_model

_BATCH = 256


class MeasuredFile:
    """A network that was exported, and what comes of the file; each is found once it is asked for."""

    def __init__(
        self, model: keras.Model, data: Observations, numbers: Quantize, calibration: Any, folder: Path
    ) -> None:
        """Export a network.

        Args:
            model: the network.
            data: what the file is to answer.
            numbers: what it holds.
            calibration: what ranges are measured on.
            folder: an empty folder, which is there as long as this is used.

        Raises:
            InvalidModelError: it cannot be converted, or not to these numbers.
        """
        self._model, self._data, self._calibration = model, data, calibration
        self._path = folder / "model.tflite"
        given = calibration if numbers == "int8" else None
        written = export_litert(model, self._path, numbers, calibration=given)
        if written.quantize != numbers:
            raise InvalidModelError(f"Model {model.name!r} is measured in {numbers}. {written.reason}")
        self._folder = folder
        self.content: bytes = self._path.read_bytes()

    @cached_property
    def answers(self) -> Answers | None:
        """What it answers to the data; None where nobody knows what is right."""
        if self._data.metric is None:
            return None
        file, log = open_file(self._path, "default"), AnswerLog(self._data.metric)
        for batch in self._data.batches(_BATCH):
            arrays = arrays_by_input(self._model, batch.inputs)
            (outputs,) = run_batch(file, in_order_of_file(file, self._model, arrays))
            if batch.labels is None:
                raise InvalidDataError("The data has no labels to compare with.")
            log.add(classes_of(outputs) if log.metric == ACCURACY else outputs, batch.labels)
        return log.result()

    @cached_property
    def for_micro(self) -> MicroModel:
        """The same for TensorFlow Lite Micro, its constants encoded where that is smaller.

        Raises:
            InvalidModelError: it lacks an operator.
            NotEquivalentError: the encoded file answers otherwise.
        """
        inputs = first_observations(self._model, self._calibration, self._folder / "none")
        return micro_model(self.content, self._model.name, inputs, encode=True)


def spread(batches: Iterator[Any], most: int) -> Callable[[], Iterator[tuple[Any]]]:
    """Some observations spread evenly over all, `most` to twice as many; all where there are fewer.

    Args:
        batches: all observations, read once.
        most: a number.

    Returns:
        A function that gives batches of them, as `calibration=` takes it.
    """
    kept: list[Any] = []
    step, place = 1, 0
    for batch in batches:
        for index in range(len(batch)):
            if place % step == 0:
                kept.append(keras.tree.map_structure(lambda array: array[index : index + 1], batch.inputs))  # noqa: B023
                if len(kept) == 2 * most:
                    kept, step = kept[::2], 2 * step
            place += 1
    shapes = {tuple(array.shape for array in keras.tree.flatten(each)) for each in kept}
    if len(shapes) == 1:
        kept = [keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *kept)]
    return lambda: ((each,) for each in kept)
