"""What the columns of a sweep's tables mean, and in which units."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        unit: of its numbers; empty for text and plain numbers. A fraction is from 0 to 1.
        description: one sentence without its full stop.
    """

    unit: str
    description: str


_CHOSEN = {
    "score": Column("", "What decided which weights were pruned first"),
    "convention": Column("", "How sparsity was counted and weights were chosen"),
    "scope": Column("", "Where weights competed: in the whole network (global) or in each layer"),
    "granularity": Column("", "What was pruned as a whole: a weight, a channel, a block of weights"),
    "training": Column("", "How the network was trained after pruning"),
    "seed": Column("", "What random numbers started from"),
    "sparsity_target": Column("fraction", "Sparsity that was asked for"),
}
_MEASURED = {
    "accuracy": Column("fraction", "Share of right answers"),
    "rmse": Column("units of the responses", "Root-mean-square error"),
    "loss": Column("", "Loss that the network was compiled with"),
    "int8_accuracy": Column("fraction", "Share of right answers of the LiteRT file in int8"),
    "int8_rmse": Column("units of the responses", "Root-mean-square error of the LiteRT file in int8"),
    "int8_weights_accuracy": Column("fraction", "Share of right answers of the LiteRT file with int8 weights"),
    "int8_weights_rmse": Column("units of the responses", "Root-mean-square error of the file with int8 weights"),
    "float16_accuracy": Column("fraction", "Share of right answers of the LiteRT file in float16"),
    "float16_rmse": Column("units of the responses", "Root-mean-square error of the LiteRT file in float16"),
    "litert_bytes": Column("bytes", "Size of the LiteRT file"),
    "flash_bytes": Column("bytes", "Size of the file for TensorFlow Lite Micro, zeros compressed, in flash"),
    "lost": Column("observations", "Right before pruning and wrong after it"),
    "gained": Column("observations", "Wrong before pruning and right after it"),
    "loss_error": Column("units of the metric", "Standard error of the metric's difference from the dense network's"),
    "answers": Column("", "Number of different answers; 1 is a constant"),
}
_COUNTED = {
    "sparsity": Column("fraction", "Zeros divided by all weights that the convention counts"),
    "zeros": Column("weights", "Weights that are pruned"),
    "kept": Column("weights", "Weights that are left"),
    "total": Column("weights", "Weights that the convention counts"),
    "parameters": Column("weights", "Weights that the convention counts"),
    "compression_ratio": Column("times", "All weights of the network divided by those that are not pruned"),
    "speedup": Column("times", "Multiply-adds of the dense network divided by those that are left, a bound in theory"),
    "bytes": Column("bytes", "The weights as stored: kept values, and a bit for each weight that says which these are"),
}
_LAYERS = {
    "layer": Column("", "Name of the layer"),
    "type": Column("", "Keras class of the layer"),
    "block": Column("", "Name of the block"),
    "layers": Column("", "Names of the block's layers"),
    "types": Column("", "Keras classes of the block's layers"),
    "filters": Column("filters", "Filters of a convolution, units of a fully connected layer"),
    "filters_removed": Column("filters", "Filters of which every counted weight is zero"),
    "macs": Column("multiply-adds", "Multiply-adds for one observation, before pruning"),
    "macs_kept": Column("multiply-adds", "Multiply-adds for one observation that have a weight left"),
}
_GROUPS = {
    "variable": Column("", "Name of the variable that puts observations into groups"),
    "value": Column("", "Value of the variable"),
    "observations": Column("observations", "How many observations have this value"),
    "dense": Column("units of the metric", "Metric of these observations before pruning"),
    "change": Column("units of the metric", "Difference of the two, negative where pruning lowers the metric"),
}
COLUMNS = _CHOSEN | _MEASURED | _COUNTED | _LAYERS | _GROUPS
"""By the name of the column in the result's tables."""


def about_columns(names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The units and the descriptions of the columns that have some.

    Args:
        names: columns of a table of a sweep; unknown ones, such as a metric of the user's own, have neither.
    """
    known = {name: COLUMNS[name] for name in names if name in COLUMNS}
    units = {name: column.unit for name, column in known.items() if column.unit}
    return units, {name: column.description for name, column in known.items()}
