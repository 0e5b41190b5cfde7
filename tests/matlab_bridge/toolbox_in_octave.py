"""Stand-ins for the Deep Learning Toolbox in Octave, which record what they are asked for, and their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

# The documented functions that make a layer; each stand-in records its name and its arguments.
CONSTRUCTORS = [
    *(
        "imageInputLayer",
        "featureInputLayer",
        "sequenceInputLayer",
        "convolution1dLayer",
        "convolution2dLayer",
    ),
    *(
        "groupedConvolution2dLayer",
        "transposedConv2dLayer",
        "fullyConnectedLayer",
        "lstmLayer",
        "bilstmLayer",
    ),
    *("gruLayer", "batchNormalizationLayer", "layerNormalizationLayer", "groupNormalizationLayer"),
    *("crossChannelNormalizationLayer", "reluLayer", "leakyReluLayer", "clippedReluLayer", "eluLayer"),
    *("geluLayer", "swishLayer", "tanhLayer", "sigmoidLayer", "softmaxLayer", "maxPooling1dLayer"),
    *("maxPooling2dLayer", "maxUnpooling2dLayer", "averagePooling1dLayer", "averagePooling2dLayer"),
    *("globalAveragePooling1dLayer", "globalAveragePooling2dLayer", "globalMaxPooling1dLayer"),
    *("globalMaxPooling2dLayer", "resize2dLayer", "dropoutLayer", "flattenLayer", "additionLayer"),
    *("multiplicationLayer", "depthConcatenationLayer", "concatenationLayer", "image3dInputLayer", "inputLayer"),
    *("convolution3dLayer", "transposedConv1dLayer", "transposedConv3dLayer", "lstmProjectedLayer"),
    *("gruProjectedLayer", "maxPooling3dLayer", "averagePooling3dLayer", "adaptiveAveragePooling2dLayer"),
    *("globalAveragePooling3dLayer", "globalMaxPooling3dLayer", "sequenceFoldingLayer"),
    *("sequenceUnfoldingLayer", "indexing1dLayer", "embeddingConcatenationLayer", "wordEmbeddingLayer"),
]

STAND_INS = {
    "layerGraph": "function g = layerGraph()\ng = struct('Layers', {{}}, 'Connections', {{}});\nend\n",
    "addLayers": "function g = addLayers(g, layer)\ng.Layers{end+1} = layer;\nend\n",
    "connectLayers": "function g = connectLayers(g, a, b)\ng.Connections{end+1} = [a ' > ' b];\nend\n",
    "dlarray": "function x = dlarray(x)\nend\n",
    # What MATLAB would initialize lies ready: the sizes are the test's, not the product's.
    "dlnetwork": (
        "function net = dlnetwork(graph, varargin)\n"
        "net = load('initialized.mat');\nnet.Graph = graph;\nnet.Arguments = varargin;\nend\n"
    ),
}


def write_functions(folder: Path, code: dict[str, str]) -> None:
    for name, text in code.items():
        (folder / f"{name}.m").write_text(text, encoding="utf-8")


def parameter_table(*rows: tuple[str, str, tuple[int, ...]]) -> dict[str, Any]:
    """A stand-in for the table Learnables or State of a dlnetwork that was just initialized."""
    values = np.empty((len(rows), 1), dtype=object)
    for index, (_, _, shape) in enumerate(rows):
        values[index, 0] = np.zeros(shape, dtype=np.float32)
    column = lambda place: np.array([[r[place]] for r in rows], dtype=object)  # noqa: E731
    return {"Layer": column(0), "Parameter": column(1), "Value": values}


def initialize(folder: Path, learnables: list[Any], state: list[Any] | None = None) -> None:
    tables = {"Learnables": parameter_table(*learnables), "State": parameter_table(*(state or []))}
    scipy.io.savemat(folder / "initialized.mat", tables)


def load(path: Path) -> dict[str, Any]:
    return scipy.io.loadmat(path, simplify_cells=True)


def values_of(table: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (layer, parameter): value
        for layer, parameter, value in zip(
            np.atleast_1d(table["Layer"]), np.atleast_1d(table["Parameter"]), table["Value"], strict=True
        )
    }
