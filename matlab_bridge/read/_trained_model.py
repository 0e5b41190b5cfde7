"""Neural networks of the Statistics toolbox: fitcnet, fitrnet, and what the Classification Learner exports.

The objects keep `LayerWeights` and `LayerBiases`, cells of one matrix a layer, the names of the activations,
and, where the predictors were standardized, their `Mu` and `Sigma`.

An export that reduces the predictors to principal components first is read whole: its components are
(x - `PCACenters`) * `PCACoefficients`.

Source: https://www.mathworks.com/help/stats/classificationneuralnetwork.html and
https://www.mathworks.com/help/stats/export-classification-model-for-use-with-new-data.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from matlab_bridge._errors import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge._layer import Layer
from matlab_bridge.matfile._elements import numeric, texts
from matlab_bridge.matfile._values import MatlabObject
from matlab_bridge.network import Network, Source, WeightLayer, series

from ._walk import walk
from ._weights import read_described

_CLASSES = frozenset(
    f"{size}{task}NeuralNetwork" for size in ("", "Compact") for task in ("Classification", "Regression")
)


def is_trained_model(value: Any) -> bool:
    """Whether a value is a neural network that fitcnet or fitrnet trained, whole or compact."""
    return isinstance(value, MatlabObject) and value.class_name.rpartition(".")[2] in _CLASSES


def read_trained_model(value: Any, source: Source) -> Network:
    """Read a trained model.

    Args:
        value: the object; what it keeps in an object inside it is found there.
        source: where it stands.

    Returns:
        The network, the standardization of the predictors in its input layer.

    Raises:
        InvalidNetworkError: if it holds no weights.
    """
    found = next(walk(value, "model", lambda part: True if "LayerWeights" in _fields(part) else None), None)
    if found is None:
        raise InvalidNetworkError(
            f"The {value.class_name} {source.variable!r} of {source.path.name} holds no LayerWeights: it has "
            f"{', '.join(value.fields) or 'no properties'}."
        )
    path, holder, _ = found
    fields = {**value.fields, **_fields(holder)}
    count = int(np.size(fields["LayerWeights"]))
    hidden = texts(fields.get("Activations")) or ("relu",)
    is_classifier = "Classification" in value.class_name
    last = texts(fields.get("OutputLayerActivation")) or ("softmax" if is_classifier else "none",)
    activations = [*(hidden * count if len(hidden) == 1 else hidden)[: count - 1], *last]
    describe = [
        WeightLayer(f"{path}.LayerWeights{{{k}}}", f"{path}.LayerBiases{{{k}}}", activation, name=f"layer_{k}")
        for k, activation in enumerate(activations, start=1)
    ]
    network = read_described({"model": value}, describe, source)
    entry = network.layers[0]
    settings = {**entry.settings, "Normalization": _normalization(fields)}
    return replace(
        network,
        layers=(replace(entry, settings=settings), *network.layers[1:]),
        class_names=_class_names(fields) if is_classifier else (),
    )


def is_reduced_export(value: Any) -> bool:
    """Whether a value is an export with principal components before a neural network."""
    return (
        isinstance(value, Mapping)
        and {"PCACenters", "PCACoefficients"} <= value.keys()
        and any(map(is_trained_model, value.values()))
    )


def read_reduced_export(value: Any, source: Source) -> Network:
    """Read an export that `is_reduced_export` matched.

    Args:
        value: the struct.
        source: where it stands.

    Returns:
        The network from the predictors on, the components as its first layer.

    Raises:
        UnsupportedLayerError: if the network takes other predictors beside the components, as it does
            categorical ones.
    """
    network = read_trained_model(next(filter(is_trained_model, value.values())), source)
    coefficients = np.asarray(value["PCACoefficients"], dtype=float)
    entry, *layers = network.layers
    if int(np.sum(entry.settings["InputSize"])) != coefficients.shape[1]:
        raise UnsupportedLayerError(
            f"The network of {source.variable!r} takes {int(np.sum(entry.settings['InputSize']))} predictors, and "
            f"{coefficients.shape[1]} principal components are made for it: the others do not go through "
            "PCACoefficients, and have no conversion."
        )
    # The components are standardized once more, by the network's own Mu and Sigma.
    scale = _standardization(entry)
    centers = {"Type": "zerocenter", "Mean": np.reshape(value["PCACenters"], (-1, 1))}
    first = replace(
        entry, settings={"InputSize": np.array([[len(coefficients)]], dtype=float), "Normalization": centers}
    )
    found = (
        first,
        Layer("components", "processpca", {"transform": coefficients.T}),
        *([Layer("standardized", "mapstd", scale)] if scale else []),
        *layers,
    )
    return replace(network, layers=found, connections=series(layer.name for layer in found))


def _standardization(entry: Layer) -> dict[str, Any]:
    stored = entry.settings["Normalization"]
    if not isinstance(stored, Mapping):
        return {}
    deviation = np.asarray(stored["Std"], dtype=float)
    return {"xoffset": stored["Mean"], "gain": 1 / np.where(deviation == 0, 1, deviation), "ymean": np.zeros((1, 1))}


def _fields(value: Any) -> Mapping[str, Any]:
    if isinstance(value, MatlabObject):
        return value.fields
    return value if isinstance(value, Mapping) else {}


def _normalization(fields: Mapping[str, Any]) -> Any:
    mean, deviation = numeric(fields.get("Mu")), numeric(fields.get("Sigma"))
    if mean is None or deviation is None or not mean.size:
        return np.zeros((0, 0))
    return {"Type": "zscore", "Mean": mean.reshape(-1, 1), "Std": deviation.reshape(-1, 1)}


def _class_names(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Names, or numbers and logicals in MATLAB's shortest form."""
    summary = _fields(fields.get("ClassSummary"))
    stored = fields.get("ClassNames", summary.get("ClassNames"))
    numbers = stored if isinstance(stored, np.ndarray) and stored.dtype.kind in "fiub" else None
    return texts(stored) if numbers is None else tuple(f"{number:g}" for number in numbers.ravel(order="F"))
