"""Layers that hold a network, as `compressNetworkUsingProjection` and `groupLayers` leave them."""

from __future__ import annotations

import numpy as np
import pytest

from matlab_bridge import UnsupportedLayerError
from matlab_bridge.read._objects import read_network_object

from .layer_tools import assert_close, normal, outputs
from .objects_by_hand import EMPTY, SOURCE, cell, connections, dlnetwork, fully_connected, layer, row


def dense(name, seed, inputs, outputs_):
    return fully_connected(name, normal(seed, outputs_, inputs), normal(seed + 1, outputs_, 1))


def compressed(*inner, table, outputs_=EMPTY):
    """Features, a layer that holds a network, an activation."""
    projected = layer("ProjectedLayer", "fc", Network=dlnetwork(*inner, table=table, outputs=outputs_))
    first = layer("FeatureInputLayer", "input", InputSize=row(3), Normalization=EMPTY)
    last = layer("ReLULayer", "relu")
    return dlnetwork(first, projected, last, table=connections(("input", "fc"), ("fc", "relu")), outputs=cell("relu"))


def test_a_projected_layer_becomes_the_layers_that_it_was_compressed_to():
    small = dense("in", 1, 3, 2), dense("out", 3, 2, 4)
    network = read_network_object(compressed(*small, table=connections(("in", "out"))), SOURCE)
    assert [each.name for each in network.layers] == ["input", "fc:in", "fc:out", "relu"]
    assert [str(each) for each in network.connections] == ["input -> fc:in", "fc:out -> relu", "fc:in -> fc:out"]
    data = normal(9, 5, 3)
    hidden = data @ normal(1, 2, 3).T + normal(2, 2, 1).ravel()
    assert_close(outputs(network, data), np.maximum(hidden @ normal(3, 4, 2).T + normal(4, 4, 1).ravel(), 0))


def test_the_output_of_a_network_that_ends_in_such_a_layer():
    inner = dlnetwork(dense("a", 1, 3, 2), table=connections(), outputs=cell("a"))
    first = layer("FeatureInputLayer", "input", InputSize=row(3), Normalization=EMPTY)
    held = layer("NetworkLayer", "block", Network=inner)
    outer = dlnetwork(first, held, table=connections(("input", "block")), outputs=cell("block"))
    assert read_network_object(outer, SOURCE).output_names == ("block:a",)


def test_a_network_with_an_input_of_its_own_stays_inside():
    inner = layer("FeatureInputLayer", "inner", InputSize=row(3), Normalization=EMPTY)
    network = read_network_object(compressed(inner, dense("out", 3, 3, 4), table=connections(("inner", "out"))), SOURCE)
    assert [each.name for each in network.layers] == ["input", "fc", "relu"]
    with pytest.raises(UnsupportedLayerError, match=r"'fc' \(nnet.cnn.layer.ProjectedLayer\)"):
        network.to_keras()
