"""The size of a LiteRT file."""

from __future__ import annotations

from keras_prunelab._evaluate._metric import Metric

from ._registry import FileMetric, register

register(FileMetric(Metric("litert_bytes", higher_is_better=False), lambda file: float(len(file.content))))
