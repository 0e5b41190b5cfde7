"""A network measured in every way that a sweep asks for: as it is, and as the file that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ._data import Observations
from ._evaluate import Evaluator, Measured, MetricLike
from ._file_metrics._meter import FileMeter, is_of_file
from ._metric import Metric
from ._paired import Answers


class Meter:
    """Measures a model, and its file, again and again.

    Args:
        model: a built model; its weights may change between measurements.
        data: the observations.
        metrics: what to measure, as `sweep` takes it.
        calibration: what the ranges of files are measured on.
        passes: how many measurements are to come.
        batch_size: how many observations to compute at once; None for as many as is quickest.

    Attributes:
        metric: the measure that counts: the first of `metrics`, or accuracy or RMSE.
        batch_size: how many observations are computed at once; 0 where files alone are measured.
        left_out: why the loss and metrics of a compiled model are not measured; empty where they are.
        file_left_out: why measures of the last file are NaN; empty where none is.
        answers: those of the last measurement, by the measure that counts, where that is accuracy or RMSE.

    Raises:
        UnknownNameError: there is no such metric.
        InvalidDataError: metrics that were asked for cannot be computed on this data.
    """

    def __init__(
        self,
        model: keras.Model,
        data: Observations,
        metrics: Sequence[MetricLike] | None,
        calibration: Any,
        *,
        passes: int,
        batch_size: int | None,
    ) -> None:
        self._model, self._data = model, data
        self._files = FileMeter.of(metrics, model, data)
        self._ranges = None if self._files is None else self._files.calibrate(model, calibration)
        others = None if metrics is None else [one for one in metrics if not is_of_file(one)]
        self._evaluate: Evaluator | None = None
        if self._files is None or others:
            self._evaluate = Evaluator(model, data, others, passes=passes, batch_size=batch_size)
        self._file_counts = is_of_file((metrics or [None])[0])
        self.batch_size = 0 if self._evaluate is None else self._evaluate.batch_size
        self.left_out = "" if self._evaluate is None else self._evaluate.left_out
        self.file_left_out = ""
        self.metric = self._primary()
        self.answers: Answers | None = None

    def __call__(self, *, strict: bool = False) -> Measured:
        """The measures of the model as it is now, by name, the one that counts first.

        Args:
            strict: whether a file that cannot be measured is an error; if not, its measures are NaN.
        """
        measures = {} if self._evaluate is None else self._evaluate()
        self.answers = None if self._evaluate is None else self._evaluate.answers
        if self._files is None:
            return measures
        file = self._files.measure(self._model, self._data, self._ranges, strict=strict)
        self.file_left_out = file.left_out
        if not self._file_counts:
            return measures | file.values
        self.answers = file.answers
        return file.values | measures

    def _primary(self) -> Metric:
        if self._evaluate is not None and not self._file_counts:
            return self._evaluate.metric
        if self._files is None:
            raise AssertionError("nothing is measured")
        return self._files.primary

    def close(self) -> None:
        """Let the metrics of the model forget what they have seen."""
        if self._evaluate is not None:
            self._evaluate.close()
