"""Output layers with a loss of the user's own: they end a network, and change nothing at prediction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import matlab_bridge as mb
from matlab_bridge.matfile import MatlabObject
from matlab_bridge.read._objects import read_network_object

from .objects_by_hand import EMPTY, SOURCE, cell, fully_connected, layer, row, series_network

WEIGHTS = np.array([[1.0, 2.0], [3.0, 4.0]])


def own(**properties: object) -> MatlabObject:
    return MatlabObject("diceLayer", {"Name": "own", "Description": "Dice", **properties})


def network(*last: MatlabObject) -> mb.Network:
    start = layer("FeatureInputLayer", "input", InputSize=row(2), Normalization=EMPTY)
    return read_network_object(series_network(start, fully_connected("fc", WEIGHTS, np.zeros((2, 1))), *last), SOURCE)


@pytest.mark.parametrize(
    "properties",
    [{"Classes": pd.Categorical(["b", "a"], categories=["b", "a"])}, {"ResponseNames": cell("Response")}],
)
def test_it_passes_its_input_through(properties: dict[str, object]) -> None:
    model = network(own(**properties)).to_keras()
    inputs = np.array([[1.0, 10.0]], np.float32)
    np.testing.assert_allclose(model(inputs), inputs @ WEIGHTS.T, rtol=1e-6)


def test_its_classes_are_those_of_the_network() -> None:
    classes = pd.Categorical(["b", "a"], categories=["b", "a"])
    assert network(own(Classes=classes)).class_names == ("b", "a")


@pytest.mark.parametrize("last", [(own(),), (own(Classes="auto"), layer("ReLULayer", "relu"))])
def test_any_other_layer_of_an_unknown_class_is_refused(last: tuple[MatlabObject, ...]) -> None:
    with pytest.raises(mb.UnsupportedLayerError, match=r"'own' \(diceLayer\), .*: its class has no conversion"):
        network(*last).to_keras()
