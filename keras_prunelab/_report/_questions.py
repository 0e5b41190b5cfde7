"""The open questions of a lab sheet, each with the numbers of the result that bear on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_prunelab._sweep._metric import percent

from ._findings import Findings


class Question(NamedTuple):
    """A question for the reader, and what this result says to it."""

    asked: str
    known: str


def questions(findings: Findings) -> list[Question]:
    """The questions that the result has numbers for; they are for the reader to answer."""
    candidates = (
        _degradation(findings),
        _threshold(findings),
        _gain(findings),
        _training(findings),
        _other_data(findings),
    )
    return [question for question in candidates if question is not None]


def _degradation(findings: Findings) -> Question | None:
    table, metric = findings.result.curves, findings.result.metric
    curve = table[table["curve"] == findings.choice.curve].sort_values("sparsity")
    if len(curve) < 2:
        return None
    steepest = int(np.diff(curve[metric.name].map(metric.goodness).to_numpy(dtype=float)).argmin())
    before, after = curve.iloc[steepest], curve.iloc[steepest + 1]
    return Question(
        "Does the network degrade gradually or all at once, and is the curve sampled finely enough there?",
        f"The largest step between neighbouring levels of {findings.choice.curve} is from "
        f"{percent(before['sparsity'])}, {metric.label} {metric.text(before[metric.name])}, to "
        f"{percent(after['sparsity'])}, {metric.text(after[metric.name])}.",
    )


def _threshold(findings: Findings) -> Question | None:
    layers = findings.layers
    if findings.choice.scope != "global" or len(layers) < 2:
        return None
    largest = layers.iloc[layers["parameters"].argmax()]
    share = largest["parameters"] / layers["parameters"].sum()
    return Question(
        "Why does one threshold for the whole network empty some layers and spare others?",
        f"{largest['layer']} ({largest['type']}) holds {percent(share)} of the counted weights and is "
        f"{percent(largest['sparsity'])} sparse; the whole network is {percent(findings.choice.sparsity)}.",
    )


def _gain(findings: Findings) -> Question | None:
    total, kept, _ = findings.macs
    if not total:
        return None
    return Question(
        "What is gained: memory, time, or neither?",
        f"{percent(findings.choice.sparsity)} of the counted weights are zero and {percent(kept / total)} of "
        "the multiply-adds remain; a file that stores zeros like other numbers keeps its size until it is "
        "compressed.",
    )


def _training(findings: Findings) -> Question:
    metric, choice = findings.result.metric, findings.choice
    at = f"{metric.label} {metric.text(choice.accuracy)} at {percent(choice.sparsity)}"
    if choice.training != "none":
        return Question(
            "Would more training after pruning, or other training, move the choice further?",
            f"At the choice the network was trained after pruning, {choice.training}, and reached {at}.",
        )
    others = [text for text in dict.fromkeys(findings.result.table["training"]) if text != "none"]
    if others:
        return Question(
            "Why is the choice a curve without training?",
            f"Other curves of this sweep were trained after pruning ({'; '.join(others)}); the choice was not: {at}.",
        )
    return Question(
        "Would some epochs of training after pruning move the choice further?",
        f"Nothing was trained in this sweep: {at} is what is left right after weights were set to zero.",
    )


def _other_data(findings: Findings) -> Question:
    samples = int(findings.result.metadata.get("samples", 0))
    return Question(
        "Does the choice hold on other data, for instance with noise?",
        f"The choice was made on the same {samples:,} observations on which the "
        f"{findings.result.metric.label} was measured; measure again on data that had no part in the choice.",
    )
