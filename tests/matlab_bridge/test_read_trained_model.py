"""Neural networks of fitcnet and fitrnet, against `predict` in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import matlab_bridge as mb
from matlab_bridge.matfile import FunctionHandle, MatlabObject
from matlab_bridge.read._registry import reader_of
from matlab_bridge.read._walk import walk

from .layer_tools import normal
from .objects_by_hand import EMPTY, cell, row

X = 3 * normal(0, 9, 3) + 10
W = [normal(1, 5, 3), normal(2, 4, 5), normal(3, 2, 4)]
B = [normal(4, 5, 1), normal(5, 4, 1), normal(6, 2, 1)]
MU, SIGMA = X.mean(axis=0, keepdims=True), X.std(axis=0, keepdims=True)


def model(class_name: str, **changes: Any) -> MatlabObject:
    fields = {
        "LayerWeights": cell(*W, shape=(1, -1)),
        "LayerBiases": cell(*B, shape=(1, -1)),
        "Activations": "relu",
        "OutputLayerActivation": "softmax",
        "Mu": MU,
        "Sigma": SIGMA,
        "ClassNames": pd.Categorical(["no", "yes"]),
    }
    return MatlabObject(class_name, fields | changes)


def load(value: Any) -> mb.Network:
    ((where, found, reader),) = walk(value, "trainedModel", reader_of)
    return reader.read(found, mb.Source(Path("model.mat"), where, reader.class_name(found)))


def predicted(network: mb.Network) -> np.ndarray:
    return keras.ops.convert_to_numpy(network.to_keras()(X.astype("f4"), training=False))


def scores(*activations: Any, standardized: bool = True) -> np.ndarray:
    values = (X - MU) / SIGMA if standardized else X
    for weights, bias, activation in zip(W, B, activations, strict=True):
        values = activation(values @ weights.T + bias.T)
    return values


def relu(n: np.ndarray) -> np.ndarray:
    return np.maximum(n, 0)


def softmax(n: np.ndarray) -> np.ndarray:
    exponentials = np.exp(n - n.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "class_name",
    ["ClassificationNeuralNetwork", "classreg.learning.classif.CompactClassificationNeuralNetwork"],
)
def test_classifiers(class_name: str) -> None:
    network = load(model(class_name))
    assert (network.class_name, network.class_names) == (class_name, ("no", "yes"))
    np.testing.assert_allclose(predicted(network), scores(relu, relu, softmax), atol=1e-5)


def test_an_export_of_the_classification_learner() -> None:
    export = {
        "predictFcn": FunctionHandle("@(x)predict(x)"),
        "RequiredVariables": cell("a", "b", "c"),
        "ClassificationNeuralNetwork": model("ClassificationNeuralNetwork"),
        "HowToPredict": "yfit = c.predictFcn(T)",
    }
    network = load(export)
    assert network.source is not None
    assert network.source.variable == "trainedModel.ClassificationNeuralNetwork"
    np.testing.assert_allclose(predicted(network), scores(relu, relu, softmax), atol=1e-5)


@pytest.mark.parametrize("standardized", [True, False])
def test_an_export_with_principal_components(standardized: bool) -> None:
    centers, coefficients = normal(7, 1, 6), normal(8, 6, 3)
    facts = {} if standardized else {"Mu": EMPTY, "Sigma": EMPTY}
    export = {
        "predictFcn": FunctionHandle("@(x)predict(x)"),
        "PCACenters": centers,
        "PCACoefficients": coefficients,
        "ClassificationNeuralNetwork": model("ClassificationNeuralNetwork", **facts),
    }
    network = load(export)
    assert network.source is not None
    assert network.source.variable == "trainedModel"
    raw = normal(9, 11, 6)
    values = (raw - centers) @ coefficients
    values = (values - MU) / SIGMA if standardized else values
    for weights, bias, activation in zip(W, B, (relu, relu, softmax), strict=True):
        values = activation(values @ weights.T + bias.T)
    found = keras.ops.convert_to_numpy(network.to_keras()(raw.astype("f4"), training=False))
    np.testing.assert_allclose(found, values, atol=1e-5)
    assert network.class_names == ("no", "yes")


def test_components_beside_other_predictors_are_told() -> None:
    export = {
        "PCACenters": normal(7, 1, 6),
        "PCACoefficients": normal(8, 6, 2),
        "RegressionNeuralNetwork": model("RegressionNeuralNetwork"),
    }
    with pytest.raises(mb.UnsupportedLayerError, match="takes 3 predictors, and 2 principal components are made"):
        load(export)


def test_regressions_without_standardization() -> None:
    regression = model(
        "RegressionNeuralNetwork",
        Activations=cell("tanh", "sigmoid"),
        OutputLayerActivation="none",
        Mu=EMPTY,
        Sigma=EMPTY,
    )
    network = load(regression)
    expected = scores(np.tanh, lambda n: 1 / (1 + np.exp(-n)), lambda n: n, standardized=False)
    assert network.class_names == ()
    np.testing.assert_allclose(predicted(network), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("stored", "names"),
    [(cell("a", "b"), ("a", "b")), (row(0, 1).T, ("0", "1")), (np.array([[False], [True]]), ("0", "1"))],
)
def test_class_names_of_every_type(stored: Any, names: tuple[str, ...]) -> None:
    assert load(model("ClassificationNeuralNetwork", ClassNames=stored)).class_names == names


def test_weights_inside_an_object_of_the_object() -> None:
    whole = model("ClassificationNeuralNetwork")
    inner = MatlabObject("classreg.learning.impl.NeuralNetworkImpl", dict(whole.properties))
    outer = MatlabObject("ClassificationNeuralNetwork", {"Impl": inner, "ClassSummary": {"ClassNames": cell("a", "b")}})
    network = load(outer)
    np.testing.assert_allclose(predicted(network), scores(relu, relu, softmax), atol=1e-5)


def test_models_without_weights_are_told() -> None:
    with pytest.raises(mb.InvalidNetworkError, match=r"holds no LayerWeights: it has Mu\.$"):
        load(MatlabObject("RegressionNeuralNetwork", {"Mu": row(1)}))
