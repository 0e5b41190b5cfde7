"""SynFlow: how much of the flow from all inputs to all outputs goes through a weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import gradients
from keras_prunelab._errors import InvalidModelError
from keras_prunelab._prunable import prunable

from ._base import Score, ScoreContext
from ._logits import sum_of_logits

_Flow: TypeAlias = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]


@final
class SynFlow(Score):
    """The synaptic flow through a weight: |dR/d|w| * |w||, which needs no data.

    R is the sum of the logits on an all-ones input, in inference mode, with every learnable of the model
    replaced by its absolute value: kernels, biases, and the gamma and beta of normalizations, which keep
    their own moving statistics. The model itself is not written to. Open dimensions of the input, such as the
    time of a sequence, are taken as 64.

    Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow, NeurIPS
    2020, https://arxiv.org/abs/2006.05467. With `convention="paper"` a sparsity s is reached in `rounds`
    rounds, at round r of n with a share (1 - s)^(r / n) of the weights left; with `convention="matlab"` the
    score is computed once at each level of a sweep, on the network pruned so far.

    Args:
        rounds: the paper's number of iterations, 100 by default.

    Raises:
        InvalidModelError: at the call: the scores overflow, or the model's input shape is not known.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> layers = [keras.Input((4,)), keras.layers.Dense(5, activation="relu"), keras.layers.Dense(4)]
        >>> pruned = kpl.prune(keras.Sequential(layers), 0.75, score=kpl.scores.SynFlow(rounds=10))
        >>> kpl.sparsity(pruned)
        0.75
    """

    name = "synflow"
    follows_masks = True

    def __init__(self, rounds: int = 100) -> None:
        self.rounds = rounds

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        flow = context.once(self.name, lambda: _compile(context))
        scores = flow(context.values)
        for path, score in scores.items():
            if not np.isfinite(score).all():
                raise InvalidModelError(
                    f"SynFlow's scores of {path!r} overflow {score.dtype}: the sum of all paths through this "
                    "deep or wide network is too large a number. Build the model again after "
                    "keras.config.set_dtype_policy('float64'), load its weights, and score that, or use "
                    "score='magnitude'. Masks fit either model."
                )
        return scores

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this score again."""
        return {"rounds": self.rounds}


def _compile(context: ScoreContext) -> _Flow:
    """One compiled gradient for all levels: the weights come in as arguments."""
    learnables = prunable(context.model, learnables="all")
    others = [item for item in learnables if item.path not in context.values]  # a training changes them as well
    slopes = gradients(
        sum_of_logits(context.model, context.data),
        [item.variable for item in learnables],
        context.model.non_trainable_variables,
    )

    def flow(values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        absolute = {item.path: np.abs(item.value()) for item in others}
        absolute |= {path: np.abs(value) for path, value in values.items()}
        found = slopes([absolute[item.path] for item in learnables])
        by_path = {item.path: slope for item, slope in zip(learnables, found, strict=True)}
        # An overflow is reported by the caller, with what to do about it.
        with np.errstate(over="ignore", invalid="ignore"):
            return {path: np.abs(by_path[path] * absolute[path]) for path in values}

    return flow
