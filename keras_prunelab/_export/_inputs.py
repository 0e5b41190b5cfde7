"""Inputs as the arrays that a file takes, one for each input, in the order of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError
from keras_prunelab._model._shapes import fits, misfit, packed, shape_text

Array = NDArray[Any]


def arrays_by_input(model: Any, inputs: Any) -> list[Array]:
    """The inputs of a batch, in the order of `model.inputs`.

    Args:
        model: a model, or what describes a file as one: it has `name`, and `inputs` with a `name` and a `shape` each.
        inputs: an array, or a list or dictionary of arrays.

    Raises:
        InvalidDataError: names, number or shapes are others.
    """
    wanted = model.inputs
    struct = getattr(model, "_inputs_struct", None)
    if isinstance(inputs, Mapping):
        given = _by_name(model, inputs, struct)
    else:
        given = keras.tree.flatten(inputs)
        if isinstance(struct, Mapping) and len(given) == len(wanted):
            given = keras.tree.flatten(dict(zip(struct, given, strict=True)))
    if len(given) != len(wanted):
        raise InvalidDataError(f"Model {model.name!r} has {len(wanted)} inputs, but the data has {len(given)}.")
    return [_shaped(model, array, tensor) for array, tensor in zip(given, wanted, strict=True)]


def one_observation(model: Any, arrays: Sequence[Array]) -> Any:
    """The first observation as a model takes it; as many times as the model takes at once."""
    count = next((tensor.shape[0] for tensor in model.inputs if tensor.shape[0]), 1)
    return packed(model, [np.repeat(array[:1], count, axis=0) for array in arrays])


def _by_name(model: Any, inputs: Mapping[str, Array], struct: Any) -> list[Array]:
    names = sorted(struct) if isinstance(struct, Mapping) else [name_of(tensor) for tensor in model.inputs]
    missing = [name for name in names if name not in inputs]
    if missing:
        raise InvalidDataError(
            f"Model {model.name!r} has the inputs {', '.join(names)}, but the data has {', '.join(map(str, inputs))}."
        )
    return [inputs[name] for name in names]


def name_of(tensor: Any) -> str:
    """The name of an input: that of its layer."""
    history = getattr(tensor, "_keras_history", None)
    return str(tensor.name if history is None else history.operation.name)


def _shaped(model: Any, array: Array, tensor: Any) -> Array:
    if array.dtype.kind in "US" and str(getattr(tensor, "dtype", "")) != "string":
        raise InvalidDataError(
            f"Input {name_of(tensor)!r} of model {model.name!r} takes numbers, but the data has text such as "
            f"{str(array.reshape(-1)[0])[:40]!r}."
        )
    wanted = tuple(tensor.shape)
    # Keras itself adds or takes off a last axis of length 1.
    for shape in (array.shape, (*array.shape, 1), array.shape[:-1] if array.shape[-1:] == (1,) else array.shape):
        if fits(shape[1:], wanted[1:]):
            return array.reshape(shape)
    if len(model.inputs) == 1:
        raise misfit(model, array.shape, wanted)
    raise InvalidDataError(
        f"Input {name_of(tensor)!r} of model {model.name!r} takes observations of shape {shape_text(wanted[1:])}, but "
        f"the data has {array.shape[1:]}. Inputs are {', '.join(map(name_of, model.inputs))}, in this order, or a "
        "dictionary by these names."
    )
