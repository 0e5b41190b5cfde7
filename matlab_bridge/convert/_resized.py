"""The network that a model was converted from, with the fewer channels that a copy of the model has now."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from operator import attrgetter
from typing import Any

import keras
import numpy as np

from matlab_bridge._errors import NetworkMismatchError
from matlab_bridge._layer import Layer
from matlab_bridge.network import Network

from ._build import to_keras
from ._keras_graph import Call, calls
from ._parameters import model_values, to_matlab
from ._rules import rule_for
from ._site import LayerNames

# What a layer's configuration says of its training, its making and its name, and not of what it computes.
_BESIDE = ("build_config", "dtype", "name", "registered_name", "seed", "trainable")
_OF_VARIABLES = ("_constraint", "_initializer", "_regularizer")


def resize(network: Network, model: keras.Model) -> Network:
    """The same layers and connections, with the sizes and the weights of a model that was cut down.

    The settings that count channels come from the Keras layers of the same names, by the rule of each layer. The model
    is then built anew of the network, and compared with the one that is there: its operations, their shapes, their
    variables and constants. So what is returned computes what the model does, whatever was cut out of it.

    Args:
        network: what the model, or the one that it is a copy of, was converted from.
        model: a built Keras model.

    Returns:
        The network with other settings, learnables and states; a network that had no weights yet has the model's.

    Raises:
        NetworkError: if the network with these sizes is not the model, saying where they differ.
    """
    names = LayerNames(network)
    built = {layer.name: layer for layer in model.layers}
    layers = tuple(_resize(layer, built.get(names[layer.name])) for layer in network.layers)
    small = replace(network, layers=layers)
    small = small.with_parameters(to_matlab(small, model_values(model)))
    with warnings.catch_warnings():  # that the normalization of the input has no statistics, as before
        warnings.simplefilter("ignore")
        again = to_keras(small)
    for one, other in zip_longest(calls(again), calls(model)):
        if one is None or other is None or (difference := _difference(one, other)):
            name = (other or one).operation.name
            what = "only one of the two has it" if one is None or other is None else difference
            raise NetworkMismatchError(f"at {name!r} the model is no smaller copy of the network: {what}")
    return small


def _resize(layer: Layer, built: keras.layers.Layer | None) -> Layer:
    """One layer with other settings; parameters of other sizes are left empty, with as many dimensions."""
    rule = rule_for(layer)
    if rule is None or built is None:  # an output layer, or one that is several operations of Keras
        return layer
    try:
        settings = {**layer.settings, **rule.sizes_of(layer, built)}
        sizes = {
            parameter: sum(math.prod(attrgetter(name)(built).shape) for name in parameter.attributes)
            for parameter in rule.parameters(layer)
        }
    except AttributeError as error:
        raise NetworkMismatchError(f"the layer {built.name!r} is now a {type(built).__name__}: {error}") from error
    learnables = dict(layer.learnables)
    # States that are zero need not be there, and may be of the old size.
    state = {name: array for name, array in layer.state.items() if np.any(array)}
    for parameter, size in sizes.items():
        array = layer.parameters.get(parameter.matlab, np.empty((0, 0)))
        fitting = array if array.size == size else np.empty((0,) * array.ndim, array.dtype)
        (state if parameter.is_state else learnables)[parameter.matlab] = fitting
    return replace(layer, settings=settings, learnables=learnables, state=state)


def _difference(one: Call, other: Call) -> str | None:
    """What differs between two operations that should do the same, or None."""
    if one.kind != other.kind:
        return f"{other.kind} stands for {one.kind}"
    if tuple(one.output.shape) != tuple(other.output.shape):
        return f"its output is {tuple(other.output.shape)}, and that of the network {tuple(one.output.shape)}"
    shapes = [[tuple(variable.shape) for variable in _variables(call)] for call in (one, other)]
    if shapes[0] != shapes[1]:
        return f"its variables are {shapes[1]}, and those of the network {shapes[0]}"
    facts = [_facts((call.arguments, call.options, _config(call))) for call in (one, other)]
    return None if _are_equal(*facts) else "its constants or options are others"


def _variables(call: Call) -> list[Any]:
    return call.operation.variables if call.is_layer else []


def _config(call: Call) -> Any:
    try:
        return call.operation.get_config()
    except NotImplementedError:  # an operation of the user's; its arguments are compared all the same
        return {}


def _facts(value: Any) -> Any:
    """A nested structure as plain lists, without tensors, which are compared as the outputs that they are."""
    if isinstance(value, Mapping):
        kept = {key: each for key, each in value.items() if not (key in _BESIDE or str(key).endswith(_OF_VARIABLES))}
        return [[key, _facts(kept[key])] for key in sorted(kept)]
    if isinstance(value, list | tuple):
        return [_facts(each) for each in value]
    if isinstance(value, keras.KerasTensor) or callable(value):
        return None
    return value if value is None or isinstance(value, str | bool | int | float | slice) else np.asarray(value).tolist()


def _are_equal(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_equal, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)
    return bool(one == other)
