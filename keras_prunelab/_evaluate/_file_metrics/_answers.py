"""How well a file answers: `int8_accuracy`, `int8_rmse`, and the same of float16 and of int8 weights."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._evaluate._metric import ACCURACY, RMSE, Metric

from ._registry import NUMBERS, FileMetric, register

if TYPE_CHECKING:
    import keras

    from keras_prunelab._evaluate._data import Observations

    from ._measured_file import MeasuredFile


def name_of_answers(numbers: str, metric: Metric) -> str:
    """What accuracy or RMSE of a file is called: `"int8_accuracy"`."""
    return f"{numbers.replace('-', '_')}_{metric.name}"


def _value(file: MeasuredFile) -> float:
    return math.nan if file.answers is None else file.answers.value


def _check(name: str, metric: Metric, model: keras.Model, data: Observations) -> None:
    if data.metric == metric:
        return
    if data.metric is None:
        raise UnknownNameError(
            f"metrics={name!r} is measured of networks with one output, on class labels or responses; model "
            f"{model.name!r} has another form. 'litert_bytes' and 'flash_bytes' need no answers."
        )
    right = name.removesuffix(metric.name) + data.metric.name
    raise UnknownNameError(f"These labels ask for {data.metric.name}: metrics={right!r}, not {name!r}.")


for _numbers in NUMBERS:
    for _metric in (ACCURACY, RMSE):
        _name = name_of_answers(_numbers, _metric)
        register(
            FileMetric(
                Metric(_name, _metric.higher_is_better),
                _value,
                numbers=_numbers,
                answers=True,
                check=partial(_check, _name, _metric),
            )
        )
