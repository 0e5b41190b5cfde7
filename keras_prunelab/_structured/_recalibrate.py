"""The statistics of batch normalizations, estimated anew after pruning."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._copy import copied
from keras_prunelab._errors import InvalidModelError
from keras_prunelab.scores._batches import batches


def recalibrate(model: keras.Model, data: Any, *, batch_size: int = 128) -> keras.Model:
    """Estimate the statistics of batch normalizations anew, on data.

    Pruning changes what flows into a normalization; its mean and variance are still those of the dense model. Here they
    become those of the data, as it comes through layers that normalize each batch by itself. That needs neither labels
    nor an optimizer, and dropout stays off (Li et al., EagleEye, ECCV 2020, https://arxiv.org/abs/2007.02491).

    Args:
        model: a built model, which is only read.
        data: inputs, `(inputs, labels)`, or batches of either; a few hundred observations will do.
        batch_size: how many observations make a batch, where `data` is arrays.

    Returns:
        A copy with other statistics.

    Raises:
        InvalidModelError: the model has no batch normalization, or cannot be copied.
        InvalidDataError: there is no data, or it does not fit the model.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
        >>> fresh = kpl.recalibrate(model, np.float32([[0, 10], [2, 30]]))
        >>> fresh.layers[0].moving_mean.numpy().tolist(), fresh.layers[0].moving_variance.numpy().tolist()
        ([1.0, 20.0], [1.0, 100.0])
    """
    copy = copied(model)
    layers = [each for each in copy._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]
    if not layers:
        raise InvalidModelError(f"Model {model.name!r} has no BatchNormalization whose statistics could be estimated.")
    with contextlib.ExitStack() as stack:
        sums = [stack.enter_context(_in_training(layer)) for layer in layers]
        for batch in batches(data, batch_size, labels=False):
            copy(batch.inputs, training=False)
    for each in sums:
        each.write()
    return copy


class _Sums:
    """The moments of what a layer has seen, call by call: where it is shared, a batch has several."""

    def __init__(self, layer: Any) -> None:
        self._layer, self._count = layer, 0
        self._first, self._second = (np.zeros(tuple(layer.moving_mean.shape)) for _ in range(2))

    def add(self, count: int) -> None:
        """Add what the layer has as its mean and variance, those of `count` positions."""
        mean, variance = (_value(each) for each in (self._layer.moving_mean, self._layer.moving_variance))
        self._count += count
        self._first += count * mean
        self._second += count * (variance + mean**2)

    def write(self) -> None:
        """Give the layer the mean and the variance over all calls, if it had any."""
        if self._count:
            mean = self._first / self._count
            self._layer.moving_mean.assign(mean)
            self._layer.moving_variance.assign(np.maximum(self._second / self._count - mean**2, 0))


@contextlib.contextmanager
def _in_training(layer: Any) -> Iterator[_Sums]:
    """Let a layer normalize with each call's own statistics, and gather these, while all others do not train."""
    momentum, trainable, call = layer.momentum, layer.trainable, layer.call
    sums = _Sums(layer)

    def training_call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
        del training
        outputs = call(inputs, training=True, mask=mask)
        positions = math.prod(inputs.shape) // inputs.shape[layer.axis]
        sums.add(positions if mask is None else int(np.sum(keras.ops.convert_to_numpy(mask))))
        return outputs

    layer.momentum, layer.trainable = 0.0, True
    object.__setattr__(layer, "call", training_call)
    try:
        yield sums
    finally:
        object.__delattr__(layer, "call")
        layer.momentum, layer.trainable = momentum, trainable


def _value(variable: Any) -> NDArray[Any]:
    return np.array(keras.ops.convert_to_numpy(variable), np.float64)
