"""Models whose inputs have one length, as devices take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_prunelab._errors import InvalidModelError, UnknownNameError
from keras_prunelab._export._inputs import name_of
from keras_prunelab._model._copy import copy_by_layers
from keras_prunelab._model._numbers import whole_number
from keras_prunelab._model._rebuild import is_graph
from keras_prunelab._model._shapes import Shape


def fix_lengths(model: keras.Model, lengths: int | Sequence[int]) -> keras.Model:
    """Copy a model that takes inputs of any length, for inputs of one: TensorFlow Lite Micro, NPUs and int8 take these.

    Recurrent and convolutional layers take sequences of any length, and images of any size. The copy has the same
    weights, and computes the same for inputs of its length.

    Args:
        model: a built functional or sequential model.
        lengths: for each axis of free length, the steps of a sequence or the rows and columns of an image; one number
            for all of them, or one for each, in the order of the inputs and of their axes.

    Returns:
        The copy, compiled as the model was.

    Raises:
        InvalidModelError: no input has a free length, a layer refuses the length, or the model is a subclass.
        UnknownNameError: a length is no whole number from 1, or there are more or fewer than free lengths.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((None, 4)), keras.layers.LSTM(3)])
        >>> kpl.fix_lengths(model, 50).input_shape
        (None, 50, 4)
    """
    shapes = _fixed(model, lengths) if is_graph(model) else {}  # rebuild refuses others
    return copy_by_layers(model, what="given lengths", shape_of=lambda symbol: shapes.get(id(symbol), symbol.shape))


def _fixed(model: Any, lengths: Any) -> dict[int, Shape]:
    """The new shapes of the inputs, by the identities of their tensors."""
    free = sum(tensor.shape[1:].count(None) for tensor in model.inputs)
    shapes = ", ".join(f"{name_of(tensor)!r} {tuple(tensor.shape)}" for tensor in model.inputs)
    if not free:
        raise InvalidModelError(f"No input of model {model.name!r} has a free length: {shapes}.")
    given = list(lengths) if isinstance(lengths, Sequence) and not isinstance(lengths, str) else [lengths] * free
    numbers = [whole_number(each) for each in given]
    if len(numbers) != free or any(number is None or number < 1 for number in numbers):
        raise UnknownNameError(
            f"lengths={lengths!r}; model {model.name!r} takes a whole number from 1 for each of {free} free lengths, "
            f"or one for all: {shapes}."
        )
    rest = iter(numbers)
    return {
        id(tensor): (tensor.shape[0], *(next(rest) if length is None else length for length in tensor.shape[1:]))
        for tensor in model.inputs
    }
