"""The measures of an exported file, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_prunelab._evaluate._metric import Metric
from keras_prunelab._export._litert_conversion import Quantize

if TYPE_CHECKING:
    import keras

    from keras_prunelab._evaluate._data import Observations

    from ._measured_file import MeasuredFile

NUMBERS: tuple[Quantize, ...] = ("int8", "int8-weights", "float16")


def _needs_nothing(model: keras.Model, data: Observations) -> None:
    """Refuse nothing."""


@dataclass(frozen=True)
class FileMetric:
    """A measure of the LiteRT file that a network becomes.

    Attributes:
        metric: its name, which is that of its column, and whether more is better.
        value: reads it off a file.
        numbers: what the file holds; None for what other measures ask for, int8 where none does.
        answers: whether it looks at what the file answers.
        check: refuses models and data of which it cannot be told, before any work; it raises what `sweep` does.
    """

    metric: Metric
    value: Callable[[MeasuredFile], float] = field(repr=False)
    numbers: Quantize | None = None
    answers: bool = False
    check: Callable[[keras.Model, Observations], None] = field(default=_needs_nothing, repr=False)


_METRICS: dict[str, FileMetric] = {}
FILE_METRICS: Mapping[str, FileMetric] = MappingProxyType(_METRICS)
"""All of them, by name."""


def register(metric: FileMetric) -> None:
    """Make a measure known; a later one of the same name takes its place."""
    _METRICS[metric.metric.name] = metric
