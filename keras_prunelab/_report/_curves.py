"""The sentences about how the curves fall: gradually or at once, where, why, and how finely that was sampled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from keras_prunelab._evaluate._metric import percent

from ._degradation import Degradation, degradation

if TYPE_CHECKING:
    from ._findings import Findings

_NOISE = 2.0
"""Standard errors that a step must exceed to be more than chance."""


def falls(findings: Findings) -> list[str]:
    """For each method compared: whether it degrades gradually or abruptly, and between which levels."""
    result = findings.result
    found = {curve: degradation(result, curve) for curve in findings.beside}
    said = [_fall(findings, fall) if fall else _no_fall(curve) for curve, fall in found.items()]
    return [*said, *filter(None, (_no_number(findings, curve) for curve in found))]


def sampling(findings: Findings) -> str:
    """Whether the choice's curve is sampled finely enough to show how it falls."""
    fall, metric = degradation(findings.result, findings.choice.curve), findings.result.metric
    if fall is None:
        return ""
    step = fall.largest
    steps = (
        f"The largest step between neighbouring levels of {fall.curve} is from {percent(step.before)}, {metric.label} "
        f"{metric.text(step.value_before)}, to {percent(step.after)}, {metric.text(step.value_after)}"
    )
    if math.isnan(fall.error) or fall.error == 0:
        return f"{steps}."
    chance = (
        f"{steps}: {metric.difference(fall.loss)}, where a difference of two networks on these observations has a "
        f"standard error of about {metric.difference(fall.error)}."
    )
    if fall.loss > _NOISE * fall.error:
        return f"{chance} That is more than chance, so finer levels between these two would show more of it."
    return f"{chance} No step is clearly more than chance: finer levels would show nothing new."


def roughness(findings: Findings) -> str:
    """Whether the choice's curve is monotonic."""
    fall = degradation(findings.result, findings.choice.curve)
    if fall is None or not fall.rises:
        return ""
    return (
        f"The curve of {fall.curve} is not monotonic: at {fall.rises} of {fall.levels - 1} steps to a sparser level "
        "the network gets better again, which is chance, and why a choice must hold at every level below it."
    )


def cause(findings: Findings) -> str:
    """Which layer has least left where the choice's curve is down."""
    result, curve = findings.result, findings.choice.curve
    fall = degradation(result, curve)
    if fall is None:
        return ""
    point = result.choose(sparsity=fall.end, score=curve)
    if not result.has_layers(point):
        return ""
    layers = result.layers(point)
    layers = layers[layers["macs"].isna() | (layers["macs"] > 0)]
    if layers.empty:
        return ""
    worst = layers.iloc[layers["sparsity"].argmax()]
    left, units = int(worst["parameters"] - worst["zeros"]), "units" if "Dense" in worst["type"] else "filters"
    gone = ""
    if pd.notna(worst["filters"]) and worst["filters_removed"]:
        gone = f", and {int(worst['filters_removed']):,} of its {int(worst['filters']):,} {units} are gone"
    return (
        f"Where {curve} has gone nine tenths of its way, at {percent(fall.end)}, the narrowest place of the network is "
        f"{worst['layer']} ({worst['type']}): {left:,} of its {int(worst['parameters']):,} weights are left{gone}."
    )


def _fall(findings: Findings, fall: Degradation) -> str:
    metric, dense = findings.result.metric, findings.result.dense
    manner = "abruptly" if fall.is_abrupt else "gradually"
    up_to = f"up to {percent(fall.start)}" if fall.start else "from the first level on"
    before = f"{up_to} it loses less than a tenth of what it loses in all" if fall.start else f"{up_to} it loses more"
    return (
        f"Pruned by {fall.curve}, the network degrades {manner}: {before}, and at {percent(fall.end)} it has lost nine "
        f"tenths "
        f"({'within' if fall.is_abrupt else 'over'} {100 * (fall.end - fall.start):.1f} points of sparsity; dense "
        f"{metric.text(dense)})."
    )


def _no_number(findings: Findings, curve: str) -> str:
    """Where a network answers with numbers that are none, or too large."""
    points = findings.result.curves.query("curve == @curve")
    is_none = ~np.isfinite(points[findings.result.metric.name].astype(float))
    if not is_none.any():
        return ""
    first = percent(points.loc[is_none, "sparsity"].min())
    return (
        f"At {is_none.sum()} of the {len(points)} levels of {curve}, the first of them {first}, the "
        f"{findings.result.metric.label} is no finite number: the network's answers overflow."
    )


def _no_fall(curve: str) -> str:
    return f"The curve of {curve} has too few levels, or none worse than the dense network, to tell how it degrades."
