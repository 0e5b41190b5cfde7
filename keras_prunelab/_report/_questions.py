"""The open questions of a lab sheet: answered as far as the result goes, with what is left to its reader."""

from __future__ import annotations

from keras_prunelab._evaluate._metric import percent

from ._document import Question
from ._findings import Findings


def questions(findings: Findings) -> list[Question]:
    """The questions that the result has numbers for."""
    candidates = (_threshold(findings), _gain(findings), _training(findings), _other_data(findings))
    return [question for question in candidates if question is not None]


def _threshold(findings: Findings) -> Question | None:
    layers = findings.layers
    if findings.choice.scope != "global" or len(layers) < 2:
        return None
    largest = layers.iloc[layers["parameters"].argmax()]
    share = largest["parameters"] / layers["parameters"].sum()
    return Question(
        "Why does one threshold for the whole network empty some layers and spare others?",
        f"{largest['layer']} ({largest['type']}) holds {percent(share)} of the counted weights and is "
        f"{percent(largest['sparsity'])} sparse; the whole network is {percent(findings.choice.sparsity)}. A threshold "
        "compares the scores of all layers as they are, and layers with many inputs have smaller weights each.",
        "Compare with a run that prunes every layer equally (--scope layer): does it keep what this one empties?",
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
        "Which of the two would matter on your device, and which zeros could it skip?",
    )


def _training(findings: Findings) -> Question:
    metric, choice = findings.result.metric, findings.choice
    at = f"{metric.label} {metric.text(choice.accuracy)} at {percent(choice.sparsity)}"
    if choice.training != "none":
        return Question(
            "Would more training after pruning, or other training, move the choice further?",
            f"At the choice the network was trained after pruning, {choice.training}, and reached {at}.",
            "How long did that training take, against the gain?",
        )
    others = [text for text in dict.fromkeys(findings.result.table["training"]) if text != "none"]
    if others:
        return Question(
            "Why is the choice a curve without training?",
            f"Other curves of this sweep were trained after pruning ({'; '.join(others)}); the choice was not: {at}.",
            "What would you expect of longer training?",
        )
    return Question(
        "Would some epochs of training after pruning move the choice further?",
        f"Nothing was trained in this sweep: {at} is what is left right after weights were set to zero.",
        "Train the pruned network for an epoch with its zeros kept, and measure again.",
    )


def _other_data(findings: Findings) -> Question:
    samples = int(findings.result.metadata.get("samples", 0))
    return Question(
        "Does the choice hold on other data, for instance with noise?",
        f"The choice was made on the same {samples:,} observations on which the "
        f"{findings.result.metric.label} was measured, so it is a little too good: of many levels the luckiest is "
        "preferred.",
        "Measure the pruned network on data that had no part in the choice, and on noisy data.",
    )
