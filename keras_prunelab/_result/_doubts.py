"""Reasons not to believe a sweep or a choice: what a reader must know before any number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keras_prunelab._evaluate._metric import ROUNDING

if TYPE_CHECKING:
    from ._choice import Choice
    from ._measurements import Measurements


SAME_DATA = "the observations that are measured"
"""How the metadata begin to name the calibration where it is what is measured."""


def no_meaning(result: Measurements) -> str:
    """Why no level of a sweep is meaningful: the dense network is no better than a constant, or overflows; or nothing.

    It is no better where its metric exceeds that of the best constant answer, or chance, by one standard error at most,
    taken over the same observations. Of results that do not say what a constant gets, nothing is known.
    """
    metric, facts = result.metric, result.metadata
    if len(result.table) and not math.isfinite(result.dense):
        return (
            f"No level is meaningful: the {metric.label} of the dense network is {result.dense}, because its answers "
            "overflow. Are the inputs scaled as in training, and are these the weights that training left?"
        )
    if "trivial" not in facts:
        return ""
    trivial, error = float(facts["trivial"]), float(facts["trivial_error"])
    gain = metric.goodness(result.dense) - metric.goodness(trivial)
    if gain > error + ROUNDING:
        return ""
    what = "always naming the most frequent class" if metric.is_fraction else "always answering the mean response"
    chance = f" (chance: {1 / len(result.class_names):.1%})".replace("%", " %") if result.class_names else ""
    return (
        f"No level is meaningful: the dense network has {metric.label} {metric.text(result.dense)}, and {what} has "
        f"{metric.text(trivial)}{chance}, which is as good within the standard error of {metric.difference(error)}. Do "
        "the labels belong to these inputs, in this order and numbering? Are the inputs scaled and laid out as in "
        "training?"
    )


def doubts(result: Measurements, choice: Choice | None) -> tuple[str, ...]:
    """Every reason, one sentence or a few each."""
    return tuple(text for text in _found(result, choice) if text)


def _found(result: Measurements, choice: Choice | None) -> Iterator[str]:
    yield no_meaning(result)
    if result.metadata.get("answers") == 1:
        yield "The dense network gives every observation the same answer."
    if str(result.metadata.get("calibration", "")).startswith(SAME_DATA) and "damping" in result.metadata:
        yield (
            "The weights were reconstructed on the very observations that are measured, which flatters the result: "
            "calibrate on others."
        )
    if choice is None:
        return
    metric = result.metric
    same = ["score", "scope", "training", "sparsity_target"]
    rows = result.table[(result.table[same] == [getattr(choice, name) for name in same]).all(axis=1)]  # of all seeds
    gain = metric.goodness(choice.accuracy) - metric.goodness(choice.dense_accuracy)
    error = float(rows["loss_error"].mean()) if "loss_error" in rows else math.nan
    if math.isfinite(error) and gain > error + ROUNDING:
        yield (
            f"The choice is better than the dense network by {metric.difference(gain)}, more than the "
            f"standard error of {metric.difference(error)}: pruning alone rarely improves a network. Was the "
            "dense network trained to its end, and is this the data it was trained for?"
        )
    if "speedup" in rows and (rows["speedup"] == math.inf).any():
        yield "No multiply-adds are left at the choice: nothing that the network answers depends on its input."
    if "answers" in rows and (rows["answers"] == 1).any():
        yield "At the choice the network gives every observation the same answer: it tells nothing apart."
