"""Recurrent layers unrolled, with operators of their own for each step: the form that int8 needs."""

from __future__ import annotations

from typing import Any

import keras

from keras_prunelab._model._copy import copy_model

MOST_STEPS = 64
"""A longer sequence makes a file of thousands of operators."""


def recurrent_steps(model: keras.Model) -> list[int | None]:
    """How many steps each recurrent layer takes that is not unrolled; None where the length is free."""
    layers = model._flatten_layers()
    inside = {
        id(each) for layer in layers if isinstance(layer, keras.layers.Bidirectional) for each in _directions(layer)
    }
    return [
        _steps(layer)
        for layer in layers
        if id(layer) not in inside and _cells(layer) and not all(each.unroll for each in _cells(layer))
    ]


def unrolled(model: keras.Model) -> keras.Model:
    """A copy whose recurrent layers are unrolled; the outputs are the same.

    Raises:
        InvalidModelError: the model cannot be copied.
    """
    copy = copy_model(model)
    for layer in copy._flatten_layers():
        for each in _cells(layer):
            each.unroll = True
    return copy


def _cells(layer: Any) -> list[Any]:
    """The layers that go through the steps."""
    if isinstance(layer, keras.layers.Bidirectional):
        return _directions(layer)
    return [layer] if isinstance(layer, keras.layers.RNN) else []


def _directions(layer: Any) -> list[Any]:
    return [layer.forward_layer, layer.backward_layer]


def _steps(layer: Any) -> int | None:
    try:
        shape = layer.input.shape
    except (AttributeError, ValueError):  # it is called several times, or inside another layer
        return None
    return None if shape[1] is None else int(shape[1])
