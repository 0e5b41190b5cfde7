"""A copy of a model in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import InvalidModelError

from ._rebuild import (
    assign_all,
    carry_over,
    copy_of,
    in_memory,
    inside,
    is_graph,
    is_stepwise,
    keep_frozen,
    known_objects,
    reason_for,
    rebuild,
)
from ._state import assign_values, copy_values


def copy_model(model: keras.Model) -> keras.Model:
    """Copy a model as saving and loading it would, in memory, with its compiled state and attributes.

    What Keras cannot save and load, such as functions that refer to names around them, or a layer that stands in a
    sequential model twice, is copied layer by layer where the model is functional or sequential.

    Args:
        model: a built model.

    Returns:
        The copy.

    Raises:
        InvalidModelError: the model can be copied in neither way.
    """
    if repeated_layer(model) is not None and is_graph(model):
        return _copy_by_layers(model)
    try:
        with known_objects(model), in_memory():
            make, arguments = model.__reduce__()
            copy = make(*arguments)
        equal = _same_weights(model, copy)
    # NotImplementedError is what Keras raises for a class without get_config.
    except (TypeError, ValueError, NotImplementedError, AttributeError, KeyError, OSError) as error:
        with contextlib.suppress(InvalidModelError):
            if is_graph(model):
                return _copy_by_layers(model)
        raise InvalidModelError(_uncopyable(model, reason_for(model, error))) from error
    if not equal:
        raise InvalidModelError(_uncopyable(model, _difference(model, copy)))
    carry_over(model, copy)
    keep_frozen(model.weights, copy.weights)
    return copy


def repeated_layer(model: keras.Model) -> str | None:
    """The name of a layer that stands in a sequential model twice, if there is one: Keras would save it once."""
    for part in model._flatten_layers():
        names = [each.name for each in part.layers] if isinstance(part, keras.Sequential) else []
        if len(set(names)) < len(names):
            return str(max(names, key=names.count))
    return None


def require_saved_whole(model: keras.Model) -> None:
    """Make sure that a file of Keras would hold all of a model.

    Raises:
        InvalidModelError: a layer stands in a sequential model twice.
    """
    name = repeated_layer(model)
    if name is not None:
        raise InvalidModelError(
            f"Layer {name!r} stands in a sequential model twice, and Keras would save it once: what is loaded would be "
            "another model. Build the model from keras.Input and calls of its layers; keras.Model saves each call."
        )


def _copy_by_layers(model: keras.Model) -> keras.Model:
    copy = copy_by_layers(model, what="copied")
    if model.compiled and model.optimizer.built:
        copy.optimizer.build(copy.trainable_variables)
        assign_values(copy.optimizer.variables, copy_values(model.optimizer.variables))
    return copy


def copy_by_layers(
    model: keras.Model, *, what: str, shape_of: Callable[[Any], Any] = lambda symbol: symbol.shape
) -> keras.Model:
    """Copy a functional or sequential model layer by layer, with its weights; the optimizer begins anew.

    Args:
        model: a built model.
        what: what cannot be done to other models, for the error: `"copied"`.
        shape_of: from the tensor of an input to its shape in the copy.

    Returns:
        The copy, compiled as the model was.

    Raises:
        InvalidModelError: the model is a subclass, or a layer cannot be made again.
    """
    made: list[tuple[Any, Any]] = []

    def replace(layer: Any) -> Any:
        if is_stepwise(layer):
            return inside
        if not isinstance(layer, keras.layers.Layer):  # an operation, such as an addition
            return layer
        made.append((layer, copy_of(layer)))
        return made[-1][1]

    copy = rebuild(model, replace, what=what, shape_of=shape_of)
    for layer, new in made:
        assign_all(new, copy_values(layer.variables))
        keep_frozen(layer.variables, new.variables)
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
