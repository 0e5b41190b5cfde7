"""MATLAB's network objects made by hand, in the forms that its versions have saved them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matlab_bridge.matfile import MatlabObject, ObjectArray
from matlab_bridge.network import Source

SOURCE = Source(Path("trained.mat"), "net", "SeriesNetwork")

EMPTY = np.zeros((0, 0))


def row(*numbers: float) -> np.ndarray:
    return np.array([numbers], dtype=float)


def cell(*items: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """A cell column, or a cell of the shape."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape or (-1, 1), order="F")


def learnable(value: Any) -> dict[str, Any]:
    return {"Value": np.asarray(value, np.float32), "LearnRateFactor": row(1), "L2Factor": row(1)}


def untrained() -> dict[str, Any]:
    return {"Value": EMPTY, "LearnRateFactor": row(1), "L2Factor": row(1)}


def saved(class_name: str, **fields: Any) -> MatlabObject:
    """An object whose class has a saveobj method: what that returned is the property `any`."""
    return MatlabObject(class_name, {"Version": row(1), "any": {"Version": row(2), **fields}})


def layer(kind: str, name: str = "", **fields: Any) -> MatlabObject:
    return saved(f"nnet.cnn.layer.{kind}", Name=name, **fields)


def layers(*elements: MatlabObject) -> ObjectArray:
    return ObjectArray(cell(*elements), "nnet.cnn.layer.Layer")


def connections(*ends: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame({"Source": [start for start, _ in ends], "Destination": [end for _, end in ends]})


def series_network(*elements: MatlabObject) -> MatlabObject:
    return saved("SeriesNetwork", Layers=layers(*elements))


def layer_graph(*elements: MatlabObject, table: Any) -> MatlabObject:
    return saved("nnet.cnn.LayerGraph", Layers=layers(*elements), Connections=table)


def dlnetwork(*elements: MatlabObject, table: Any, outputs: Any = EMPTY) -> MatlabObject:
    graph = layer_graph(*elements, table=table)
    return saved("dlnetwork", LayerGraph=graph, Initialized=np.array([[True]]), OutputNames=outputs)


def fully_connected(name: str, weights: Any = ((1.0, 2.0),), bias: Any = ((0.5,),)) -> MatlabObject:
    """By default a trained one of two inputs and one output."""
    weights, bias = np.asarray(weights, np.float32), np.asarray(bias, np.float32)
    return layer(
        "FullyConnectedLayer",
        name,
        InputSize=row(weights.shape[1]),
        OutputSize=row(weights.shape[0]),
        Weights=learnable(weights),
        Bias=learnable(bias),
    )


def small_network(weight: float = 1.0) -> MatlabObject:
    """Features, one fully connected layer, a regression."""
    return series_network(
        layer("FeatureInputLayer", "input", InputSize=row(2), Normalization=EMPTY),
        fully_connected("fc", [[weight, 2.0]]),
        layer("RegressionOutputLayer", "regressionoutput", ResponseNames=cell("Response")),
    )
