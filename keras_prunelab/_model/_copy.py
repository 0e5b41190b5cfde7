"""A copy of a model in memory."""

from __future__ import annotations

import keras
import numpy as np

from keras_prunelab._errors import InvalidModelError

from ._rebuild import carry_over, in_memory, keep_frozen, known_objects, reason_for


def copy_model(model: keras.Model) -> keras.Model:
    """Copy a model as saving and loading it would, in memory, with its compiled state and attributes.

    Args:
        model: a built model.

    Returns:
        The copy.

    Raises:
        InvalidModelError: Keras cannot save and load the model.
    """
    try:
        with known_objects(model), in_memory():
            make, arguments = model.__reduce__()
            copy = make(*arguments)
        equal = _same_weights(model, copy)
    # NotImplementedError is what Keras raises for a class without get_config.
    except (TypeError, ValueError, NotImplementedError, AttributeError, KeyError, OSError) as error:
        raise InvalidModelError(_uncopyable(model, reason_for(model, error))) from error
    if not equal:
        raise InvalidModelError(_uncopyable(model, _difference(model, copy)))
    carry_over(model, copy)
    keep_frozen(model.weights, copy.weights)
    return copy


def _same_weights(model: keras.Model, copy: keras.Model) -> bool:
    return len(model.weights) == len(copy.weights) and all(map(_same, model.weights, copy.weights))


def _same(one: keras.Variable, other: keras.Variable) -> bool:
    return np.array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other), equal_nan=True)


def _difference(model: keras.Model, copy: keras.Model) -> str:
    """Which weights of a copy differ, and how."""
    if len(model.weights) != len(copy.weights):
        return f"The copy has {len(copy.weights)} weights, and the model {len(model.weights)}."
    pairs = zip(model.weights, copy.weights, strict=True)
    paths = [one.path for one, other in pairs if not _same(one, other)]
    return f"The weights of the copy differ: {', '.join(paths[:5])}{' and others' if len(paths) > 5 else ''}."


def _uncopyable(model: keras.Model, why: str) -> str:
    return (
        f"Model {model.name!r} of class {type(model).__name__} cannot be copied, because Keras cannot save "
        f"and load it. {why} Write its get_config and from_config, or build it from keras.Input; or prune it "
        "in place: masks = keras_prunelab.trajectory(model, sparsity).masks(0), then masks.apply(model)."
    )
