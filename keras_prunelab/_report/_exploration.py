"""A sweep as JSON values: what the HTML page lets its reader explore."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from keras_prunelab._evaluate._file_metrics import FILE_METRICS
from keras_prunelab._evaluate._metric import Metric
from keras_prunelab._result._choice import curve_points
from keras_prunelab._result._doubts import no_meaning
from keras_prunelab._text import visible

if TYPE_CHECKING:
    from keras_prunelab._result._choice import Choice
    from keras_prunelab._result._result import SweepResult

_COSTS = {"compression_ratio": ("compression", "times"), "speedup": ("speedup", "times"), "bytes": ("bytes", "bytes")}
"""Columns that are no measure of how good a network is, with their labels and units."""


def exploration(result: SweepResult, choice: Choice | None) -> dict[str, Any] | None:
    """What the page's script reads.

    Args:
        result: a sweep.
        choice: the point that the report chooses; None where it chooses none.

    Returns:
        `measures`, the first of which is what choices go by; `curves`, their names; `points` in columns, in the order
        of `SweepResult.curves`, with the place of each point's curve; `choice`; `chooses`, whether a choice means
        anything; `layers` with the zeros of each layer at each point, or None where the result does not have them.
        None for a sweep without points.
    """
    curves = result.curves
    if curves.empty:
        return None
    names = list(result.scores)
    return {
        "measures": list(_measures(result)),
        "curves": [visible(name) for name in names],
        "points": _points(result, curves, names),
        "choice": None if choice is None else _chosen(choice),
        "chooses": not no_meaning(result),
        "layers": _layers(result, curves),
    }


def _chosen(choice: Choice) -> dict[str, Any]:
    return {"curve": visible(choice.curve), "target": choice.sparsity_target, "sparsity": choice.sparsity}


def _measures(result: SweepResult) -> Iterable[dict[str, Any]]:
    for name in _measured(result):
        of_file = FILE_METRICS.get(name)
        other = Metric(name) if of_file is None else of_file.metric
        metric = result.metric if name == result.metric.name else other
        yield {
            "key": name,
            "label": visible(metric.label),
            "isFraction": metric.is_fraction,
            "higherIsBetter": metric.higher_is_better,
            "dense": _number(result.dense if metric is result.metric else result.metadata.get(f"dense_{name}")),
            "unit": "",
        }
    for name, (label, unit) in _COSTS.items():
        if name in result.table and result.table[name].notna().any():
            dense = 1.0 if unit == "times" else None
            yield {
                "key": name,
                "label": label,
                "isFraction": False,
                "higherIsBetter": True,
                "dense": dense,
                "unit": unit,
            }


def _measured(result: SweepResult) -> list[str]:
    """The columns of what was measured, the one that counts first."""
    names = list(result.table.columns)
    if "zeros" not in names:
        return [result.metric.name]
    measured = names[names.index("sparsity") + 1 : names.index("zeros")]
    return [result.metric.name, *(name for name in measured if name != result.metric.name)]


def _points(result: SweepResult, curves: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    place = {name: number for number, name in enumerate(names)}
    keys = [*_measured(result), *(name for name in _COSTS if name in result.table)]
    # Of several seeds the mean, as of the metric.
    values = {key: curve_points(result.table, key)[key] for key in keys}
    errors = curves["loss_error"] if "loss_error" in curves else [math.nan] * len(curves)
    return {
        "curve": [place[name] for name in curves["curve"]],
        "sparsity": [float(value) for value in curves["sparsity"]],
        "target": [float(value) for value in curves["sparsity_target"]],
        "error": [_number(value) for value in errors],
        "std": [_number(value) or 0.0 for value in curves["std"]],
        "seeds": [int(value) for value in curves["seeds"]],
        "values": {key: [_number(value) for value in column] for key, column in values.items()},
    }


def _layers(result: SweepResult, curves: pd.DataFrame) -> dict[str, Any] | None:
    """The layers that are pruned, and the zeros of each at each point; what is not known is null."""
    if result.by_layer is None:
        return None
    keys = curves[["score", "scope", "training", "seed", "sparsity_target"]].itertuples(index=False, name=None)
    points = [result.by_layer.points.get(key) for key in keys]
    pruned = {path for left in points if left is not None for path in left.zeros}
    layers = {layer: [each for each in layer.variables if each.path in pruned] for layer in result.outline.layers}
    layers = {layer: variables for layer, variables in layers.items() if variables}
    if not layers:
        return None
    return {
        "names": [visible(layer.name) for layer in layers],
        "kinds": [visible(layer.kind) for layer in layers],
        "parameters": [sum(each.size for each in variables) for variables in layers.values()],
        "zeros": [
            None
            if left is None
            else [sum(left.zeros.get(each.path, 0) for each in variables) for variables in layers.values()]
            for left in points
        ],
    }


def _number(value: Any) -> float | str | None:
    """A number as JSON has it: whole ones short, infinite ones in words, what is missing as null."""
    if value is None or pd.isna(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return int(value) if float(value).is_integer() else float(value)
