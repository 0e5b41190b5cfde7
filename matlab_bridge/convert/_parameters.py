"""Parameters of a network in Keras and in MATLAB: which variable is which, and values in either layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import TypeVar

import keras
import numpy as np

from matlab_bridge._errors import InvalidNetworkError, NetworkMismatchError
from matlab_bridge._layer import Array, Layer, column_major_reshape
from matlab_bridge._normalization import Normalization
from matlab_bridge._unexpected import values_expected
from matlab_bridge.network import Network

from ._rules import LayerRule, Parameter, rule_for
from ._site import LayerNames

T = TypeVar("T")

# Sizes, strides, paddings of two sides in three dimensions: no setting of a layer with learnables has more numbers.
_MOST_ELEMENTS_OF_A_SETTING = 8


def to_matlab(network: Network, values: Mapping[str, Array]) -> dict[tuple[str, str], Array]:
    """Arrays of a converted model in MATLAB's layout: its weights, or masks over them.

    Args:
        network: the network that the model was made of.
        values: arrays of any dtype by `variable.path` (`"conv1/kernel"`), as `model_values` gives them;
            those that are no parameters of MATLAB's, such as an optimizer's, are left out.

    Returns:
        (layer name, parameter name) to the array, in the shape in which MATLAB stores it; what `values`
        does not have is left out.

    Raises:
        NetworkMismatchError: if an array has not the size of MATLAB's.
    """
    names = LayerNames(network)
    values = with_known_paths(network, values)
    arrays: dict[tuple[str, str], Array] = {}
    for layer, parameter in _parameters(network):
        paths = [f"{names[layer.name]}/{path}" for path in parameter.paths]
        if all(path in values for path in paths):
            parts = [np.asarray(values[path]) for path in paths]
            arrays[layer.name, parameter.matlab] = _in_matlab_layout(layer, parameter, parts)
    return arrays


def model_values(model: keras.Model) -> dict[str, Array]:
    """The values of all variables of a model, by path.

    Args:
        model: any built Keras model.

    Returns:
        `variable.path` to its value.
    """
    return {variable.path: keras.ops.convert_to_numpy(variable.value) for variable in model.variables}


def with_known_paths(network: Network, values: Mapping[str, T]) -> dict[str, T]:
    """Values by the paths that `variable_paths` knows.

    The variables of a Keras `Bidirectional` or `RNN` that was cloned or loaded lack its name in their paths, and
    have it in those that it is built with first.

    Args:
        network: the network that the model was made of.
        values: anything by `variable.path`.

    Returns:
        The same values; paths that are no parameter's stay as they are.
    """
    known = variable_paths(network)
    short = {path.partition("/")[2]: path for path in known if path.count("/") > 1}
    return {path if path in known else short.get(path, path): value for path, value in values.items()}


def variable_paths(network: Network) -> dict[str, tuple[str, str]]:
    """Which variable of the converted model is which parameter of MATLAB's.

    Args:
        network: the network that the model is made of.

    Returns:
        `variable.path` (`"conv1/kernel"`) to (layer name, parameter name), in the order of the layers.
    """
    names = LayerNames(network)
    return {
        f"{names[layer.name]}/{path}": (layer.name, parameter.matlab)
        for layer, parameter in _parameters(network)
        for path in parameter.paths
    }


def load_parameters(
    network: Network, rules: Mapping[str, LayerRule], names: LayerNames, model: keras.Model
) -> tuple[str, ...]:
    """Give the model MATLAB's parameters; returns the layers that have none yet."""
    untrained = [
        layer.name for layer in network.layers if rules[layer.name].is_input and not Normalization.of(layer).is_trained
    ]
    for layer, parameter in _parameters(network):
        holder = model.get_layer(names[layer.name])
        variables = [attrgetter(attribute)(holder) for attribute in parameter.attributes]
        array = layer.parameters.get(parameter.matlab, np.empty(0))
        if array.size == 0:
            _refuse_lost_learnables(layer, parameter)
            untrained.append(layer.name)
            continue
        with values_expected(partial(failure_of, layer, f"has {parameter.matlab} that cannot be put into Keras")):
            parts = _in_keras_layout(layer, parameter, array, [tuple(variable.shape) for variable in variables])
            for variable, part in zip(variables, parts, strict=True):
                variable.assign(part)
    return tuple(dict.fromkeys(untrained))


def _refuse_lost_learnables(layer: Layer, parameter: Parameter) -> None:
    """Make sure that a layer without a parameter has no array among its settings that could be it."""
    for name, value in layer.settings.items():
        is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size > 1
        if is_float and (
            name == parameter.matlab or value.dtype == np.float32 or value.size > _MOST_ELEMENTS_OF_A_SETTING
        ):
            raise InvalidNetworkError(
                f"The layer {layer.name!r} ({layer.class_name}) has no {parameter.matlab}, but an array "
                f"{name!r} ({'x'.join(map(str, value.shape))} {value.dtype}) that may be one of its learnables. "
                f"If it is, give the layer as Layer(..., learnables={{{parameter.matlab!r}: array}}); if not, take it "
                "out of its settings."
            )


def _parameters(network: Network) -> Iterator[tuple[Layer, Parameter]]:
    for layer in network.layers:
        rule = rule_for(layer)
        with values_expected(partial(failure_of, layer, "has learnables that cannot be read")):
            parameters = rule.parameters(layer) if rule else ()
        for parameter in parameters:
            yield layer, parameter


def failure_of(layer: Layer, what: str) -> str:
    """The beginning of an error about a layer."""
    return f"The layer {layer.name!r} ({layer.class_name}) {what}"


def _in_keras_layout(
    layer: Layer, parameter: Parameter, array: Array, shapes: Sequence[tuple[int, ...]]
) -> list[Array]:
    try:
        parts = [array] if len(shapes) == 1 else np.split(array, len(shapes))
        return [
            column_major_reshape(parameter.to_keras(np.asarray(part)), shape)
            for part, shape in zip(parts, shapes, strict=True)
        ]
    except ValueError as error:
        raise InvalidNetworkError(
            f"{parameter.matlab} of the layer {layer.name!r} ({layer.kind}) has the shape {array.shape}, "
            f"and its settings and inputs ask for {sum(map(_size, shapes))} elements "
            f"({' and '.join(map(str, shapes))} in Keras)."
        ) from error


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def _in_matlab_layout(layer: Layer, parameter: Parameter, parts: Sequence[Array]) -> Array:
    stored = layer.parameters.get(parameter.matlab, np.empty(0))
    try:
        converted = [parameter.to_matlab(part) for part in parts]
        array = converted[0] if len(converted) == 1 else np.concatenate(converted)
        return column_major_reshape(array, stored.shape) if stored.size else _without_trailing_ones(array)
    except NetworkMismatchError as error:
        raise NetworkMismatchError(f"{parameter.matlab} of the layer {layer.name!r}: {error}") from error
    except ValueError as error:
        raise NetworkMismatchError(
            f"{parameter.matlab} of the layer {layer.name!r} has {stored.size} elements in MATLAB, shape "
            f"{stored.shape}, and {sum(part.size for part in parts)}, shape "
            f"{' and '.join(str(part.shape) for part in parts)}, were given. Is the model made of this network?"
        ) from error


def _without_trailing_ones(array: Array) -> Array:
    """As MATLAB keeps arrays: at least two dimensions, and no last one of size 1 beyond them."""
    shape = array.shape
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return array.reshape(shape)
