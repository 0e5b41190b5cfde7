"""Whether arrays fit the inputs of a model: their number, their shapes, and how many observations come at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError

from ._source import is_array

Shape: TypeAlias = "tuple[int | None, ...]"
"""The length of each axis; None where it is free."""


def input_shapes(model: Any) -> list[Shape]:
    """The shapes of a model's inputs; empty for a subclassed model, whose inputs are not known."""
    return [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]


def is_for(model: Any, inputs: Any) -> bool:
    """Whether arrays are the inputs of a model, by their number, shapes and equal lengths."""
    flat, shapes = keras.tree.flatten(inputs), input_shapes(model)
    return (
        len(flat) == len(shapes)
        and all(
            is_array(each) and fits(np.shape(each)[1:], wanted[1:]) for each, wanted in zip(flat, shapes, strict=True)
        )
        and len({np.shape(each)[:1] for each in flat}) == 1
    )


def check_shapes(model: Any, arrays: list[Any]) -> None:
    """Make sure that an array fits the one input of a model.

    Models with several inputs are not checked: Keras names the input that does not fit.

    Raises:
        InvalidDataError: it does not fit.
    """
    wanted = input_shapes(model)
    if len(wanted) != 1 or len(arrays) != 1:
        return
    shape, found = wanted[0], arrays[0].shape
    # Keras itself adds or takes off a last axis of length 1.
    adjusted = ((*found, 1), found[:-1] if found[-1:] == (1,) else found)
    # A model that was built in fit has a fixed number of observations, which means nothing.
    if not any(fits(each[1:], shape[1:]) for each in (found, *adjusted)):
        raise misfit(model, found, shape)


def packed(model: Any, arrays: Sequence[Any]) -> Any:
    """Arrays in the order of `model.inputs` as the model takes them: one alone, a list, or a dictionary."""
    struct = getattr(model, "_inputs_struct", None)  # a sequential model has none
    return arrays[0] if struct is None else keras.tree.pack_sequence_as(struct, list(arrays))


def is_text_for(model: Any, array: NDArray[Any]) -> bool:
    """Whether an array holds strings, and a model takes some; tensors of them come as bytes."""
    if not any(tensor.dtype == "string" for tensor in getattr(model, "inputs", None) or ()):
        return False
    return array.dtype.kind in "US" or all(isinstance(each, str | bytes) for each in array.ravel())


def at_a_time(model: Any) -> int | None:
    """How many observations a model takes at once; None for any number.

    Only a model with stateful recurrent layers is bound to a number: each of its states belongs to one sequence of the
    batch.
    """
    if not any(getattr(layer, "stateful", False) for layer in getattr(model, "_flatten_layers", tuple)()):
        return None
    return next((tensor.shape[0] for tensor in getattr(model, "inputs", None) or () if tensor.shape[0]), None)


def odd_count(model: Any, count: int, fixed: int) -> InvalidDataError:
    """The error for a number of observations that a stateful model cannot take."""
    return InvalidDataError(
        f"Model {model.name!r} has stateful layers, and takes {fixed} observations at a time: {count} are no multiple "
        f"of it. Leave the last {count % fixed} out."
    )


def fits(shape: Sequence[int], wanted: Shape) -> bool:
    """Whether a shape is the wanted one; None in the wanted shape is any length."""
    return len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted, strict=True))


def shape_text(shape: Shape) -> str:
    """A shape as a person reads it."""
    inner = ", ".join("any" if length is None else str(length) for length in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def misfit(model: Any, found: Sequence[int], wanted: Shape) -> InvalidDataError:
    """The error for an array that a model cannot take.

    Args:
        model: the model.
        found: the array's shape, with the axis of the observations.
        wanted: the shape that the model takes, with that axis.
    """
    takes = f"Model {model.name!r} takes observations of shape {shape_text(wanted[1:])}"
    if fits(found, wanted[1:]):
        return InvalidDataError(
            f"{takes}, many at once, but got an array of that shape. It looks like one observation without the axis of "
            "observations: batch the data, as with dataset.batch(32), or add the axis with x[None]."
        )
    if not found:
        return InvalidDataError(f"{takes}, many at once, but got a single number.")
    hint = " Add the channel axis with x[..., None]." if (*found[1:], 1) == wanted[1:] else ""
    return InvalidDataError(f"{takes}, but the data has {found[0]} of shape {tuple(found[1:])}.{hint}")
