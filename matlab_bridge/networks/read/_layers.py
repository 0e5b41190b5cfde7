"""From a MATLAB layer object to a `Layer`: what is a setting, what a learnable, what a state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from matlab_bridge.matfile._values import MatlabObject
from matlab_bridge.networks._layer_classes import is_mathworks
from matlab_bridge.networks._network import Array, Layer

from ._values import numeric, texts

# What MATLAB keeps for itself: the version of the class's saved form, its mixins, its GPU's tuning.
_PRIVATE = frozenset({"any", "Name", "Version", "PrivateNumStates", "CudnnGPUAlgoForward"})

# States that are plain arrays. The others are structs of a Value and whether to Remember it between batches.
_STATES = frozenset({"TrainedMean", "TrainedVariance", "InitialHiddenState", "InitialCellState"})

# Classes of MathWorks' with learnables that are stored plainly.
_PLAIN_LEARNABLES = frozenset({"nnet.cnn.layer.PReLULayer"})

# The names of a layer's inputs and outputs, in their order.
_PORTS = {
    "nnet.layer.Layer.PrivateInputs": "InputNames",
    "nnet.layer.Layer.PrivateOutputs": "OutputNames",
}

# MATLAB's names for layers without one, by class: alone as they are, several as "conv_1", "conv_2".
_DEFAULT_NAMES = {
    "AdditionLayer": "addition",
    "AveragePooling2DLayer": "avgpool2d",
    "BatchNormalizationLayer": "batchnorm",
    "BiLSTMLayer": "biLSTM",
    "ClassificationOutputLayer": "classoutput",
    "Convolution1DLayer": "conv1d",
    "Convolution2DLayer": "conv",
    "CrossChannelNormalizationLayer": "crossnorm",
    "FeatureInputLayer": "input",
    "FullyConnectedLayer": "fc",
    "GlobalAveragePooling2DLayer": "gap",
    "GRULayer": "gru",
    "ImageInputLayer": "imageinput",
    "LSTMLayer": "lstm",
    "LeakyReLULayer": "leakyrelu",
    "MaxPooling2DLayer": "maxpool",
    "RegressionOutputLayer": "regressionoutput",
    "SequenceInputLayer": "sequenceinput",
    "TransposedConvolution2DLayer": "transposed-conv",
}


def read_layers(objects: Iterable[MatlabObject]) -> tuple[Layer, ...]:
    """Read the layers of one network.

    Args:
        objects: MATLAB's layer objects, in its order.

    Returns:
        The layers; those that MATLAB stored without a name carry the one it gives them when it assembles a
        network.
    """
    layers = [read_layer(element) for element in objects]
    nameless = Counter(layer.kind for layer in layers if not layer.name)
    numbers: Counter[str] = Counter()

    def named(layer: Layer) -> Layer:
        if layer.name:
            return layer
        numbers[layer.kind] += 1
        stem = _DEFAULT_NAMES.get(layer.kind, layer.kind.removesuffix("Layer").lower())
        return replace(layer, name=f"{stem}_{numbers[layer.kind]}" if nameless[layer.kind] > 1 else stem)

    return tuple(map(named, layers))


def read_layer(layer: MatlabObject) -> Layer:
    """Read one layer.

    A learnable is a struct with a `Value` and its learning rate; the value alone is kept. The properties of a
    layer class that a user wrote are stored plainly: there an array in single precision is taken for a
    learnable, since MATLAB trains in single precision and keeps hyper-parameters in double. Some of MathWorks' own
    classes are stored plainly too, and a user may have given them a hyper-parameter in single precision.

    Args:
        layer: an object of a layer class.

    Returns:
        The layer: values in MATLAB's layout, exactly as stored.
    """
    learnables: dict[str, Array] = {}
    state: dict[str, Array] = {}
    settings: dict[str, Any] = {}
    is_plain = "any" not in layer.properties
    may_be_trained = not is_mathworks(layer.class_name) or layer.class_name in _PLAIN_LEARNABLES
    for name, value in layer.fields.items():
        if name in _PORTS and (names := texts(value)) not in ((), ("in",), ("out",)):
            settings[_PORTS[name]] = np.array([names], dtype=object)
        if name in _PRIVATE or name.startswith("nnet."):
            continue
        if _has(value, "Value", "LearnRateFactor"):
            learnables[name] = _values_of(value)
        elif _has(value, "Value", "Remember"):
            state[name] = _values_of(value)
        elif name in _STATES:
            state[name] = np.asarray(value)
        elif is_plain and (_is_dlarray(value) or (may_be_trained and _is_single(value))):
            learnables[name] = np.asarray(numeric(value))
        else:
            settings[name] = value
    name = layer.fields.get("Name", "")
    return Layer(name if isinstance(name, str) else "", layer.class_name, settings, learnables, state)


def _has(value: Any, *fields: str) -> bool:
    return isinstance(value, Mapping) and all(field in value for field in fields)


def _values_of(parameter: Mapping[str, Any]) -> Array:
    array = numeric(parameter["Value"])
    return np.zeros((0, 0)) if array is None else array


def _is_dlarray(value: Any) -> bool:
    return isinstance(value, MatlabObject) and value.class_name == "dlarray"


def _is_single(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float32 and value.size > 0
