"""The size of the file for TensorFlow Lite Micro, which a microcontroller has in its flash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_prunelab._evaluate._metric import Metric
from keras_prunelab._export._litert_checks import check_micro

from ._registry import FileMetric, register

if TYPE_CHECKING:
    import keras

    from keras_prunelab._evaluate._data import Observations


def _check(model: keras.Model, data: Observations) -> None:  # noqa: ARG001  # nothing depends on the data
    check_micro(model, "int8")


register(
    FileMetric(
        Metric("flash_bytes", higher_is_better=False),
        lambda file: float(len(file.for_micro.content)),
        numbers="int8",
        check=_check,
    )
)
