"""The metrics of a network's outputs on labelled data: of an exported file, and of the model that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError
from keras_prunelab._export._runtimes import ExportedFile

from ._evaluate import MetricLike, check_differ, classes_of, find_metric
from ._labels import labels_of_batch, mixed_labels
from ._metric import ACCURACY, OWN_METRICS, Metric
from ._paired import AnswerLog

Array = NDArray[Any]


class OutputMetrics:
    """Collects the metrics of one network's outputs, batch by batch.

    Args:
        described: the model, or the file as a model: its inputs, its last layer and its name.
        file: the file, whose outputs tell how many there are and what they are called.
        metrics: as `evaluate_file` takes them.
    """

    def __init__(self, described: Any, file: ExportedFile, metrics: Sequence[MetricLike] | None) -> None:
        self._described, self._names = described, [tensor.name for tensor in file.outputs]
        self._logs: list[AnswerLog] = []
        self._wanted = metrics
        others = dict.fromkeys(one for one in metrics or () if not (isinstance(one, str) and one in OWN_METRICS))
        self._others = [[_fresh(one, described) for one in others] for _ in file.outputs]
        check_differ([other.name for other in self._others[0]])

    @property
    def is_accuracy(self) -> bool:
        """Whether the outputs are classes."""
        return all(log.metric == ACCURACY for log in self._logs)

    def add(self, outputs: Sequence[Array], labels: Any) -> None:
        """Note a batch."""
        given = keras.tree.flatten(labels)
        if len(given) != len(outputs):
            raise InvalidDataError(
                f"{self._described.name} has {len(outputs)} outputs, but the data has {len(given)} arrays of labels."
            )
        before: list[Metric | None] = [log.metric for log in self._logs]
        checked = [
            labels_of_batch(self._described, label, (None, *output.shape[1:]), metric)
            for label, output, metric in zip(given, outputs, before or [None] * len(given), strict=True)
        ]
        if not self._logs:
            self._logs = [AnswerLog(metric) for _, metric in checked]
        for log, (label, metric), output in zip(self._logs, checked, outputs, strict=True):
            if metric != log.metric:
                raise mixed_labels()
            log.add(classes_of(output) if metric == ACCURACY else output, label)
        for others, label, output in zip(self._others, given, outputs, strict=True):
            for other in others:
                _update(other, label, output)

    def results(self) -> dict[str, float]:
        """The metrics by name; of several outputs each has its own, `accuracy_NAME`."""
        found: dict[str, float] = {}
        endings = [""] if len(self._names) == 1 else [f"_{name}" for name in self._names]
        for ending, log in zip(endings, self._logs, strict=True):
            answers = log.result()
            if answers is not None and self._is_wanted(log.metric):
                found[log.metric.name + ending] = answers.value
        for ending, others in zip(endings, self._others, strict=True):
            found |= {other.name + ending: _number(other) for other in others}
        return found

    def _is_wanted(self, metric: Metric) -> bool:
        if self._wanted is None or metric.name in self._wanted:
            return True
        other = next((one for one in self._wanted if isinstance(one, str) and one in OWN_METRICS), None)
        if other is not None:
            raise InvalidDataError(f"These labels ask for {metric.name}, not for {other}.")
        return False


def _fresh(one: MetricLike, described: Any) -> keras.metrics.Metric:
    """A metric that counts for one output of one network alone."""
    if isinstance(one, keras.metrics.Metric):
        return type(one).from_config(one.get_config())
    return find_metric(one, described, ())


def _update(metric: keras.metrics.Metric, labels: Any, outputs: Array) -> None:
    """Count a batch.

    Raises:
        InvalidDataError: the metric cannot compare these labels with these outputs.
    """
    try:
        metric.update_state(labels, outputs)
    except Exception as error:  # of the backend, of Keras, of a function of the user's
        raise InvalidDataError(
            f"The metric {metric.name!r} cannot compare labels of shape {np.shape(labels)} with outputs of shape "
            f"{outputs.shape}; give labels in the form that it takes. It said: {' '.join(str(error).split())[:200]}"
        ) from error


def _number(metric: keras.metrics.Metric) -> float:
    value = np.asarray(keras.ops.convert_to_numpy(metric.result()))
    if value.size != 1:
        raise InvalidDataError(
            f"The metric {metric.name!r} gives {value.size} numbers, and a measure is one: give it an average, where "
            "it takes one."
        )
    return float(value.reshape(()))
