"""SynFlow: how much of the flow from all inputs to all outputs goes through a weight."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import gradients
from keras_prunelab._errors import InvalidModelError, UnknownNameError
from keras_prunelab._model._numbers import whole_number
from keras_prunelab._model._prunable import maskable, prunable
from keras_prunelab._model._variables import Prunable

from ._base import Score, ScoreContext
from ._linear import linear_flow
from ._logits import sum_of_logits

_Compiled: TypeAlias = Callable[[Mapping[str, NDArray[Any]], float], dict[str, NDArray[Any]]]

_TINY = 1e-200
"""What both the input of the linear network, with all that is added to it, and R are multiplied by where R overflows,
so that neither the way forward nor the way back does. R is linear in them: all scores become smaller by one factor."""

_ADVICE = {
    "linear": "Use score='magnitude'.",
    "as built": "Use convention='paper', which computes in float64, or score='magnitude'.",
}


class _Flow(Score):
    """The score both of them are: which network the flow goes through is all that differs."""

    follows_masks = True
    is_linear: ClassVar[bool] = False

    def __init__(self, rounds: int = 100) -> None:
        found = whole_number(rounds)
        if found is None or found < 1:
            raise UnknownNameError(f"rounds={rounds!r}; it is a whole number from 1.")
        self.rounds = found

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        network = "linear" if self.is_linear else context.flow
        flow = context.once(f"synflow {network}", lambda: _compile(context, is_linear=network == "linear"))
        path = ""
        for size in (1.0, _TINY) if network == "linear" else (1.0,):
            scores = flow(context.values, size)
            path = next((path for path, score in scores.items() if not np.isfinite(score).all()), "")
            if not path:
                return scores
        raise InvalidModelError(
            f"SynFlow's scores of {path!r} overflow {scores[path].dtype}: the sum of all paths through this deep or "
            f"wide network is too large a number. {_ADVICE[network]}"
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this score again."""
        return {"rounds": self.rounds}


@final
class SynFlow(_Flow):
    """The synaptic flow through a weight: |dR/d|w| * |w||, which needs no data.

    R is the sum of the logits on an all-ones input, in inference mode, with every learnable of the model
    replaced by its absolute value: kernels, biases, and the gamma and beta of normalizations. The model itself
    is not written to. Open dimensions of the input, such as the time of a sequence, are taken as 64.

    Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow, NeurIPS
    2020, https://arxiv.org/abs/2006.05467. With `convention="paper"` a sparsity s is reached in `rounds`
    rounds, at round r of n with a share (1 - s)^(r / n) of the weights left, and R is that of the linear network of
    the paper's theory, in float64; where that overflows, the input and all biases, and with them all scores, are made
    smaller by one factor:

    - constants that are added do not enter: the offset of an input layer or of `Rescaling`, the mean of
      `Normalization`, moving means, `Add` of constants. Biases enter, and get no score unless they are pruned;
    - activations are the identity, also those that saturate, such as ReLU6, sigmoid, tanh and softmax;
    - in a product of two activations, such as squeeze-and-excite, each factor is divided by its maximum, a constant
      without gradient, so that R stays linear along each path;
    - layer, group and RMS normalization, and the softmax of attention, are constant gains without centring: the former
      divide by the maximum of their input, the latter by the sum over the keys, both without gradient;
    - a layer of one's own is laid open into its Keras operations, which follow the same rules; where that fails it
      computes as it is, with the absolute values of its weights.

    With `convention="matlab"` the score is computed once at each level of a sweep, on the network pruned so far and as
    it was built: with offsets, moving statistics and activations, in its own precision. `LinearSynFlow` takes the
    linear network there too.

    Args:
        rounds: the paper's number of iterations, 100 by default.

    Raises:
        UnknownNameError: `rounds` is no whole number from 1.
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


@final
class LinearSynFlow(_Flow):
    """`SynFlow` through the linear network, whatever the convention.

    With `convention="matlab"` it counts what MATLAB's example counts and is computed at each level as there, but the
    offset of the input, moving means and saturation do not stop the flow. With `convention="paper"` it is `SynFlow`.

    Args:
        rounds: the paper's number of iterations, 100 by default.

    Raises:
        UnknownNameError: `rounds` is no whole number from 1.
        InvalidModelError: at the call: the scores overflow, or the model's input shape is not known.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> layers = [keras.Input((4,)), keras.layers.Rescaling(1, -3), keras.layers.Dense(5), keras.layers.Dense(4)]
        >>> found = kpl.trajectory(keras.Sequential(layers), 0.5, "linear_synflow", convention="matlab")
        >>> found.zeros(0)
        25
    """

    name = "linear_synflow"
    is_linear = True


def _compile(context: ScoreContext, *, is_linear: bool) -> _Compiled:
    """One compiled gradient for all levels: the weights come in as arguments."""
    learnables = prunable(context.model, learnables="all")
    means = {id(item.variable) for item in maskable(context.model) if item.role == "mean"} if is_linear else set()
    inputs = [item.variable for item in learnables]
    states = [state for state in context.model.non_trainable_variables if id(state) not in means]
    zeros = [state for state in context.model.non_trainable_variables if id(state) in means]
    prepare = linear_flow if is_linear else sum_of_logits
    slopes = gradients(prepare(context.model, context.data), [*inputs, *zeros], states, float64=is_linear)
    at_zero = [np.zeros(tuple(state.shape)) for state in zeros]

    added = {item.path for item in learnables if item.role in ("bias", "beta")}

    def flow(values: Mapping[str, NDArray[Any]], size: float) -> dict[str, NDArray[Any]]:
        def absolute(item: Prunable) -> NDArray[Any]:
            found: NDArray[Any] = np.abs(values[item.path] if item.path in values else item.value())
            return size * found.astype(np.float64) if size != 1 and item.path in added else found

        given = [np.float64(size)] if is_linear else []
        # One after the other: all absolute values at a time would be another copy of the model.
        found = slopes(itertools.chain(map(absolute, learnables), at_zero), *given)
        by_path = {item.path: (item, slope) for item, slope in zip(learnables, found, strict=False)}  # means come last
        del found
        # An overflow is reported by the caller, with what to do about it.
        with np.errstate(over="ignore", invalid="ignore"):
            scores = {}
            for path in values:
                item, slope = by_path.pop(path)
                scores[path] = _magnitude_of(slope, absolute(item))
            return scores

    return flow


def _magnitude_of(slope: NDArray[Any], value: NDArray[Any]) -> NDArray[Any]:
    """|slope * value|, in the place of the slope where that can be: a large model has no room for more."""
    out = slope if slope.flags.writeable and np.result_type(slope, value) == slope.dtype else None
    product: NDArray[Any] = np.multiply(slope, value, out=out)
    np.abs(product, out=product)
    return product
