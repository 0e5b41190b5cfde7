"""From a Keras model to the network that MATLAB can build: its own one if it was converted, else a new one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import keras

from matlab_bridge._errors import NetworkError, NetworkMismatchError, UnsupportedLayerError
from matlab_bridge._layer import Layer
from matlab_bridge._normalization import Normalization
from matlab_bridge.network import Network

from ._class_names import with_class_names
from ._parameters import model_values, to_matlab, variable_paths, with_known_paths
from ._resized import resize
from ._rules import rule_for
from ._sidecar import origin
from ._translation import Translation


def from_keras(model: keras.Model, *, class_names: Iterable[str] = ()) -> Network:
    """A Keras model in MATLAB's words, with its weights in MATLAB's layout.

    A flatten runs column-major in MATLAB: the weights of the layers after it are reordered, so that the
    network gives the same outputs. A fused activation becomes a layer of its own (`"conv1_relu"`), a
    `ZeroPadding2D` becomes the padding of the layer after it, and a `Rescaling` or `Normalization` after an
    input its normalization. Elsewhere these, and sums and products with constants, become scaling layers.

    A model that `to_keras` made, or a pruned copy of it, gives its own network back, with the new weights; a copy with
    fewer channels gives the same layers with fewer channels.

    Args:
        model: a built Sequential or functional model, channels last, whose layers are called once each.
        class_names: the classes in the order of the scores; by default those of the model's own network.

    Returns:
        A network of class `"dlnetwork"` whose `to_keras` gives the outputs of the model.

    Raises:
        UnsupportedLayerError: for a layer that MATLAB's layers cannot express, naming it and its class.
        InvalidNetworkError: if a class name is there twice, or their number is not that of the scores.

    Examples:
        >>> import keras
        >>> import matlab_bridge as mb
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, activation="relu")])
        >>> [layer.kind for layer in mb.from_keras(model).layers]
        ['ImageInputLayer', 'Convolution2DLayer', 'ReLULayer']
    """
    network = origin(model)
    if network is None:
        network = Translation(model).network()
    else:
        network = _own_network(network, model) or _smaller_network(network, model)
    return with_class_names(network, class_names)


def _own_network(network: Network, model: keras.Model) -> Network | None:
    """The network that the model was converted from, with the model's weights, if it is known to be still the same."""
    values = with_known_paths(network, model_values(model))
    if not variable_paths(network).keys() <= values.keys():
        return None
    stored = {(layer.name, name): array for layer in network.layers for name, array in layer.parameters.items()}
    if any(key not in stored or stored[key].size == 0 for key in variable_paths(network).values()):
        return None  # there are no weights yet whose sizes could be compared with the model's
    try:
        return _as_in_keras(network.with_parameters(to_matlab(network, values)))
    except NetworkMismatchError:  # it has been cut down since
        return None


def _smaller_network(network: Network, model: keras.Model) -> Network:
    """The network of a model that has been cut down since: the old one with other sizes, or one of Keras' layers.

    Which is tried first depends on where the whole network came from: a deep one keeps MATLAB's own layers, and what
    has no such layers, such as a shallow network or matrices, gets them.
    """

    def smaller() -> Network:
        return _as_in_keras(resize(network, model))

    def translated() -> Network:
        return replace(Translation(model).network(), class_names=network.class_names)

    is_deep = any(layer.class_name.startswith("nnet.") and not _is_input(layer) for layer in network.layers)
    objections = []
    for way in (smaller, translated) if is_deep else (translated, smaller):
        try:
            return way()
        except NetworkError as error:
            objections.append(f"  {error}")
    first = (
        "The model is smaller than the network that it was converted from, or was changed otherwise, and what is left "
        "of it has no form in MATLAB:"
    )
    last = (
        "Leave that layer, and those that feed it, as large as they were (exclude=), or set weights to zero instead "
        "and write them into the file of the whole network with save_network."
    )
    raise UnsupportedLayerError("\n".join([first, *objections, last]))


def _as_in_keras(network: Network) -> Network:
    """The network without normalizations that have no statistics yet, for the model has none in their place."""

    def plain(layer: Layer) -> Layer:
        if Normalization.of(layer).is_trained:
            return layer
        return replace(layer, settings={**layer.settings, "Normalization": "none"})

    return replace(network, layers=tuple(plain(layer) if _is_input(layer) else layer for layer in network.layers))


def _is_input(layer: Layer) -> bool:
    rule = rule_for(layer)
    return rule is not None and rule.is_input
