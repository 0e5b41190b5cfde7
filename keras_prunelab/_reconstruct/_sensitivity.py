"""How much a network's loss feels each output of its layers: what makes the losses of layers comparable."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import gradients
from keras_prunelab._model._data import batches

from ._statistics import LayerStatistics

OBSERVATIONS = 1024
"""How many observations the gradients are taken of, at most."""

_TEMPERATURE = 4.0  # a network that is sure of nearly all observations would feel nothing but the few others
_TOGETHER = 8
_AT_ONCE = 128  # observations that are predicted at once
_TINY = 1e-12

Squares = Mapping[int, NDArray[np.float64]]
"""The mean squared gradient of each weight, by the identity of its variable."""


def squared_gradients(model: keras.Model, variables: Sequence[Any], data: Any) -> dict[int, NDArray[np.float64]]:
    """The mean square of the loss' gradient over single observations, with the model's own predictions as labels.

    Of outputs that are probabilities the label is the likeliest class, and the loss the cross-entropy of the softmax at
    a higher temperature, which also hears observations that the network is sure of; of other outputs
    it is normally distributed about them, and the loss is the squared error. So no labels are needed. Some observations
    share a gradient, each with a random sign: the square of such a sum is on average the sum of the squares.

    Args:
        model: a built model.
        variables: its weights of interest.
        data: inputs; the first 1,024 observations are used.

    Returns:
        An array of each variable's shape, by its identity.
    """
    ids = set(map(id, variables))
    states = [each for each in model.weights if id(each) not in ids]
    slopes = gradients(_surrogate(model), variables, states)
    values = list(map(_numpy, variables))
    sums = {id(each): np.zeros(each.shape) for each in variables}
    random, count = np.random.default_rng(0), 0
    for batch in itertools.islice(batches(data, _AT_ONCE, labels=False, model=model), OBSERVATIONS // _AT_ONCE):
        outputs = map(_numpy, keras.tree.flatten(model(batch.inputs, training=False)))
        signs = random.choice(np.array([-1, 1], np.float32), len(batch))
        targets = [_target(each, signs, random) for each in outputs]
        count += len(batch)
        whole = {"inputs": batch.inputs, "targets": targets}
        for first in range(0, len(batch), _TOGETHER):
            part = keras.tree.map_structure(lambda each: each[first : first + _TOGETHER], whole)  # noqa: B023
            for each, slope in zip(variables, slopes(values, part), strict=True):
                sums[id(each)] += np.square(np.float64(slope))
    return {key: total / max(1, count) for key, total in sums.items()}


def sensitivity_of(statistics: LayerStatistics, squares: Squares) -> NDArray[np.float64]:
    """How much the loss feels each weight's output, from the gradients of the weights.

    The mean squared gradient of a weight is about that of its output times the mean square of its input (Martens and
    Grosse, Optimizing neural networks with Kronecker-factored approximate curvature, ICML 2015,
    https://arxiv.org/abs/1503.05671): the sum over a column divided by the sum of H's diagonal.

    Args:
        statistics: of the layer.
        squares: from `squared_gradients`, with all variables of the layer.

    Returns:
        One number a weight, flat, equal along the columns of each matrix.
    """
    parts = [np.ravel(squares.get(id(each), np.zeros(each.shape))) for each in statistics.layer.weights]
    flat = np.concatenate(parts)
    felt = np.zeros(flat.shape)
    for each, grams in zip(statistics.maps, statistics.grams, strict=True):
        for places, gram in zip(each.places, grams, strict=True):
            energy = float(np.trace(gram.matrix))
            felt[places] = flat[places].sum(axis=0) / energy if energy > 0 else 0.0
    return felt


def _numpy(value: Any) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(value))


def _surrogate(model: keras.Model) -> Any:
    """A function with the gradient of the loss, for targets that say which outputs it compares with what."""

    def loss(batch: dict[str, Any]) -> Any:
        outputs = keras.tree.flatten(model(batch["inputs"], training=False))
        total = 0.0
        for output, target in zip(outputs, batch["targets"], strict=True):
            wide = keras.ops.cast(output, "float32")
            logs = keras.ops.log(keras.ops.maximum(wide, _TINY)) / _TEMPERATURE
            # The likeliest class of a softmax at this temperature; its terms are there where there is such a class.
            among = keras.ops.sum(target["likely"], axis=-1, keepdims=True) * keras.ops.logsumexp(
                logs, axis=-1, keepdims=True
            )
            halves = target["yes"] * logs + target["no"] * keras.ops.log(keras.ops.maximum(1.0 - wide, _TINY))
            total -= keras.ops.sum(target["likely"] * logs + halves + target["noise"] * wide) - keras.ops.sum(among)
        return total

    return loss


def _target(
    output: NDArray[Any], signs: NDArray[np.float32], random: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """What an output is compared with: its likeliest class, its likelier half, or a number near it; with its sign."""
    wide = np.asarray(output, np.float32)
    target = {name: np.zeros(wide.shape, np.float32) for name in ("likely", "yes", "no", "noise")}
    is_share = bool(wide.size) and bool((wide >= 0).all()) and bool((wide <= 1).all())
    if is_share and wide.shape[-1] > 1 and np.allclose(wide.sum(axis=-1), 1, atol=1e-3):
        best = wide.argmax(axis=-1)[..., None]
        np.put_along_axis(target["likely"], best, 1.0, axis=-1)
    elif is_share and (wide != 0).any():
        target["yes"] = (wide >= 0.5).astype(np.float32)
        target["no"] = 1 - target["yes"]
    else:
        target["noise"] = random.standard_normal(wide.shape).astype(np.float32)
    if wide.ndim and len(wide) == len(signs):
        signs = signs.reshape(-1, *[1] * (wide.ndim - 1))
        return {name: each * signs for name, each in target.items()}
    return target
