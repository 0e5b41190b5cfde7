"""The statistics of batch normalizations, estimated anew after pruning."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidModelError
from keras_prunelab._model._call import call_on
from keras_prunelab._model._copy import copy_model
from keras_prunelab._model._data import batches, check_batch_size
from keras_prunelab._model._source import check_ends


def recalibrate(model: keras.Model, data: Any, *, batch_size: int = 128) -> keras.Model:
    """Estimate the statistics of batch normalizations anew, on data.

    Pruning changes what flows into a normalization; its mean and variance are still those of the dense model. Here they
    become those of the data, as it comes through layers that normalize each batch by itself. That needs neither labels
    nor an optimizer, and dropout stays off (Li et al., EagleEye, ECCV 2020, https://arxiv.org/abs/2007.02491).

    Args:
        model: a built model, which is only read.
        data: inputs, `(inputs, labels)`, or batches of either; a few hundred observations will do. A list of arrays is
            batches where the model has one input.
        batch_size: how many observations make a batch, where `data` is arrays.

    Returns:
        A copy with other statistics.

    Raises:
        InvalidModelError: the model has no batch normalization, or cannot be copied.
        InvalidDataError: there is no data, or it does not fit the model; or `batch_size` is not a positive number.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
        >>> fresh = kpl.recalibrate(model, np.float32([[0, 10], [2, 30]]))
        >>> fresh.layers[0].moving_mean.numpy().tolist(), fresh.layers[0].moving_variance.numpy().tolist()
        ([1.0, 20.0], [1.0, 100.0])
    """
    batch_size = check_batch_size(batch_size)
    check_ends(data)
    copy = copy_model(model)
    layers = [each for each in copy._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]
    if not layers:
        raise InvalidModelError(f"Model {model.name!r} has no BatchNormalization whose statistics could be estimated.")
    with contextlib.ExitStack() as stack:
        sums = [stack.enter_context(_in_training(layer)) for layer in layers]
        for batch in batches(data, batch_size, labels=False, model=copy):
            call_on(copy, batch)
            if not all(each.is_finite for each in sums):
                batch.require_finite()
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

    @property
    def is_finite(self) -> bool:
        """Whether nothing that was seen is NaN or infinite."""
        return bool(np.isfinite(self._first).all() and np.isfinite(self._second).all())

    def write(self) -> None:
        """Give the layer the mean and the variance over all calls, if it had any."""
        if self._count:
            mean = self._first / self._count
            variance = np.maximum(self._second / self._count - mean**2, 0)
            self._layer.moving_mean.assign(mean)
            self._layer.moving_variance.assign(variance)
            if self._layer.renorm:  # Keras keeps the same moments twice more, deviations with epsilon in them
                deviation = np.sqrt(variance + self._layer.epsilon)
                self._layer.moving_stddev.assign(deviation)
                self._layer.renorm_mean.assign(mean)
                self._layer.renorm_stddev.assign(deviation)


@contextlib.contextmanager
def _in_training(layer: Any) -> Iterator[_Sums]:
    """Let a layer normalize with each call's own statistics, and gather these, while all others do not train."""
    momentum, trainable, renorm, call = layer.momentum, layer.trainable, layer.renorm, layer.call
    sums = _Sums(layer)

    def training_call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
        del training
        masked = {} if mask is None else {"mask": mask}  # the call of a subclass may know no masks
        outputs = call(inputs, training=True, **masked)
        positions = math.prod(inputs.shape) // inputs.shape[layer.axis]
        sums.add(positions if mask is None else int(np.sum(keras.ops.convert_to_numpy(mask))))
        return outputs

    # A renormalized batch would come out as the old statistics would have it.
    layer.momentum, layer.trainable, layer.renorm = 0.0, True, False
    object.__setattr__(layer, "call", training_call)
    try:
        yield sums
    finally:
        object.__delattr__(layer, "call")
        layer.momentum, layer.trainable, layer.renorm = momentum, trainable, renorm


def _value(variable: Any) -> NDArray[Any]:
    return np.array(keras.ops.convert_to_numpy(variable), np.float64)
