"""The portable form: written, read, and carried through Octave."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

import matlab_bridge as mb
from matlab_bridge import InvalidNetworkError, Layer, Network, NetworkNotFoundError
from matlab_bridge._public import public_layer, saved_settings
from matlab_bridge.matfile import FunctionHandle, MatlabObject

from . import octave
from .networks_by_hand import NNET, branching, row


def assert_same(got: Network, expected: Network) -> None:
    """Equal in every field, the layers in their public form."""
    assert [layer.name for layer in got.layers] == [layer.name for layer in expected.layers]
    assert got.connections == expected.connections
    assert got.class_names == expected.class_names
    assert got.output_names == expected.output_names
    assert got.class_name == expected.class_name
    for one, other in zip(got.layers, map(public_layer, expected.layers), strict=True):
        assert one.class_name == other.class_name
        assert_same_values(one.settings, saved_settings(other.settings), one.name)
        assert_same_values(one.learnables, other.learnables, one.name)
        assert_same_values(one.state, other.state, one.name)


def assert_same_values(got: Mapping[str, Any], expected: Mapping[str, Any], layer: str) -> None:
    assert got.keys() == expected.keys(), layer
    for name, value in expected.items():
        where = f"{layer}.{name}"
        if isinstance(value, str):
            assert got[name] == value, where
        elif value.dtype.kind == "T":  # a MATLAB string, here one word
            assert got[name] == value.item(), where
        elif isinstance(value, pd.Categorical):
            assert got[name].ravel().tolist() == list(value), where
        else:
            assert got[name].dtype == value.dtype, where
            np.testing.assert_array_equal(np.squeeze(got[name]), np.squeeze(value), err_msg=where)


def written(path: Path, network: Network) -> dict[str, Any]:
    """The struct that a file holds of a network."""
    mb.save_portable(path, network)
    struct: dict[str, Any] = mb.load(path)["net"]
    return struct


def read(path: Path, struct: Any) -> Network:
    """The network of a file with this struct."""
    mb.save(path, {"net": struct})
    return mb.load_network(path)


@pytest.mark.parametrize("version", ["v7", "v7.3"])
def test_round_trip(version: Literal["v7", "v7.3"], tmp_path: Path) -> None:
    path = tmp_path / "net.mat"
    mb.save_portable(path, branching(), version=version)
    network = mb.load_network(path)
    assert_same(network, branching())
    assert network.source is not None
    assert (network.source.path, network.source.variable) == (path, "net")


@pytest.mark.octave
def test_through_octave(tmp_path: Path) -> None:
    mb.save_portable(tmp_path / "a.mat", branching(), name="mine")
    octave.run("load('a.mat'); save('-v7', 'b.mat', 'mine');", tmp_path)
    assert_same(mb.load_network(tmp_path / "b.mat"), branching())


def test_further_variables_and_class_names(tmp_path: Path) -> None:
    path = tmp_path / "lab.mat"
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 1, 4)
    mb.save_portable(path, branching(), class_names=("x", "y", "z"), variables={"XValidation": images})
    assert mb.load_network(path).class_names == ("x", "y", "z")
    np.testing.assert_array_equal(mb.load(path)["XValidation"], images)


def test_the_networks_variable_cannot_be_given_twice(tmp_path: Path) -> None:
    with pytest.raises(InvalidNetworkError, match="both named 'net'"):
        mb.save_portable(tmp_path / "lab.mat", branching(), variables={"net": 1})
    assert not (tmp_path / "lab.mat").exists()


def test_ports_and_slashes_in_names_survive(path: Path) -> None:
    layers = (Layer("block/pool", "a.MaxPooling2DLayer"), Layer("unpool", "a.MaxUnpooling2DLayer"))
    connections = (
        mb.Connection("block/pool", "unpool", "out", "in"),
        mb.Connection("block/pool", "unpool", "indices", "indices"),
    )
    struct = written(path, Network(layers, connections))
    assert struct["Connections"]["Source"].ravel().tolist() == ["block/pool/out", "block/pool/indices"]
    assert mb.load_network(path).connections == connections


def test_function_handles_become_text_and_objects_are_left_out(path: Path) -> None:
    settings = {
        "PredictFcn": FunctionHandle("@(x)2*x"),
        "Other": MatlabObject("my.Class", {}),
        "Size": row(2),
    }
    with pytest.warns(UserWarning, match="'Other' of the layer 'f'"):
        struct = written(path, Network((Layer("f", f"{NNET}FunctionLayer", settings),), ()))
    assert struct["Layers"][0, 0]["Settings"].keys() == {"PredictFcn", "Size"}
    assert struct["Layers"][0, 0]["Settings"]["PredictFcn"] == "@(x)2*x"


@pytest.mark.parametrize("value", [3, "text", {}, {"Format": "another"}, None])
def test_other_values_are_no_networks(path: Path, value: Any) -> None:
    with pytest.raises(NetworkNotFoundError):
        read(path, value)


def drop(name: str) -> Any:
    return lambda struct: struct.pop(name)


def change(name: str, value: Any) -> Any:
    return lambda struct: struct.update({name: value})


def in_layer(edit: Any) -> Any:
    return lambda struct: edit(struct["Layers"][1, 0])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (drop("FormatVersion"), "it has no field FormatVersion"),
        (change("FormatVersion", row(2)), "the field FormatVersion is 2, and this release reads up to 1"),
        (change("FormatVersion", "1"), "the field FormatVersion is str, and a number was expected"),
        (change("Class", row(1)), "the field Class is ndarray of size 1x1, and text was expected"),
        (drop("Layers"), "it has no field Layers"),
        (change("Layers", np.empty((0, 0))), "the field Layers is ndarray of size 0x0"),
        (in_layer(drop("Name")), r"the field Layers\{2\} has no field Name"),
        (in_layer(change("Name", "")), r"the field Layers\{2\}.Name is str, and text was expected"),
        (
            in_layer(change("Settings", "x")),
            r"the field Layers\{2\}.Settings is str, and a struct was expected",
        ),
        (
            in_layer(change("Learnables", {"Weights": "x"})),
            r"the field Layers\{2\}.Learnables.Weights is str, and a numeric array was expected",
        ),
        (drop("Connections"), "it has no field Connections"),
        (
            change("Connections", {"Source": np.array(["in"], object)}),
            "the field Connections has no field Destination",
        ),
        (
            change("Connections", {"Source": np.array(["in"], object), "Destination": np.array([], object)}),
            "1 elements in Source and 0 in Destination",
        ),
        (change("ClassNames", np.array([1, 2])), "the field ClassNames is ndarray of size 2"),
    ],
)
def test_errors_name_the_field(path: Path, edit: Any, message: str) -> None:
    struct = written(path, branching())
    edit(struct)
    with pytest.raises(InvalidNetworkError, match=message):
        read(path, struct)


def test_connections_to_nowhere_are_refused(path: Path) -> None:
    struct = written(path, branching())
    struct["Connections"]["Destination"][0, 0] = "nowhere"
    with pytest.raises(InvalidNetworkError, match="nowhere"):
        read(path, struct)


def test_layers_may_be_a_struct_without_fields_where_octave_makes_it_empty(path: Path) -> None:
    struct = written(path, branching())
    struct["Layers"][3, 0]["Settings"] = np.empty((0, 0))
    assert dict(read(path, struct)["relu"].settings) == {}


@pytest.mark.corpus
@pytest.mark.parametrize(
    "file",
    [
        "TimBurtell__RL-GridWorld-Matlab/agentData.mat",
        "ivvasel__proyectoSCBIO",
        "kooste2018__Monty_Matlab_SS2021/Model.mat",
        "transafeailab__nnv/tests__nn__dagnn__SegNet.mat",
    ],
)
def test_real_networks_survive(file: str, corpus: Path, tmp_path: Path) -> None:
    chosen = corpus / file
    count = 0
    for path in sorted(chosen.glob("*.mat")) if chosen.is_dir() else [chosen]:
        for source in mb.find_networks(path):
            network = mb.load_network(path, source.variable)
            mb.save_portable(tmp_path / "net.mat", network)
            assert_same(mb.load_network(tmp_path / "net.mat"), network)
            count += 1
    assert count


def test_a_keras_model(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="fc")])
    kernel, bias = np.arange(6, dtype=np.float32).reshape(3, 2), np.array([7, 8], dtype=np.float32)
    model.set_weights([kernel, bias])
    mb.save_portable(tmp_path / "net.mat", model, class_names=["no", "yes"])
    network = mb.load_network(tmp_path / "net.mat")
    np.testing.assert_array_equal(network["fc"].learnables["Weights"], kernel.T)
    np.testing.assert_array_equal(network["fc"].learnables["Bias"], bias.reshape(2, 1))
    assert network.class_names == ("no", "yes")


def test_a_converted_model_keeps_its_class_names(tmp_path: Path) -> None:
    mb.save_portable(tmp_path / "net.mat", branching().to_keras())
    assert mb.load_network(tmp_path / "net.mat").class_names == ("cat", "dog", "fox")
