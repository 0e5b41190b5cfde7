"""From a MATLAB layer object to a `Layer`: what is a setting, what a learnable, what a state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from matlab_bridge._layer import Array, Layer
from matlab_bridge._layer_classes import KNOWN_CLASSES, is_mathworks
from matlab_bridge.matfile._elements import numeric, texts
from matlab_bridge.matfile._values import MatlabObject

# What MATLAB keeps for itself: the version of the class's saved form, its mixins, its GPU's tuning.
_PRIVATE = frozenset({"any", "Name", "Version", "PrivateNumStates", "CudnnGPUAlgoForward"})

# States that are plain arrays. The others are structs of a Value and whether to Remember it between batches.
_STATES = frozenset({"TrainedMean", "TrainedVariance", "InitialHiddenState", "InitialCellState"})

# The learnables of MathWorks' classes, wherever the class stores them as plain arrays.
_WEIGHTS, _AFFINE, _RECURRENT = ("Weights", "Bias"), ("Offset", "Scale"), ("InputWeights", "RecurrentWeights", "Bias")
_PROJECTED = (*_RECURRENT, "InputProjector", "OutputProjector")
_LEARNABLES = {
    **dict.fromkeys(("FullyConnectedLayer", "PatchEmbeddingLayer", "WordEmbeddingLayer"), _WEIGHTS),
    **dict.fromkeys((f"Convolution{rank}DLayer" for rank in (1, 2, 3)), _WEIGHTS),
    **dict.fromkeys((f"TransposedConvolution{rank}DLayer" for rank in (1, 2, 3)), _WEIGHTS),
    **dict.fromkeys(("GroupedConvolution2DLayer",), _WEIGHTS),
    **dict.fromkeys(("EmbeddingConcatenationLayer", "PositionEmbeddingLayer"), ("Weights",)),
    **dict.fromkeys((f"{kind}NormalizationLayer" for kind in ("Batch", "Group", "Instance", "Layer")), _AFFINE),
    **dict.fromkeys(("LSTMLayer", "GRULayer", "BiLSTMLayer"), _RECURRENT),
    **dict.fromkeys(("LSTMProjectedLayer", "GRUProjectedLayer"), _PROJECTED),
    "SelfAttentionLayer": tuple(f"{part}{what}" for part in ("Query", "Key", "Value", "Output") for what in _WEIGHTS),
    "PReLULayer": ("Alpha",),
}
_LEARN_RATE = "LearnRateFactor"  # ends the name of the factor that stands beside a learnable

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

    A learnable is a struct with a `Value` and its learning rate, of which the value alone is kept; a `dlarray`; or a
    plain array, told by its class, or by the learning rate beside it (`WeightLearnRateFactor` beside `Weights`). In a
    layer class that a user wrote, an array in single precision is taken for a learnable, since MATLAB trains in single
    precision and keeps hyper-parameters in double. To MathWorks' own classes a user may have given a hyper-parameter
    in single precision.

    Args:
        layer: an object of a layer class.

    Returns:
        The layer: values in MATLAB's layout, exactly as stored.
    """
    learnables: dict[str, Array] = {}
    state: dict[str, Array] = {}
    settings: dict[str, Any] = {}
    known = _learnable_names(layer)
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
        elif _is_dlarray(value) or (name in known and numeric(value) is not None) or _is_own(layer.class_name, value):
            array = numeric(value)
            learnables[name] = np.zeros((0, 0)) if array is None else np.asarray(array)
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


def _is_own(class_name: str, value: Any) -> bool:
    """Whether a value is an array in single precision of a class that a user wrote."""
    return (
        not is_mathworks(class_name) and isinstance(value, np.ndarray) and value.dtype == np.float32 and value.size > 0
    )


def _learnable_names(layer: MatlabObject) -> set[str]:
    """The names of the learnables of a layer, by its class and by the learning rates beside them."""
    kind = layer.class_name.rpartition(".")[2]
    # A class that is newer than the list has learnables of the usual names.
    is_newer = layer.class_name.startswith("nnet.cnn.layer.") and layer.class_name not in KNOWN_CLASSES
    names = set(_LEARNABLES.get(kind, _WEIGHTS if is_newer else ()))
    for name in layer.fields:
        if name.endswith(_LEARN_RATE) and not name.startswith("nnet."):
            stem = name.removesuffix(_LEARN_RATE)
            names |= {stem, f"{stem}s", stem.removesuffix("s")}
    return names
