"""From a `Network` to a Keras model, and parameters forth and back between the two."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import TypeVar

import keras
import numpy as np

from matlab_bridge._errors import InvalidNetworkError, NetworkMismatchError, UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge._layer_classes import without_rule
from matlab_bridge._normalization import Normalization
from matlab_bridge._unexpected import values_expected
from matlab_bridge.network import WHOLE_FILE, Network, end_point

from ._frames import fold, has_frames, unfold
from ._rules import LayerNames, LayerRule, Parameter, Site, Tensor, column_major_reshape, keras_name, rule_for
from ._sidecar import Sidecar, attach
from .layers.output import Output, is_output_of_ones_own

T = TypeVar("T")

# Sizes, strides, paddings of two sides in three dimensions: no setting of a layer with learnables has more numbers.
_MOST_ELEMENTS_OF_A_SETTING = 8


def to_keras(network: Network) -> keras.Model:
    """The same network as a plain Keras model, channels last.

    Layers keep their MATLAB names, `"/"` replaced by `"_"`; layers that are needed beside them carry a
    suffix, such as `"conv1_padding"`. Outputs that are images of 1x1 pixels are vectors (N, C). Layers
    without weights, as in a network that was never trained, start with Keras' initial ones, and a warning
    names them. Class names and the source stand on the model's side-car: `matlab_bridge.sidecar(model)`.

    Args:
        network: from `load_network`, or made by hand.

    Returns:
        A functional model: images (N, H, W, C), features (N, D) or sequences (N, T, D) in; a list of
        outputs where the network has several.

    Raises:
        UnsupportedLayerError: for layers without a conversion, naming each, its class and where it stands.
        InvalidNetworkError: if the layers do not fit together, or there is no input layer.
    """
    rules = _rules_of(network)
    names = LayerNames(network)
    outputs: dict[str, Mapping[str, Tensor]] = {}
    for layer in network.execution_order:
        feeds = network.inputs_of(layer.name)
        inputs = tuple(_at_port(outputs[feed.source], feed.source_port) for feed in feeds)
        site = Site(layer, inputs, names, tuple(feed.destination_port for feed in feeds))
        outputs[layer.name] = _built(network, site, rules[layer.name])
    model = keras.Model(*_ends(network, rules, names, outputs), name=_model_name(network))
    untrained = _load(network, rules, names, model)
    if untrained:
        warnings.warn(_what_is_missing(network, untrained), stacklevel=2)
    attach(model, Sidecar.of(network, untrained), network)
    return model


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


def _rules_of(network: Network) -> dict[str, LayerRule]:
    """The rule of each layer; all layers that have none are named in one error."""
    rules: dict[str, LayerRule] = {}
    objections: dict[str, str] = {}
    sources = {connection.source for connection in network.connections}
    for layer in network.layers:
        rule = rule_for(layer)
        if rule is None and layer.name not in sources and is_output_of_ones_own(layer):
            rule = Output()
        with values_expected(partial(_failure, layer, "has settings that cannot be read")):
            objection = without_rule(layer.class_name) if rule is None else rule.objection(layer)
        if rule is not None and objection is None:
            rules[layer.name] = rule
        else:
            objections[layer.name] = objection or ""
    if objections:
        raise _unsupported(network, objections)
    return rules


def _failure(layer: Layer, what: str) -> str:
    return f"The layer {layer.name!r} ({layer.class_name}) {what}"


def _unsupported(network: Network, objections: Mapping[str, str]) -> UnsupportedLayerError:
    lines = [
        f"  {name!r} ({network[name].class_name}), {_place(network, name)}: {reason}"
        for name, reason in objections.items()
    ]
    count = "1 layer" if len(lines) == 1 else f"{len(lines)} layers"
    return UnsupportedLayerError(
        "\n".join([f"{count} of {len(network.layers)} cannot be converted to Keras:", *lines])
        + "\nThe network itself is loaded: summary() shows its layers, and each layer holds its parameters. "
        "Remove such a layer in MATLAB, or register a conversion with matlab_bridge.register_layer."
    )


def _place(network: Network, name: str) -> str:
    position = [layer.name for layer in network.layers].index(name) + 1
    before = [repr(connection.source) for connection in network.inputs_of(name)]
    return f"layer {position} of {len(network.layers)}" + (f", after {' and '.join(before)}" if before else "")


def _at_port(outputs: Mapping[str, Tensor], port: str) -> Tensor:
    """The output at a port, which is the main one unless the layer has others."""
    return outputs.get(port, outputs["out"])


def _outputs(site: Site, rule: LayerRule) -> Mapping[str, Tensor]:
    """The outputs of a layer by port; where it treats the images of a sequence one by one, as sequences again."""
    sequences = next(filter(has_frames, site.inputs), None) if rule.per_frame else None
    if sequences is not None:
        site = replace(site, inputs=tuple(fold(each) if has_frames(each) else each for each in site.inputs))
    built = rule.build(site)
    outputs = built if isinstance(built, Mapping) else {"out": built}
    if sequences is None:
        return outputs
    return {port: unfold(tensor, sequences) for port, tensor in outputs.items()}


def _built(network: Network, site: Site, rule: LayerRule) -> Mapping[str, Tensor]:
    if not site.inputs and not rule.is_input:
        raise InvalidNetworkError(
            f"Nothing feeds the layer {site.layer.name!r} ({site.layer.kind}), and it is no input layer. "
            "A network without an input layer has no input size: add an imageInputLayer, a featureInputLayer "
            "or a sequenceInputLayer in MATLAB and save it again."
        )

    def failure() -> str:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in site.inputs) or "nothing"
        return (
            f"The layer {site.layer.name!r} ({site.layer.kind}), {_place(network, site.layer.name)}, "
            f"cannot be built on inputs of shape {shapes}"
        )

    try:
        with values_expected(failure):
            return _outputs(site, rule)
    except UnsupportedLayerError as error:
        raise _unsupported(network, {site.layer.name: str(error)}) from error


def _what_is_missing(network: Network, untrained: Sequence[str]) -> str:
    """What the layers without values say of a network: that it was not trained, or that its training had not ended."""
    layers = [network[name] for name in untrained]
    listed = ", ".join(map(repr, untrained))
    if all(layer.learnables and all(array.size for array in layer.learnables.values()) for layer in layers):
        return (
            f"{_model_name(network)!r} was saved before its training ended, as checkpoints are: {listed} have no "
            "statistics of their inputs yet, and start with a mean of 0 and a variance of 1. Outputs are as in MATLAB "
            "once these are measured, by training on or by keras_prunelab.recalibrate(model, data)."
        )
    return (
        f"{_model_name(network)!r} was saved before it was trained: {listed} have no values yet, and start with "
        "Keras' initial ones."
    )


def _ends(
    network: Network, rules: Mapping[str, LayerRule], names: LayerNames, outputs: Mapping[str, Mapping[str, Tensor]]
) -> tuple[list[Tensor] | Tensor, list[Tensor] | Tensor]:
    """The inputs and the outputs of the model; one alone is not in a list."""
    sources = {connection.source for connection in network.connections}
    wanted = network.output_names or [layer.name for layer in network.layers if layer.name not in sources]
    ends = [end_point(name, outputs.keys()) for name in wanted]
    last = [Site(network[name], (), names).as_vector(_at_port(outputs[name], port)) for name, port in ends]
    first = [
        keras.utils.get_source_inputs(outputs[layer.name]["out"])[0]
        for layer in network.layers
        if rules[layer.name].is_input
    ]
    return (first[0] if len(first) == 1 else first), (last[0] if len(last) == 1 else last)


def _model_name(network: Network) -> str:
    source = network.source
    if source is None:
        return "network"
    # A network that the variables of a file are together has no name of its own.
    return keras_name(source.path.stem if source.variable == WHOLE_FILE else source.variable, "network")


def _load(network: Network, rules: Mapping[str, LayerRule], names: LayerNames, model: keras.Model) -> tuple[str, ...]:
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
        with values_expected(partial(_failure, layer, f"has {parameter.matlab} that cannot be put into Keras")):
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
        with values_expected(partial(_failure, layer, "has learnables that cannot be read")):
            parameters = rule.parameters(layer) if rule else ()
        for parameter in parameters:
            yield layer, parameter


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
