"""From a `Network` to a Keras model: each layer by its rule, in the order of execution."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import keras

from matlab_bridge._errors import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge._layer_classes import without_rule
from matlab_bridge._unexpected import values_expected
from matlab_bridge.network import WHOLE_FILE, Network, end_point

from ._frames import fold, has_frames, unfold
from ._parameters import failure_of, load_parameters
from ._rules import LayerRule, rule_for
from ._sidecar import Sidecar, attach
from ._site import LayerNames, Site, Tensor, keras_name
from .layers.output import Output, is_output_of_ones_own


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
    untrained = load_parameters(network, rules, names, model)
    if untrained:
        warnings.warn(_what_is_missing(network, untrained), stacklevel=2)
    attach(model, Sidecar.of(network, untrained), network)
    return model


def _rules_of(network: Network) -> dict[str, LayerRule]:
    """The rule of each layer; all layers that have none are named in one error."""
    rules: dict[str, LayerRule] = {}
    objections: dict[str, str] = {}
    sources = {connection.source for connection in network.connections}
    for layer in network.layers:
        rule = rule_for(layer)
        if rule is None and layer.name not in sources and is_output_of_ones_own(layer):
            rule = Output()
        with values_expected(partial(failure_of, layer, "has settings that cannot be read")):
            objection = without_rule(layer.class_name) if rule is None else rule.objection(layer)
        if rule is not None and objection is None:
            rules[layer.name] = rule
        else:
            objections[layer.name] = objection or ""
    if objections:
        raise _unsupported(network, objections)
    return rules


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
