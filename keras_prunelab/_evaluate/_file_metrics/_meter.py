"""Measures of the files that a network becomes, level after level."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from keras_prunelab._compaction._lengths import fix_lengths
from keras_prunelab._errors import InvalidModelError, NotEquivalentError, UnknownNameError
from keras_prunelab._evaluate._data import Observations
from keras_prunelab._evaluate._metric import Metric
from keras_prunelab._evaluate._paired import Answers
from keras_prunelab._export._inputs import arrays_by_input
from keras_prunelab._export._litert_checks import check_convertible
from keras_prunelab._export._litert_conversion import Quantize
from keras_prunelab._model._data import batches
from keras_prunelab._model._rebuild import is_graph
from keras_prunelab._util._atomic import temporary_folder
from keras_prunelab.layers._strip import without_wrappers

from ._measured_file import MeasuredFile, spread
from ._registry import FILE_METRICS, NUMBERS, FileMetric

MOST = 200
"""Observations on which ranges are measured: this many to twice as many, spread over all. More change them little."""

_MANY = 1024


@dataclass(frozen=True)
class FileMeasures:
    """What was measured of a file.

    Attributes:
        values: by name; NaN for what could not be.
        answers: what it answers, where the first measure looks at that.
        left_out: why something could not be measured; empty where all was.
    """

    values: dict[str, float]
    answers: Answers | None = None
    left_out: str = ""


@dataclass(frozen=True)
class FileMeter:
    """Measures the files that a network becomes.

    Attributes:
        metrics: what is measured.
        numbers: what the files hold.
        lengths: those of the data along the axes that the model leaves free, which its files are made for, as devices
            take them; nothing where no axis is free, or where observations differ in length.
    """

    metrics: tuple[FileMetric, ...]
    numbers: Quantize
    lengths: tuple[int, ...] = ()

    @classmethod
    def of(cls, metrics: Sequence[Any] | None, model: keras.Model, data: Observations) -> FileMeter | None:
        """Find the measures of files among others, and check that they can be told.

        Args:
            metrics: as `sweep` takes them.
            model: the network.
            data: what it is measured on.

        Returns:
            What measures them; None where there are none.

        Raises:
            UnknownNameError: they are of files with different numbers, or not of these labels.
            MissingBackendError: Keras runs on JAX, or a package is not installed.
            InvalidModelError: no such file can be written of such a model.
        """
        found = tuple(FILE_METRICS[one] for one in metrics or () if is_of_file(one))
        if not found:
            return None
        asked = tuple(dict.fromkeys(one.numbers for one in found if one.numbers is not None)) or NUMBERS[:1]
        if len(asked) > 1:
            names = ", ".join(repr(one.metric.name) for one in found)
            raise UnknownNameError(
                f"metrics= names measures of files in {' and in '.join(asked)}: {names}. Measure one kind of numbers "
                "at a time; 'flash_bytes' is of int8."
            )
        meter = cls(found, asked[0], lengths_in_use(model, data))
        model = meter._deployed(model)
        check_convertible(model, asked[0])
        for one in found:
            one.check(model, data)
        return meter

    @property
    def primary(self) -> Metric:
        """The first measure."""
        return self.metrics[0].metric

    def calibrate(self, model: keras.Model, calibration: Any) -> Any:
        """Some hundred observations of calibration data, where ranges are measured on any."""
        if self.numbers != "int8":
            return None
        return spread(batches(calibration, 256, labels=False, model=model), MOST)

    def measure(self, model: keras.Model, data: Observations, calibration: Any, *, strict: bool) -> FileMeasures:
        """Export a network and measure the file.

        Args:
            model: the network as it is now.
            data: what it is measured on.
            calibration: from `calibrate`.
            strict: whether a measure that cannot be taken is an error; if not, it is NaN, and the result says why.

        Raises:
            InvalidModelError: the network cannot be converted, or the file cannot be run.
            NotEquivalentError: the file for TensorFlow Lite Micro answers otherwise.
            InvalidDataError: ranges cannot be measured on the calibration data.
        """
        found = FileMeasures({one.metric.name: math.nan for one in self.metrics})
        with temporary_folder() as folder:
            try:
                file = MeasuredFile(self._deployed(without_wrappers(model)), data, self.numbers, calibration, folder)
            except InvalidModelError as error:
                if strict:
                    raise
                return replace(found, left_out=str(error))
            for one in self.metrics:
                try:
                    found.values[one.metric.name] = one.value(file)
                except (InvalidModelError, NotEquivalentError) as error:
                    if strict:
                        raise
                    found = replace(found, left_out=str(error))
            return replace(found, answers=file.answers) if self.metrics[0].answers else found

    def _deployed(self, model: keras.Model) -> keras.Model:
        """The network with inputs of the lengths in use."""
        return fix_lengths(model, self.lengths) if self.lengths else model


def lengths_in_use(model: keras.Model, data: Observations) -> tuple[int, ...]:
    """The lengths that observations have along the axes that a model leaves free.

    Args:
        model: a built model.
        data: what it is measured on; of data that is not in memory the first observation is looked at.

    Returns:
        A length for each free axis, in the order of the inputs; nothing where no axis is free, or lengths differ.
    """
    if not is_graph(model) or not any(None in tensor.shape[1:] for tensor in model.inputs):
        return ()
    found = {
        tuple(
            size
            for tensor, array in zip(model.inputs, arrays_by_input(model, batch.inputs), strict=True)
            for length, size in zip(tensor.shape[1:], array.shape[1:], strict=True)
            if length is None
        )
        for batch in (data.batches(_MANY) if data.is_held else itertools.islice(data.batches(1), 1))
    }
    return found.pop() if len(found) == 1 else ()


def is_of_file(metric: Any) -> bool:
    """Whether a metric is one of a file."""
    return isinstance(metric, str) and metric in FILE_METRICS
