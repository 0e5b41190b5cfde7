"""A model's logits: its outputs with the softmax or sigmoid at the end taken off."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._model._rebuild import is_graph

# Operations by class name: a Softmax at the end may be a layer or, as keras.ops.softmax, a bare operation.
_SQUASHING = ("softmax", "log_softmax", "sigmoid")
_SQUASHING_OPERATIONS = ("Softmax", "LogSoftmax", "Sigmoid")
_UNKNOWN_LENGTH = 64


def sum_of_logits(model: keras.Model, data: Any = None) -> Callable[[], Any]:
    """Prepare R, the sum of all logits of all outputs on an all-ones input, in inference mode.

    The input is one observation of the model's input shape. Dimensions that the model leaves open, such as
    the time of a sequence, are 64 long.

    Args:
        model: a built model. It is left as it is.
        data: inputs to take the shapes from where the model, being subclassed, does not tell them.

    Returns:
        A function that computes R, a scalar tensor.

    Raises:
        InvalidModelError: the input shape is unknown, or the softmax is out of reach.
    """
    if is_graph(model):
        outputs = [_before_squashing(tensor) for tensor in model.outputs]
        forward: Any = keras.Model(model.inputs, outputs)
        ones: Any = all_ones(model)
        squashing = [layer for tensor in model.outputs for layer in _last_layers(tensor)]
    else:
        forward, ones = model, all_ones(model, data)
        squashing = model.layers[-1:]
        if squashing and type(squashing[0]).__name__ in _SQUASHING_OPERATIONS:
            raise InvalidModelError(
                f"Model {model.name!r} is subclassed, and its last layer is {squashing[0].name!r}. "
                "Its softmax cannot be taken off from outside: let the model return logits, or build it from "
                "keras.Input."
            )

    def total() -> Any:
        with _without_activation(squashing):
            outputs = forward(ones, training=False)
        return sum(keras.ops.sum(output) for output in keras.tree.flatten(outputs))

    return total


def all_ones(model: keras.Model, data: Any = None) -> Any:
    """Make one observation of ones for a model.

    Args:
        model: a built model.
        data: inputs to take the shapes from where the model, being subclassed, does not tell them.

    Returns:
        A tensor of ones an input; dimensions that the model leaves open are 64 long.

    Raises:
        InvalidModelError: the input shape is unknown.
    """
    if not is_graph(model):
        return _ones_of_subclassed(model, data)
    return [_ones(tensor.shape, tensor.dtype) for tensor in model.inputs]


def _producer(tensor: Any) -> tuple[Any, Any, int]:
    operation, node, index = tensor._keras_history
    return operation, operation._inbound_nodes[node], index


def _before_squashing(tensor: Any) -> Any:
    """The tensor that a softmax layer or operation at the end is applied to."""
    operation, node, index = _producer(tensor)
    if type(operation).__name__ in _SQUASHING_OPERATIONS:
        return node.input_tensors[0]
    if is_graph(operation):
        inner = [_before_squashing(output) for output in operation.outputs]
        if any(one is not other for one, other in zip(inner, operation.outputs, strict=True)):
            outputs = keras.Model(operation.inputs, inner)(list(node.input_tensors))
            return keras.tree.flatten(outputs)[index]
    return tensor


def _last_layers(tensor: Any) -> Iterator[Any]:
    operation, _, index = _producer(tensor)
    if is_graph(operation):
        yield from _last_layers(operation.outputs[index])
    else:
        yield operation


@contextlib.contextmanager
def _without_activation(layers: Sequence[Any]) -> Iterator[None]:
    """Let layers with `activation="softmax"` or "sigmoid" be linear for the time of one forward pass."""
    # A recurrent layer's activation belongs to its cell and is no attribute of its own.
    changed = [
        (layer, layer.activation)
        for layer in dict.fromkeys(layers)
        if getattr(vars(layer).get("activation"), "__name__", None) in _SQUASHING
    ]
    try:
        for layer, _ in changed:
            layer.activation = keras.activations.linear
        yield
    finally:
        for layer, activation in changed:
            layer.activation = activation


def _ones(shape: Sequence[int | None], dtype: str) -> Any:
    if dtype == "string":
        raise InvalidModelError(
            "The model takes strings, and there is no all-ones string; score the part of the model behind "
            "its text layers."
        )
    batch, *rest = shape
    return keras.ops.ones((batch or 1, *(length or _UNKNOWN_LENGTH for length in rest)), dtype=dtype)


def _ones_of_subclassed(model: keras.Model, data: Any) -> Any:
    if data is not None:
        inputs = data[0] if isinstance(data, tuple) else data
        if not all(hasattr(leaf, "shape") for leaf in keras.tree.flatten(inputs)):
            raise InvalidDataError(f"data is {type(data).__name__}; give an array of inputs, or (inputs, labels).")
        return keras.tree.map_structure(lambda leaf: keras.ops.ones_like(np.asarray(leaf[:1])), inputs)
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, (tuple, list)) or any(isinstance(part, (tuple, list, dict)) for part in shape):
        raise InvalidModelError(
            f"The input shape of model {model.name!r}, a subclass of keras.Model, is not known. Give data=, "
            "or build the model from keras.Input."
        )
    return _ones((None, *shape[1:]), "float32")  # the batch that it was built with is no part of the model
