"""Small networks for tests, written down as MATLAB would save or show them."""

from __future__ import annotations

from typing import Any

import numpy as np

from matlab_bridge import Connection, Layer, Network

NNET = "nnet.cnn.layer."


def single(seed: int, *shape: int) -> np.ndarray[Any, Any]:
    """Numbers in single precision, as all of MATLAB's weights are."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def row(*numbers: float) -> np.ndarray[Any, Any]:
    """A MATLAB row of doubles."""
    return np.array([numbers], dtype=float)


def branching() -> Network:
    """An image classifier with a branch, as MATLAB saves a DAGNetwork."""
    convolution = {
        "FilterSize": row(3, 3),
        "NumFilters": row(4),
        "Stride": row(1, 1),
        "DilationFactor": row(1, 1),
        "PaddingMode": "same",
        "PaddingSize": row(1, 1, 1, 1),
        "PaddingValue": row(0),
    }
    normalization = {"Version": row(1), "Type": "zerocenter", "AverageImage": single(0, 1, 1, 2)}
    layers = (
        Layer("in", f"{NNET}ImageInputLayer", {"InputSize": row(8, 6, 2), "Normalization": normalization}),
        Layer(
            "conv",
            f"{NNET}Convolution2DLayer",
            {**convolution, "NumChannels": row(2)},
            {"Weights": single(1, 3, 3, 2, 4), "Bias": single(2, 1, 1, 4)},
        ),
        Layer(
            "norm",
            f"{NNET}BatchNormalizationLayer",
            {"Epsilon": row(1e-3), "NumChannels": row(4)},
            {"Offset": single(3, 1, 1, 4), "Scale": single(4, 1, 1, 4)},
            {"TrainedMean": single(5, 1, 1, 4), "TrainedVariance": np.abs(single(6, 1, 1, 4))},
        ),
        Layer("relu", f"{NNET}ReLULayer"),
        Layer("add", f"{NNET}AdditionLayer", {"NumInputs": row(2)}),
        Layer(
            "pool",
            f"{NNET}MaxPooling2DLayer",
            {
                "PoolSize": row(2, 2),
                "Stride": row(2, 2),
                "PaddingMode": "manual",
                "PaddingSize": row(0, 0, 0, 0),
                "HasUnpoolingOutputs": np.array([[False]]),
            },
        ),
        Layer(
            "fc",
            f"{NNET}FullyConnectedLayer",
            {"InputSize": row(4, 3, 4), "OutputSize": row(1, 1, 3)},
            {"Weights": single(7, 4, 3, 4, 3), "Bias": single(8, 1, 1, 3)},
        ),
        Layer("softmax", f"{NNET}SoftmaxLayer"),
        Layer("out", f"{NNET}ClassificationOutputLayer", {"OutputSize": row(3)}),
    )
    connections = (
        Connection("in", "conv"),
        Connection("conv", "norm"),
        Connection("norm", "relu"),
        Connection("relu", "add", destination_port="in1"),
        Connection("conv", "add", destination_port="in2"),
        Connection("add", "pool"),
        Connection("pool", "fc"),
        Connection("fc", "softmax"),
        Connection("softmax", "out"),
    )
    return Network(layers, connections, ("cat", "dog", "fox"), class_name="DAGNetwork", output_names=("out",))
