"""Networks that a file keeps as plain matrices, read by a description: `WeightLayer` after `WeightLayer`.

The user gives the description, or the names and shapes in the file leave only one. Two forms do:

| form                              | what it means                                                          |
|-----------------------------------|------------------------------------------------------------------------|
| `Theta1`, `Theta2`, ...           | the bias is the first column, each layer a sigmoid: Andrew Ng's course |
| cells `W`, `b` with activations   | `W{k}` x + `b{k}`, and a name of an activation for each layer          |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from matlab_bridge._errors import InvalidNetworkError
from matlab_bridge._layer import Array, Layer, Part
from matlab_bridge.matfile._elements import numeric, texts
from matlab_bridge.network import Network, Source, WeightLayer, series

from ._walk import follow

_FULLY_CONNECTED = "dotprod"

# The words of Keras, of MATLAB's statistics toolbox and of other people for MATLAB's transfer functions.
_TRANSFERS = {
    "identity": "purelin",
    "linear": "purelin",
    "none": "purelin",
    "logistic": "logsig",
    "relu": "poslin",
    "sigmoid": "logsig",
    "softmax": "softmax",
    "softsign": "elliotsig",
    "tanh": "tansig",
}
_THETA = re.compile(r"Theta_?(\d{1,9})", re.IGNORECASE)
_WEIGHT_CELLS = ("W", "weights", "LayerWeights")
_BIAS_CELLS = ("b", "bias", "biases", "LayerBiases")
_ACTIVATION_CELLS = ("activation_fcns", "activations", "activation", "Activations", "transferFcns")
_ORIENTATION = "inputs x outputs"


def read_described(variables: Mapping[str, Any], describe: Sequence[WeightLayer], source: Source) -> Network:
    """Read the matrices that a description names.

    Args:
        variables: the variables of the file, by name.
        describe: the layers, the first one first.
        source: where the network stands.

    Returns:
        The network, a series; its class name is that of the source.

    Raises:
        VariableNotFoundError: if nothing is where the description points.
        InvalidNetworkError: if it is no matrix there, or the matrices do not fit together.
    """
    if not describe:
        raise InvalidNetworkError("A description of a network has at least one WeightLayer.")
    layers = [_layer(variables, each) for each in describe]
    for (before, after), each in zip(pairwise(layers), describe[1:], strict=True):
        if _outputs(before) != _inputs(after):
            raise InvalidNetworkError(
                f"{each.weights} takes {_inputs(after)} inputs, and the layer before it, {before.name!r}, gives "
                f"{_outputs(before)} outputs. Is its orientation {each.orientation!r}, and its bias_column "
                f"{each.bias_column!r}?"
            )
    entry = Layer(
        "input" if all(layer.name != "input" for layer in layers) else "features",
        "nnet.cnn.layer.FeatureInputLayer",
        {"InputSize": np.array([[_inputs(layers[0])]], dtype=float), "Normalization": np.zeros((0, 0))},
    )
    found = [entry]
    for layer, each in zip(layers, describe, strict=True):
        found.append(layer)
        transfer = _TRANSFERS.get(each.activation.lower(), each.activation)
        if transfer != "purelin":
            found.append(Layer(f"{layer.name}_{transfer}", transfer))
    return Network(tuple(found), series(layer.name for layer in found), source=source, class_name=source.class_name)


def _layer(variables: Mapping[str, Any], each: WeightLayer) -> Layer:
    stored = _matrix(variables, each.weights)
    is_transposed = each.orientation == _ORIENTATION
    parts: dict[str, Part] = {}
    learnables = {"Weights": stored}
    if each.bias:
        learnables["Bias"] = _matrix(variables, each.bias)
    elif each.bias_column:
        parts = _split(each, stored, is_transposed=is_transposed)
        learnables = {name: stored[part.index] for name, part in parts.items()}
    settings = {"Orientation": _ORIENTATION} if is_transposed else {}
    layer = Layer(each.name, _FULLY_CONNECTED, settings, learnables, parts=parts)
    if "Bias" in learnables and learnables["Bias"].size != _outputs(layer):
        raise InvalidNetworkError(
            f"{each.bias or each.weights} holds {learnables['Bias'].size} biases, and {each.weights} is "
            f"{'x'.join(map(str, stored.shape))}: as {each.orientation!r} it has {_outputs(layer)} outputs."
        )
    return layer


def _split(each: WeightLayer, stored: Array, *, is_transposed: bool) -> dict[str, Part]:
    """A matrix whose first or last column is the bias; of a transposed one, its first or last row."""
    first = each.bias_column == "first"
    weights, bias = (slice(1, None), slice(0, 1)) if first else (slice(0, -1), slice(-1, None))
    whole = slice(None)

    def part(columns: slice) -> Part:
        return Part(each.weights, stored, (columns, whole) if is_transposed else (whole, columns))

    return {"Weights": part(weights), "Bias": part(bias)}


def _matrix(variables: Mapping[str, Any], path: str) -> Array:
    value = follow(variables, path)
    array = numeric(value)
    if array is None or array.ndim != 2 or array.size == 0:
        words = f"{array.dtype} of shape {array.shape}" if array is not None else type(value).__name__
        raise InvalidNetworkError(f"{path} is {words}, and a matrix of weights was expected.")
    return array


def _outputs(layer: Layer) -> int:
    return int(layer.learnables["Weights"].shape[1 if layer.settings else 0])


def _inputs(layer: Layer) -> int:
    return int(layer.learnables["Weights"].shape[0 if layer.settings else 1])


# Recognising a description by names and shapes.


def recognize(fields: Mapping[str, Any]) -> tuple[WeightLayer, ...]:
    """The description of a network that these fields are, if the names and shapes leave only one.

    Args:
        fields: of a struct, or the variables of a file.

    Returns:
        The layers; empty where the fields are no such network.
    """
    return _thetas(fields) or _cells(fields)


def _thetas(fields: Mapping[str, Any]) -> tuple[WeightLayer, ...]:
    numbered = sorted((int(match[1]), name) for name in fields if (match := _THETA.fullmatch(str(name))))
    matrices = [numeric(fields[name]) for _, name in numbered]
    if len(matrices) < 2 or any(matrix is None or matrix.ndim != 2 for matrix in matrices):
        return ()
    shapes = [matrix.shape for matrix in matrices if matrix is not None]
    # Each layer takes the outputs of the one before, and a one for the bias.
    if any(after[1] != before[0] + 1 for before, after in pairwise(shapes)):
        return ()
    return tuple(WeightLayer(name, activation="sigmoid", bias_column="first") for _, name in numbered)


def _cells(fields: Mapping[str, Any]) -> tuple[WeightLayer, ...]:
    weights, biases, activations = (
        next((name for name in names if name in fields), "")
        for names in (_WEIGHT_CELLS, _BIAS_CELLS, _ACTIVATION_CELLS)
    )
    if not (weights and biases and activations):
        return ()
    matrices, vectors = (_numbers(fields[name]) for name in (weights, biases))
    names = [name.strip() for name in texts(fields[activations])]
    if not matrices or not len(matrices) == len(vectors) == len(names):
        return ()
    chain = all(after.shape[1] == before.shape[0] for before, after in pairwise(matrices))
    if not chain or any(vector.size != matrix.shape[0] for matrix, vector in zip(matrices, vectors, strict=True)):
        return ()
    return tuple(
        WeightLayer(f"{weights}{{{number}}}", f"{biases}{{{number}}}", name, name=f"layer_{number}")
        for number, name in enumerate(names, start=1)
    )


def _numbers(value: Any) -> list[Array]:
    """The matrices of a cell; none if anything else is among them."""
    elements = list(np.ravel(value, order="F")) if isinstance(value, np.ndarray) and value.dtype == object else []
    arrays = [array for element in elements if (array := numeric(element)) is not None and array.ndim == 2]
    return arrays if len(arrays) == len(elements) else []


def is_weights(value: Any) -> bool:
    """Whether a value is a struct, or the variables of a file are, that `recognised` knows."""
    return isinstance(value, Mapping) and bool(recognize(value))


def read_weights(value: Any, source: Source) -> Network:
    """Read a struct of weights that `is_weights` matched."""
    return read_described(value, recognize(value), source)
