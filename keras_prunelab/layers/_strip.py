"""From a wrapped model back to a plain one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidModelError
from keras_prunelab._model._rebuild import assign_all, copy_of, keep_frozen, rebuild

from ._pruned import Pruned
from ._quantized import Quantized


def strip(model: keras.Model) -> keras.Model:
    """Make a copy of a model without its wrappers, with zeros in the place of its pruned weights.

    The outputs are exactly those of the wrapped model, where none of it is rounded by `Quantized`; weights are then
    those that were trained, not yet rounded. The layers have the names that they had before. The copy
    holds nothing of this package: its files load without it. How the model was compiled is carried over; the
    optimizer begins anew.

    Args:
        model: a built functional or sequential model with `Pruned` or `Quantized` layers, which is only read.

    Returns:
        The plain copy.

    Raises:
        InvalidModelError: the model is a subclass whose layers Keras cannot see, or a layer makes wrappers by itself.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), kpl.layers.Pruned(keras.layers.Dense(4, name="fc"), 0.5)])
        >>> [(layer.name, type(layer).__name__) for layer in kpl.layers.strip(model).layers]
        [('fc', 'Dense')]
    """
    return _without(model, (Pruned, Quantized))


def without_wrappers(model: Any) -> Any:
    """The model itself, or a copy without `Pruned` wrappers where it has some."""
    if isinstance(model, keras.Model) and any(isinstance(layer, Pruned) for layer in model._flatten_layers()):
        return _without(model, (Pruned,))
    return model


def _without(model: keras.Model, kinds: tuple[type, ...]) -> keras.Model:
    pairs: list[tuple[Any, Any]] = []

    def replace(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):  # an operation, such as an addition, has no weights
            return copy_of(layer)
        pairs.append((layer, _plain(layer, kinds)))
        return pairs[-1][1]

    plain = rebuild(model, replace, what="stripped")
    for layer, new in pairs:
        assign_all(new, _values(layer, kinds))
        keep_frozen(_own(layer, kinds), new.variables)
    return plain


def _wrappers(layer: Any, kinds: tuple[type, ...]) -> list[Any]:
    return [each for each in layer._flatten_layers() if isinstance(each, kinds)]


def _plain(layer: Any, kinds: tuple[type, ...]) -> Any:
    if isinstance(layer, Pruned) and Pruned in kinds:
        return _plain(layer.layer, kinds)
    if isinstance(layer, Quantized) and Quantized in kinds:
        return layer.plain()
    if not _wrappers(layer, kinds):
        return copy_of(layer)
    new = type(layer).from_config(_unwrap(layer.get_config()))
    if _wrappers(new, kinds):
        raise InvalidModelError(
            f"Layer {layer.name!r} of class {type(layer).__name__} makes Pruned layers by itself, so no copy of it is "
            "without them. Let it take its layers as arguments, and give them back in get_config."
        )
    return new


def _unwrap(config: Any) -> Any:
    """A layer's configuration with each wrapper replaced by the layer inside."""
    if isinstance(config, dict):
        if config.get("registered_name") == keras.saving.get_registered_name(Pruned):
            return _unwrap(config["config"]["layer"])
        return {name: _unwrap(value) for name, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_unwrap(value) for value in config)
    return config


def _own(layer: Any, kinds: tuple[type, ...]) -> list[Any]:
    """A layer's variables but for those of its wrappers: masks and ranges."""
    theirs = {id(variable) for wrapper in _wrappers(layer, kinds) for variable in wrapper._non_trainable_variables}
    return [variable for variable in layer.variables if id(variable) not in theirs]


def _values(layer: Any, kinds: tuple[type, ...]) -> list[NDArray[Any]]:
    """What a layer's variables are worth, without the masks."""
    wrappers = _wrappers(layer, (Pruned,))
    values = []
    for variable in _own(layer, kinds):
        value = keras.ops.convert_to_numpy(variable)
        masks = (wrapper.mask_of(variable) for wrapper in wrappers)
        mask = next((mask for mask in masks if mask is not None), None)
        if mask is not None:
            kept = np.array(keras.ops.convert_to_numpy(mask), np.bool_)
            value = np.where(kept, value, np.zeros((), value.dtype))
        values.append(value)
    return values
