"""The documented function that makes each layer in MATLAB: what it takes in order, and what by name.

One row a class of layer. An option is a public property with the value that it has when it is not given. `"Padding"`
and `"Cropping"` stand for a mode and a size, which are two properties. `NumChannels` is no option here: MATLAB finds it
out when it initializes the network.

Source: https://www.mathworks.com/help/deeplearning/ug/list-of-deep-learning-layers.html and the pages it lists
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from matlab_bridge._layer import Layer
from matlab_bridge._layer_classes import NAMESAKES
from matlab_bridge._normalization import Normalization

_IMAGES = "Image Processing Toolbox"
_REINFORCEMENT = "Reinforcement Learning Toolbox"

# The packages whose classes have the functions of the table; a class of the user's may end in the same word.
_PACKAGES = ("nnet.", "rl.", "images.", "vision.")


@dataclass(frozen=True, slots=True)
class Constructor:
    """The function that makes a layer.

    Attributes:
        function: its name, such as `"convolution2dLayer"`.
        arguments: the settings that it takes in order.
        options: the settings that it takes by name, and the value of each when it is not given.
        since: the release that brought it.
        toolbox: the toolbox that it needs beside Deep Learning Toolbox; empty for none.
    """

    function: str
    arguments: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    since: str = "R2019b"
    toolbox: str = ""

    def objection(self, layer: Layer) -> str | None:
        """Why the function cannot make this layer, or None.

        Args:
            layer: with its settings as MATLAB shows them.
        """
        if missing := [name for name in self.arguments if not _is_given(_setting(layer, name))]:
            return f"{self.function} needs {' and '.join(missing)}, which it has not"
        if np.size(layer.settings.get("NumFilters", 1)) > 1:
            return f"its NumFilters are of several groups, and {self.function} makes one group only"
        if "Normalization" in self.options and layer.settings.get("Normalization", "none") not in _NORMALIZATIONS:
            return f"its Normalization is {layer.settings['Normalization']!r}, not one of {', '.join(_NORMALIZATIONS)}"
        if "Normalization" in self.options and not Normalization.of(layer).is_trained:
            return "its Normalization has no statistics yet; train the network first"
        return None

    def given(self, layer: Layer) -> Iterator[tuple[str, Any]]:
        """The options of a layer whose values differ from the default."""
        for name, default in self.options.items():
            value = _setting(layer, name)
            if _is_given(value) and not _are_equal(value, default):
                yield name, value

    def ordered(self, layer: Layer) -> Iterator[tuple[str, Any]]:
        """The arguments of a layer that its function takes in order."""
        for name in self.arguments:
            yield name, _setting(layer, name)


def constructor_of(layer: Layer) -> Constructor | None:
    """The function that makes a layer, or None where there is none."""
    is_known = layer.class_name.startswith(_PACKAGES) and layer.class_name not in NAMESAKES
    return CONSTRUCTORS.get(layer.kind) if is_known else None


def _setting(layer: Layer, name: str) -> Any:
    if name in ("Padding", "Cropping"):
        mode = layer.settings.get(f"{name}Mode", "manual")
        return layer.settings.get(f"{name}Size", layer.settings.get(name)) if mode == "manual" else mode
    if name == "Location" and layer.settings.get("Mode") == "centercrop":
        return "centercrop"
    # Without the setting, an input layer does what the setting "none" says.
    return layer.settings.get(name, "none" if name == "Normalization" else None)


def _is_given(value: Any) -> bool:
    return value is not None and np.size(value) > 0


def _are_equal(value: Any, default: Any) -> bool:
    if default is None or isinstance(value, str) or isinstance(default, str):
        return bool(isinstance(value, str) and value == default)
    # Keras keeps 1 - 0.9 as 0.09999999999999998.
    return bool(np.all(np.isclose(np.asarray(value, dtype=float), default, rtol=1e-12, atol=0)))


_NORMALIZATIONS = ("none", "zerocenter", "zscore", "rescale-zero-one", "rescale-symmetric")
_STATISTICS = {"Mean": None, "StandardDeviation": None, "Min": None, "Max": None}
_SEQUENCE = {"Normalization": "none", **_STATISTICS, "SplitComplexInputs": False}
_IMAGE = {"Normalization": "zerocenter", **_STATISTICS, "SplitComplexInputs": False}
_CONVOLUTION = {"Stride": 1, "DilationFactor": 1, "Padding": 0, "PaddingValue": 0}
_TRANSPOSED = {"Stride": 1, "Cropping": 0}
_MAX_POOLING = {"Stride": 1, "Padding": 0}
_MEAN_POOLING = {"Stride": 1, "Padding": 0, "PaddingValue": 0}
_EPSILON = {"Epsilon": 1e-5}
_STATES = {"HasStateInputs": False, "HasStateOutputs": False}
_LSTM = {"OutputMode": "sequence", "StateActivationFunction": "tanh", "GateActivationFunction": "sigmoid", **_STATES}
_GRU = {**_LSTM, "ResetGateMode": "after-multiplication"}
_RESIZE = {
    "Scale": None,
    "OutputSize": None,
    "Method": "nearest",
    "GeometricTransformMode": "half-pixel",
    "NearestRoundingMode": "round",
    "EnableReferenceInput": False,
}
_ATTENTION = {
    "NumValueChannels": "auto",
    "OutputSize": "auto",
    "HasPaddingMaskInput": False,
    "AttentionMask": "none",
    "DropoutProbability": 0,
    "HasScoresOutput": False,
}
_FILTERS = ("FilterSize", "NumFilters")
_PROJECTED = ("NumHiddenUnits", "OutputProjectorSize", "InputProjectorSize")

CONSTRUCTORS: Mapping[str, Constructor] = {
    # inputs
    "FeatureInputLayer": Constructor("featureInputLayer", ("InputSize",), _SEQUENCE, "R2020b"),
    "Image3DInputLayer": Constructor("image3dInputLayer", ("InputSize",), _IMAGE),
    "ImageInputLayer": Constructor("imageInputLayer", ("InputSize",), _IMAGE),
    "InputLayer": Constructor("inputLayer", ("InputSize", "InputFormat"), since="R2023b"),
    "SequenceInputLayer": Constructor("sequenceInputLayer", ("InputSize",), {**_SEQUENCE, "MinLength": 1}),
    # convolutions and products
    "Convolution1DLayer": Constructor("convolution1dLayer", _FILTERS, _CONVOLUTION, "R2021b"),
    "Convolution2DLayer": Constructor("convolution2dLayer", _FILTERS, _CONVOLUTION),
    "Convolution3DLayer": Constructor("convolution3dLayer", _FILTERS, _CONVOLUTION),
    "FullyConnectedLayer": Constructor("fullyConnectedLayer", ("OutputSize",)),
    "GroupedConvolution2DLayer": Constructor(
        "groupedConvolution2dLayer", ("FilterSize", "NumFiltersPerGroup", "NumGroups"), _CONVOLUTION
    ),
    "TransposedConvolution1DLayer": Constructor("transposedConv1dLayer", _FILTERS, _TRANSPOSED, "R2022a"),
    "TransposedConvolution2DLayer": Constructor("transposedConv2dLayer", _FILTERS, _TRANSPOSED),
    "TransposedConvolution3DLayer": Constructor("transposedConv3dLayer", _FILTERS, _TRANSPOSED),
    # sequences
    "AttentionLayer": Constructor(
        "attentionLayer",
        ("NumHeads",),
        {"Scale": "auto", "HasPaddingMaskInput": False, "AttentionMask": "none", "DropoutProbability": 0}
        | {"HasScoresOutput": False},
        "R2024a",
    ),
    "BiLSTMLayer": Constructor("bilstmLayer", ("NumHiddenUnits",), _LSTM),
    "GRULayer": Constructor("gruLayer", ("NumHiddenUnits",), _GRU, "R2020a"),
    "GRUProjectedLayer": Constructor("gruProjectedLayer", _PROJECTED, _GRU, "R2023b"),
    "EmbeddingConcatenationLayer": Constructor("embeddingConcatenationLayer", since="R2023b"),
    "Indexing1DLayer": Constructor("indexing1dLayer", ("Index",), since="R2023b"),
    "SequenceFoldingLayer": Constructor("sequenceFoldingLayer"),
    "SequenceUnfoldingLayer": Constructor("sequenceUnfoldingLayer"),
    "WordEmbeddingLayer": Constructor(
        "wordEmbeddingLayer",
        ("Dimension", "NumWords"),
        {"OOVMode": "map-to-last"},
        toolbox="Text Analytics Toolbox",
    ),
    "LSTMLayer": Constructor("lstmLayer", ("NumHiddenUnits",), _LSTM),
    "LSTMProjectedLayer": Constructor("lstmProjectedLayer", _PROJECTED, _LSTM, "R2022b"),
    "PositionEmbeddingLayer": Constructor(
        "positionEmbeddingLayer", ("OutputSize", "MaxPosition"), {"PositionDimension": "auto"}, "R2023b"
    ),
    "SelfAttentionLayer": Constructor("selfAttentionLayer", ("NumHeads", "NumKeyChannels"), _ATTENTION, "R2023a"),
    # normalizations
    "BatchNormalizationLayer": Constructor(
        "batchNormalizationLayer", (), {**_EPSILON, "MeanDecay": 0.1, "VarianceDecay": 0.1}
    ),
    "CrossChannelNormalizationLayer": Constructor(
        "crossChannelNormalizationLayer", ("WindowChannelSize",), {"Alpha": 1e-4, "Beta": 0.75, "K": 2}
    ),
    "GroupNormalizationLayer": Constructor("groupNormalizationLayer", ("NumGroups",), _EPSILON, "R2020b"),
    "InstanceNormalizationLayer": Constructor("instanceNormalizationLayer", (), _EPSILON, "R2021a"),
    "LayerNormalizationLayer": Constructor(
        "layerNormalizationLayer", (), {**_EPSILON, "OperationDimension": "auto"}, "R2021a"
    ),
    # activations, and layers that act in training only
    "ClippedReLULayer": Constructor("clippedReluLayer", ("Ceiling",)),
    "DropoutLayer": Constructor("dropoutLayer", ("Probability",)),
    "ELULayer": Constructor("eluLayer", ("Alpha",)),
    "GELULayer": Constructor("geluLayer", (), {"Approximation": "none"}, "R2022b"),
    "IdentityLayer": Constructor("identityLayer", since="R2024b"),
    "LeakyReLULayer": Constructor("leakyReluLayer", ("Scale",)),
    "PReLULayer": Constructor("preluLayer", since="R2024b"),
    "ReLULayer": Constructor("reluLayer"),
    "SigmoidLayer": Constructor("sigmoidLayer", since="R2020b"),
    "SoftmaxLayer": Constructor("softmaxLayer"),
    "SoftplusLayer": Constructor("softplusLayer", since="R2020a", toolbox=_REINFORCEMENT),
    "SpatialDropoutLayer": Constructor("spatialDropoutLayer", ("Probability",), since="R2024a"),
    "SwishLayer": Constructor("swishLayer", since="R2021a"),
    "TanhLayer": Constructor("tanhLayer"),
    # pooling
    "AdaptiveAveragePooling2DLayer": Constructor("adaptiveAveragePooling2dLayer", ("OutputSize",), since="R2024a"),
    "AveragePooling1DLayer": Constructor("averagePooling1dLayer", ("PoolSize",), _MEAN_POOLING, "R2021b"),
    "AveragePooling2DLayer": Constructor("averagePooling2dLayer", ("PoolSize",), _MEAN_POOLING),
    "AveragePooling3DLayer": Constructor("averagePooling3dLayer", ("PoolSize",), _MEAN_POOLING),
    "GlobalAveragePooling1DLayer": Constructor("globalAveragePooling1dLayer", since="R2021b"),
    "GlobalAveragePooling2DLayer": Constructor("globalAveragePooling2dLayer"),
    "GlobalAveragePooling3DLayer": Constructor("globalAveragePooling3dLayer"),
    "GlobalMaxPooling1DLayer": Constructor("globalMaxPooling1dLayer", since="R2021b"),
    "GlobalMaxPooling2DLayer": Constructor("globalMaxPooling2dLayer", since="R2020a"),
    "GlobalMaxPooling3DLayer": Constructor("globalMaxPooling3dLayer", since="R2020a"),
    "MaxPooling1DLayer": Constructor("maxPooling1dLayer", ("PoolSize",), _MAX_POOLING, "R2021b"),
    "MaxPooling2DLayer": Constructor(
        "maxPooling2dLayer", ("PoolSize",), {**_MAX_POOLING, "HasUnpoolingOutputs": False}
    ),
    "MaxPooling3DLayer": Constructor("maxPooling3dLayer", ("PoolSize",), _MAX_POOLING),
    "MaxUnpooling2DLayer": Constructor("maxUnpooling2dLayer"),
    # the shape of the data
    "Crop2DLayer": Constructor("crop2dLayer", ("Location",)),
    "Crop3DLayer": Constructor("crop3dLayer", ("Location",)),
    "DepthToSpace2DLayer": Constructor("depthToSpace2dLayer", ("BlockSize",), {"Mode": "dcr"}, "R2021a", _IMAGES),
    "FlattenLayer": Constructor("flattenLayer"),
    "Resize2DLayer": Constructor("resize2dLayer", (), _RESIZE, "R2020b", _IMAGES),
    "Resize3DLayer": Constructor("resize3dLayer", (), _RESIZE, "R2020b", _IMAGES),
    "SpaceToDepthLayer": Constructor("spaceToDepthLayer", ("BlockSize",), since="R2020b", toolbox=_IMAGES),
    # several inputs, and arithmetic
    "AdditionLayer": Constructor("additionLayer", ("NumInputs",)),
    "ConcatenationLayer": Constructor("concatenationLayer", ("Dim", "NumInputs")),
    "DepthConcatenationLayer": Constructor("depthConcatenationLayer", ("NumInputs",)),
    "MultiplicationLayer": Constructor("multiplicationLayer", ("NumInputs",), since="R2020b"),
    "QuadraticLayer": Constructor("quadraticLayer", toolbox=_REINFORCEMENT),
    # The offset is called Bias before R2025a.
    "ScalingLayer": Constructor("scalingLayer", (), {"Scale": 1, "Bias": 0, "Offset": 0}, toolbox=_REINFORCEMENT),
}
