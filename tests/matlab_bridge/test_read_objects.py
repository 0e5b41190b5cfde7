"""Each kind of saved network, in the forms of old and new versions of MATLAB, made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from matlab_bridge import InvalidNetworkError
from matlab_bridge.matfile import CategoricalArray, MatlabObject, StructArray
from matlab_bridge.network import Connection
from matlab_bridge.read._objects import is_layer_array, is_network_object, read_layer_array, read_network_object

from .objects_by_hand import (
    EMPTY,
    SOURCE,
    cell,
    connections,
    dlnetwork,
    fully_connected,
    layer,
    layer_graph,
    layers,
    row,
    saved,
    series_network,
    small_network,
)


def test_a_series_network_gets_the_connections_that_its_order_implies() -> None:
    network = read_network_object(small_network(), SOURCE)
    assert [part.name for part in network.layers] == ["input", "fc", "regressionoutput"]
    assert network.connections == (Connection("input", "fc"), Connection("fc", "regressionoutput"))
    assert network.class_name == "SeriesNetwork"
    assert network.source == SOURCE
    assert network.output_names == ()
    assert network.class_names == ()


def test_a_dag_network_keeps_its_ports_and_its_order() -> None:
    parts = (
        layer("AdditionLayer", "add", NumInputs=row(2)),
        layer("ReLULayer", "relu"),
        layer("MaxPooling2DLayer", "pool"),
        layer("MaxUnpooling2DLayer", "unpool"),
    )
    table = connections(
        ("pool/out", "relu"), ("pool/indices", "unpool/indices"), ("relu", "add/in1"), ("unpool", "add/in2")
    )
    network = read_network_object(saved("DAGNetwork", Layers=layers(*parts), Connections=table), SOURCE)
    assert [part.name for part in network.layers] == ["add", "relu", "pool", "unpool"]
    assert network.connections == (
        Connection("pool", "relu", source_port="out"),
        Connection("pool", "unpool", "indices", "indices"),
        Connection("relu", "add", destination_port="in1"),
        Connection("unpool", "add", destination_port="in2"),
    )
    assert network.class_name == "DAGNetwork"


def test_a_dlnetwork_has_its_layers_inside_a_layer_graph() -> None:
    network = read_network_object(
        dlnetwork(
            layer("FeatureInputLayer", "in", InputSize=row(2)),
            fully_connected("fc"),
            layer("SoftmaxLayer", "softmax"),
            table=connections(("in", "fc"), ("fc", "softmax")),
            outputs=cell("fc", "softmax/out", shape=(1, 2)),
        ),
        SOURCE,
    )
    assert network.class_name == "dlnetwork"
    assert network.connections == (Connection("in", "fc"), Connection("fc", "softmax"))
    assert network.output_names == ("fc", "softmax")


def test_a_layer_array_is_a_series() -> None:
    array = layers(layer("ReLULayer", "a"), layer("SoftmaxLayer", "b"))
    network = read_layer_array(array.reshape(1, 2), SOURCE)
    assert network.class_name == "layer array"
    assert network.connections == (Connection("a", "b"),)


@pytest.mark.parametrize(
    "table",
    [
        connections(("a", "b")),
        pd.DataFrame({"Source": [cell("a")], "Destination": [cell("b")]}),
        {"Source": cell("a"), "Destination": cell("b")},
        StructArray([{"Source": "a", "Destination": "b"}], ("Source", "Destination")),
    ],
    ids=["table", "table of cells", "struct of cells", "struct array"],
)
def test_a_table_of_connections_may_have_one_row(table: Any) -> None:
    graph = layer_graph(layer("ReLULayer", "a"), layer("ReLULayer", "b"), table=table)
    assert read_network_object(graph, SOURCE).connections == (Connection("a", "b"),)


def test_a_table_of_connections_may_be_empty() -> None:
    graph = layer_graph(layer("ReLULayer", "a"), table=connections())
    assert read_network_object(graph, SOURCE).connections == ()


def test_a_single_layer_is_not_stored_as_an_array() -> None:
    graph = saved("nnet.cnn.LayerGraph", Layers=layer("ReLULayer", "a"), Connections=connections())
    assert [part.name for part in read_network_object(graph, SOURCE).layers] == ["a"]


def test_a_layer_with_a_slash_in_its_name_is_not_split() -> None:
    graph = layer_graph(
        layer("ReLULayer", "block/relu"),
        layer("AdditionLayer", "block/add"),
        table=connections(("block/relu", "block/add/in2")),
    )
    assert read_network_object(graph, SOURCE).connections == (
        Connection("block/relu", "block/add", destination_port="in2"),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"Categories": pd.Categorical(["dog", "cat"], categories=["dog", "cat"])},
        {"Categories": CategoricalArray(np.array([[1, 2]], np.uint8), ("dog", "cat"))},
        {"ClassNames": cell("dog", "cat"), "OutputSize": row(2)},
        {"ClassNames": cell("dog", "cat", shape=(1, 2))},
    ],
    ids=["categorical", "categorical row", "cell column", "cell row"],
)
def test_class_names_keep_the_order_of_the_scores(fields: dict[str, Any]) -> None:
    network = series_network(layer("ReLULayer", "a"), layer("ClassificationOutputLayer", "out", **fields))
    assert read_network_object(network, SOURCE).class_names == ("dog", "cat")


@pytest.mark.parametrize("stored", ["auto", EMPTY, pd.Categorical([]), cell()])
def test_an_untrained_output_layer_has_no_classes(stored: Any) -> None:
    network = series_network(layer("ReLULayer", "a"), layer("PixelClassificationLayer", "b", Categories=stored))
    assert read_network_object(network, SOURCE).class_names == ()


def test_layers_without_names_get_those_that_matlab_gives() -> None:
    array = layers(
        layer("ImageInputLayer"),
        layer("Convolution2DLayer"),
        layer("ReLULayer"),
        layer("Convolution2DLayer"),
        layer("ReLULayer", "mine"),
        layer("FullyConnectedLayer"),
    )
    names = [part.name for part in read_layer_array(array, SOURCE).layers]
    assert names == ["imageinput", "conv_1", "relu", "conv_2", "mine", "fc"]


def test_only_networks_are_taken_for_networks() -> None:
    array = layers(layer("ReLULayer", "a"), layer("ReLULayer", "b"))
    assert is_network_object(small_network())
    assert not is_network_object(layer("ReLULayer", "a"))
    assert not is_network_object(MatlabObject("network", {}, old_style=True))
    assert is_layer_array(array)
    assert not is_layer_array(array[:1])
    assert not is_layer_array(cell("a", "b"))


@pytest.mark.parametrize(
    ("value", "properties"),
    [
        (MatlabObject("dlnetwork", {"Version": row(1)}), "['Version']"),
        (dlnetwork(table=connections()), "['Connections', 'Layers', 'Version']"),
    ],
    ids=["lost", "empty"],
)
def test_a_network_without_layers_says_so(value: MatlabObject, properties: str) -> None:
    with pytest.raises(InvalidNetworkError) as caught:
        read_network_object(value, SOURCE)
    assert str(caught.value) == (
        f"The dlnetwork 'net' of trained.mat holds no layers: it has the properties {properties}. "
        "Load it in MATLAB, add its layers, and save it again."
    )


def test_connections_to_nowhere_are_refused() -> None:
    graph = layer_graph(layer("ReLULayer", "a"), table=connections(("a", "b")))
    with pytest.raises(InvalidNetworkError) as caught:
        read_network_object(graph, SOURCE)
    assert str(caught.value) == (
        "Connections name the layers ['b'], which the network does not have. Its layers are ['a']."
    )


def test_outputs_of_layers_that_are_not_there_are_refused() -> None:
    network = dlnetwork(layer("ReLULayer", "a"), table=connections(), outputs=cell("a/out", "b/size"))
    with pytest.raises(InvalidNetworkError) as caught:
        read_network_object(network, SOURCE)
    assert str(caught.value) == (
        "The outputs ['b/size'] are of layers that the network does not have. Its layers are ['a']."
    )


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (pd.DataFrame({"Source": ["a"], "Target": ["b"]}), "'Destination'"),
        ({"Source": cell("a", "b"), "Destination": cell("b")}, "zip() argument 2 is shorter than argument 1"),
    ],
)
def test_connections_that_are_no_table_are_refused(table: Any, fault: str) -> None:
    graph = layer_graph(layer("ReLULayer", "a"), layer("ReLULayer", "b"), table=table)
    with pytest.raises(InvalidNetworkError) as caught:
        read_network_object(graph, SOURCE)
    assert str(caught.value) == (
        f"The connections are no table with a Source and a Destination in each row: {fault}. "
        "Load the network in MATLAB and save it again."
    )
