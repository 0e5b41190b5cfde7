"""What a sweep knows of the networks as quantized files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from keras_prunelab._evaluate._file_metrics import FILE_METRICS
from keras_prunelab._evaluate._metric import Metric

if TYPE_CHECKING:
    from ._measurements import Measurements

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
