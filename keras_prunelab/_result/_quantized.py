"""What a sweep knows of the networks as files of whole numbers: their curve, and the choice by it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from keras_prunelab._errors import NoTradeOffError
from keras_prunelab._evaluate._file_metrics._meter import FILE_METRICS
from keras_prunelab._evaluate._metric import Metric

if TYPE_CHECKING:
    from ._choice import Choice
    from ._measurements import Measurements
    from ._result import SweepResult

SIZES = ("litert_bytes", "flash_bytes")
"""Columns with the sizes of files."""


@dataclass(frozen=True)
class Quantized:
    """The measures of files in a result.

    Attributes:
        metric: what was measured of the files, such as `int8_accuracy`.
        numbers: what they hold: `"int8"`, `"int8-weights"` or `"float16"`.
        dense: the measure of the file of the network before pruning.
        points: the points that have one, as in `SweepResult.curves`.
    """

    metric: Metric
    numbers: str
    dense: float
    points: pd.DataFrame

    @classmethod
    def of(cls, result: Measurements) -> Quantized | None:
        """The measures that are of the kind of the result's own metric; None where there are none."""
        names = [name for name in result.table if name in FILE_METRICS and FILE_METRICS[str(name)].answers]
        name = next((str(each) for each in names if str(each).endswith(f"_{result.metric.name}")), None)
        if name is None:
            return None
        found, curves = FILE_METRICS[name], result.curves
        dense = float(result.metadata.get(f"dense_{name}", math.nan))
        return cls(found.metric, str(found.numbers), dense, curves[curves[name].notna()])

    @property
    def label(self) -> str:
        """The files in words."""
        return {"int8-weights": "int8 weights"}.get(self.numbers, self.numbers)


def quantized_choice(result: SweepResult, condition: Mapping[str, Any]) -> Choice:
    """The choice by what the files answer, against the file of the network before pruning.

    Args:
        result: a sweep in which one curve has such measures.
        condition: as `SweepResult.choose` takes it.

    Raises:
        NoTradeOffError: no file meets the condition, or no file was measured.
    """
    found = Quantized.of(result)
    if found is None or found.points.empty:
        raise NoTradeOffError(
            "No file was measured, so none can be chosen: give metrics=['accuracy', 'int8_accuracy']."
        )
    rows = result.table[result.table[found.metric.name].notna()]
    measured = replace(result, table=rows.reset_index(drop=True), metric=found.metric, dense=found.dense)
    choice = measured.choose(**condition)
    return replace(choice, index=int(rows.index[choice.index]), curve=str(found.points["curve"].iloc[0]))
