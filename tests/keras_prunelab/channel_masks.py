"""Models in which some channels are zero, for the tests of what is cut out of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

import keras_prunelab as kpl

# JAX compiles every operation for each length of a batch, and `compact` looks at two rows; elsewhere it is another.
ROWS = 2 if keras.config.backend() == "jax" else 3


def lively(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight, bias, scale, offset and statistic a value that is neither 0 nor 1."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = rng.normal(size=weight.shape) / np.sqrt(max(1, np.prod(weight.shape[:-1])))
        if "variance" in weight.name or weight.name in ("gamma", "scale"):
            value = rng.uniform(0.5, 1.5, weight.shape)
        weight.assign(value)
    return model


def without(variable: Any, indices: Sequence[int], axis: int = -1) -> None:
    """Put zeros into some slices of a variable."""
    value = np.array(keras.ops.convert_to_numpy(variable))
    np.moveaxis(value, axis, 0)[list(indices)] = 0
    variable.assign(value)


def silenced(layer: Any, indices: Sequence[int]) -> None:
    """Put zeros into the kernel and bias of some output channels of a layer."""
    axis = -2 if "Transpose" in type(layer).__name__ else -1
    kernel = layer.pointwise_kernel if hasattr(layer, "pointwise_kernel") else layer.kernel
    without(kernel, indices, axis)
    if layer.bias is not None:
        without(layer.bias, indices)


def runs_in_graphs_only(model: keras.Model) -> bool:
    """Whether TensorFlow has the model's operations for CPUs only where it can rearrange a graph."""
    is_first = any(getattr(layer, "data_format", None) == "channels_first" for layer in model._flatten_layers())
    return is_first and keras.config.backend() == "tensorflow"


def outputs(model: keras.Model, seed: int = 1) -> list[np.ndarray]:
    """What a model makes of random inputs of its own shapes."""
    rng = np.random.default_rng(seed)
    inputs = [
        rng.integers(0, 5, (ROWS, *each.shape[1:])) if "int" in each.dtype else rng.normal(size=(ROWS, *each.shape[1:]))
        for each in model.inputs
    ]
    given = [np.asarray(each, symbol.dtype) for each, symbol in zip(inputs, model.inputs, strict=True)]
    found = (model.predict_on_batch if runs_in_graphs_only(model) else model)(given)
    return [np.asarray(keras.ops.convert_to_numpy(each)) for each in keras.tree.flatten(found)]


def assert_same(model: keras.Model, small: keras.Model) -> None:
    """Both models compute the same, on inputs that `compact` has not seen."""
    first = outputs(model) if len(model.inputs) > 1 else outputs(keras.Model([model.inputs[0]], model.outputs))
    second = outputs(small) if len(small.inputs) > 1 else outputs(keras.Model([small.inputs[0]], small.outputs))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * np.abs(one).max())


def compacted(
    inputs: Any, build: Callable[..., Any], prepare: Callable[[keras.Model], None]
) -> tuple[keras.Model, keras.Model, kpl.Compaction]:
    """Build a model, empty some of its channels, and compact it."""
    tensors = [keras.Input(shape, dtype=dtype) for shape, dtype in inputs]
    model = lively(keras.Model(tensors, build(*tensors)))
    prepare(model)
    before = [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.weights]
    found = kpl.compaction(model)
    for value, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(value, keras.ops.convert_to_numpy(weight))  # only read
    assert_same(model, found.model)
    return model, found.model, found
