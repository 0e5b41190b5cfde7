"""Measuring a model many times over: data held as tensors, one compiled forward, weights put back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._arrays import masked
from keras_prunelab._backend import compiled_forward
from keras_prunelab._masks import MaskSet
from keras_prunelab._prunable import Prunables

from ._data import Samples

ACTIVATION_BYTES = 8 * 2**20
"""How large the largest activation of a batch should be: what a processor's caches still hold."""
MIN_BATCH, MAX_BATCH = 32, 1024
"""Fewer at once would read large kernels over and over; more gain nothing."""


class Evaluator:
    """Measures a model's metric on the same observations again and again.

    Args:
        model: a built model; its weights may change between measurements.
        samples: the observations.
    """

    def __init__(self, model: keras.Model, samples: Samples) -> None:
        self.metric = samples.metric
        self.batch_size = batch_size(model, samples)
        self._forward = compiled_forward(model)
        dtype = model.inputs[0].dtype if getattr(model, "inputs", None) else "float32"
        self._batches = [
            (keras.ops.convert_to_tensor(inputs, dtype=dtype), labels)
            for inputs, labels in samples.batches(self.batch_size)
        ]

    def __call__(self) -> float:
        """The accuracy, a fraction, or the RMSE over all responses, of the model as it is now."""
        total, count = 0.0, 0
        for inputs, labels in self._batches:
            outputs = keras.ops.convert_to_numpy(self._forward(inputs))
            if self.metric.name == "accuracy":
                total += int(np.count_nonzero(_answers(outputs) == labels))
            else:
                total += float(np.square(outputs.astype(np.float64) - labels).sum())
            count += labels.size
        return total / count if self.metric.name == "accuracy" else math.sqrt(total / count)


def _answers(outputs: NDArray[Any]) -> NDArray[np.int64]:
    """The class of each output: the largest of several, or whether the only one is above one half."""
    if outputs.shape[-1] > 1:
        return np.asarray(outputs.argmax(axis=-1))
    return (outputs[..., 0] > 0.5).astype(np.int64)


def batch_size(model: keras.Model, samples: Samples) -> int:
    """How many observations to compute at once, so that the largest activation fits `ACTIVATION_BYTES`."""
    longest = max(len(one) for one in samples.inputs) if samples.inputs[0].ndim else 1
    largest = max(int(np.size(one)) for one in samples.inputs[:1]) or 1
    for layer in getattr(model, "_flatten_layers", lambda: ())():
        try:
            shape = layer.output.shape
        except (AttributeError, ValueError):  # several outputs, or a layer inside a subclassed model
            continue
        largest = max(largest, math.prod(longest if length is None else length for length in shape[1:]))
    return int(min(np.clip(ACTIVATION_BYTES // (4 * largest), MIN_BATCH, MAX_BATCH), len(samples)))


class MaskedWeights:
    """A model's weights with masks on them, changed as little as each next set of masks needs."""

    def __init__(self, prunables: Prunables) -> None:
        # A copy, because on torch the array that Keras gives shares its memory with the variable.
        self._dense = {
            item.path: (item.variable, np.array(keras.ops.convert_to_numpy(item.variable))) for item in prunables
        }
        self._applied: dict[str, NDArray[np.bool_]] = {}

    def apply(self, masks: MaskSet) -> None:
        """Put zeros where the masks have them, and the dense weights everywhere else."""
        for path, mask in masks.items():
            before = self._applied.get(path)
            if mask.all() if before is None else np.array_equal(mask, before):
                continue
            variable, dense = self._dense[path]
            self._applied[path] = mask  # noted first: an interrupted assignment is put back as well
            variable.assign(masked(dense, mask))

    def restore(self) -> None:
        """Put back every weight that was changed."""
        for path in self._applied:
            variable, dense = self._dense[path]
            variable.assign(dense)
        self._applied = {}


@contextmanager
def masked_weights(prunables: Prunables) -> Iterator[MaskedWeights]:
    """Weights to put masks on; at the end, however it comes, they are as they were."""
    weights = MaskedWeights(prunables)
    try:
        yield weights
    finally:
        weights.restore()
