"""Random inputs on which a model runs, whatever lengths its inputs leave free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import trace_model
from keras_prunelab._errors import InvalidDataError

from ._shapes import fits, packed

_FREE_LENGTHS = (16, 32, 64, 128, 224, 512, 1024, 2048, 4096)
_MOST_NUMBERS = 1 << 23  # in one input: longer ones are not tried


def random_inputs(model: Any, *, like: Any = None) -> Any:
    """Random inputs for which a model runs.

    Args:
        model: a built functional or sequential model.
        like: inputs of the user's, whose lengths are taken for the free axes; without them, and where they do not fit,
            lengths are tried from short to long.

    Returns:
        What the model can be called on.

    Raises:
        InvalidDataError: the model runs with no length that was tried.
    """
    rng = np.random.default_rng(0)
    words = _vocabulary(model)

    def batch_of(shapes: Sequence[Sequence[int]]) -> Any:
        inputs = [_array(symbol, shape, words, rng) for symbol, shape in zip(model.inputs, shapes, strict=True)]
        return packed(model, inputs)

    if not any(None in symbol.shape[1:] for symbol in model.inputs):
        return batch_of([_shape(symbol, 0) for symbol in model.inputs])
    last: Exception | None = None
    tried: list[int] = []
    given, call = _given_shapes(model, like), trace_model(model)
    for length in _FREE_LENGTHS if given is None else (0, *_FREE_LENGTHS):
        shapes = given if given is not None and length == 0 else [_shape(symbol, length) for symbol in model.inputs]
        if length and tried and max(map(math.prod, shapes)) > _MOST_NUMBERS:
            break
        tried.append(length)
        batch = batch_of(shapes)
        try:
            call(batch)
        except Exception as error:  # noqa: BLE001 - each backend has its own for an image too small
            last = error
        else:
            return batch
    raise InvalidDataError(
        f"Model {model.name!r} has inputs of free length, and runs with none of the lengths "
        f"{', '.join(map(str, filter(None, tried)))}. Give data=, inputs of lengths that it takes. It said: "
        f"{' '.join(str(last).split()):.300}"
    ) from last


def _given_shapes(model: Any, like: Any) -> list[list[int]] | None:
    """The shapes of inputs that a user gave, for small batches; None where they are not those of the model."""
    flat = [] if like is None else keras.tree.flatten(like)
    if len(flat) != len(model.inputs) or not all(hasattr(each, "shape") for each in flat):
        return None
    shapes = [
        [symbol.shape[0] or 2, *map(int, each.shape[1:])] for symbol, each in zip(model.inputs, flat, strict=True)
    ]
    is_fitting = all(fits(shape, symbol.shape) for shape, symbol in zip(shapes, model.inputs, strict=True))
    return shapes if is_fitting else None


def _shape(symbol: Any, length: int) -> list[int]:
    return [symbol.shape[0] or 2, *(length if one is None else one for one in symbol.shape[1:])]


def _array(symbol: Any, shape: Sequence[int], words: int, rng: np.random.Generator) -> Any:
    if keras.backend.is_float_dtype(symbol.dtype):
        return rng.normal(size=shape).astype("float32" if symbol.dtype == "bfloat16" else symbol.dtype)
    if symbol.dtype == "bool":
        return rng.random(shape) < 0.7
    if symbol.dtype == "string":
        return rng.choice(np.array(["a", "the", "model"]), size=shape)
    return rng.integers(0, words, shape).astype(symbol.dtype)


def _vocabulary(model: Any) -> int:
    """How many different whole numbers every embedding of the model knows."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    return min((int(layer.input_dim) for layer in layers), default=2)
