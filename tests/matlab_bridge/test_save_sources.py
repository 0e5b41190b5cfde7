"""Pruned weights back into files of every kind of network that is no deep network of MATLAB's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import scipy.io

import matlab_bridge as mb
from matlab_bridge.matfile import MatlabObject

from .layer_tools import normal
from .mat5_by_hand import Mat5
from .networks_by_hand import single
from .objects_by_hand import cell
from .shallow_by_hand import as_object
from .test_read_matconvnet import bnorm, classifier, conv, dag, net_of
from .test_read_shallow import recurrent, two_layers
from .test_save_network_corpus import assert_only_numbers_differ_in_mat5, changed_bytes, halved, pruned_in_keras

DESCRIPTION = (
    mb.WeightLayer("W1", activation="tanh", bias_column="first"),
    mb.WeightLayer("net.W2", "net.b2", orientation="inputs x outputs"),
)

FILES: dict[str, dict[str, Any]] = {
    "shallow": {"net": two_layers(), "x": np.eye(3)},
    "recurrent": {"lab": {"net": recurrent()}},
    "simplenn": {"net": classifier()},
    "simplenn with bnorm": {"net": net_of(conv(0, 3, 3, 2, 5), bnorm(3, 5), conv(6, 3, 3, 5, 2))},
    "dagnn": dag(),
    "thetas": {"Theta1": normal(1, 5, 4), "Theta2": normal(2, 3, 6), "X": normal(3, 9, 3)},
    "cells": {
        "net": {
            "W": cell(normal(1, 4, 3), normal(2, 2, 4)),
            "b": cell(normal(3, 1, 4), normal(4, 2, 1)),
            "activations": cell("relu", "linear"),
        }
    },
}


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def assert_halved(written: mb.Network, network: mb.Network) -> None:
    for layer in network.layers:
        for name, array in layer.parameters.items():
            expected = halved(array) if name in layer.learnables else array
            np.testing.assert_array_equal(
                written[layer.name].parameters[name], expected, err_msg=f"{layer.name} {name}"
            )


@pytest.mark.parametrize("version", ["v7", "v7.3"])
@pytest.mark.parametrize("kind", FILES)
def test_pruned_weights_go_back(kind: str, version: Any, tmp_path: Path) -> None:
    source, copy = tmp_path / "net.mat", tmp_path / "pruned.mat"
    mb.save(source, FILES[kind], version=version)
    before = digest(source)
    network = mb.load_network(source)
    mb.save_network(copy, pruned_in_keras(network), like=source)
    assert_halved(mb.load_network(copy), network)
    assert digest(source) == before


def test_an_old_object_stays_an_object_and_no_other_byte_changes(tmp_path: Path) -> None:
    source, copy, mat5 = tmp_path / "net.mat", tmp_path / "pruned.mat", Mat5()
    net = as_object(two_layers())
    source.write_bytes(mat5.file(mat5.matrix(net, "net"), mat5.matrix(np.eye(3), "x"), compress=True))
    network = mb.load_network(source)
    assert network.source is not None
    assert network.source.class_name == "network"
    mb.save_network(copy, pruned_in_keras(network), like=source)
    assert isinstance(mb.load(copy)["net"], MatlabObject)
    assert_halved(mb.load_network(copy), network)
    arrays = [array for layer in network.layers for array in layer.learnables.values()]
    assert_only_numbers_differ_in_mat5(source, copy, sum(changed_bytes(array, halved(array)) for array in arrays))


@pytest.mark.parametrize("version", ["v4", "v7"])
def test_matrices_at_the_top_of_a_file(version: str, tmp_path: Path) -> None:
    source, copy = tmp_path / "w.mat", tmp_path / "pruned.mat"
    variables = {"Theta1": normal(1, 5, 4), "Theta2": normal(2, 3, 6), "X": normal(3, 9, 3)}
    scipy.io.savemat(source, variables, format="4" if version == "v4" else "5")
    network = mb.load_network(source)
    mb.save_network(copy, pruned_in_keras(network), like=source)
    assert_halved(mb.load_network(copy), network)
    written = scipy.io.loadmat(copy)
    np.testing.assert_array_equal(written["X"], variables["X"])
    # Weights and biases are pruned apart, though they stand in one matrix.
    np.testing.assert_array_equal(written["Theta1"][:, :1], halved(variables["Theta1"][:, :1]))
    np.testing.assert_array_equal(written["Theta1"][:, 1:], halved(variables["Theta1"][:, 1:]))


def test_a_file_of_version_4_that_stores_weights_narrowly(tmp_path: Path) -> None:
    source = tmp_path / "w.mat"
    scipy.io.savemat(source, {"W": np.arange(1, 7, dtype=np.int16).reshape(2, 3)}, format="4")
    describe = [mb.WeightLayer("W")]
    weights = {("W", "Weights"): np.array([[1.0, 0, 3], [0, 5, 0]])}
    mb.save_network(tmp_path / "whole.mat", weights, like=source, describe=describe)
    np.testing.assert_array_equal(scipy.io.loadmat(tmp_path / "whole.mat")["W"], weights["W", "Weights"])
    with pytest.raises(mb.UnwritableValueError, match="stores 'W' as int16"):
        mb.save_network(tmp_path / "out.mat", {("W", "Weights"): np.full((2, 3), 0.5)}, like=source, describe=describe)
    assert not (tmp_path / "out.mat").exists()


@pytest.fixture
def described(tmp_path: Path) -> Path:
    path = tmp_path / "w.mat"
    mb.save(path, {"W1": normal(1, 4, 4), "net": {"W2": normal(2, 4, 2), "b2": normal(3, 1, 2)}})
    return path


def test_a_described_network_goes_back_by_its_description(described: Path, tmp_path: Path) -> None:
    network = mb.load_network(described, describe=DESCRIPTION)
    model = pruned_in_keras(network)
    model.save(tmp_path / "net.keras")
    mb.save_network(tmp_path / "model.mat", model, like=described)
    mb.save_network(
        tmp_path / "loaded.mat", keras.saving.load_model(tmp_path / "net.keras"), like=described, describe=DESCRIPTION
    )
    mb.save_network(
        tmp_path / "network.mat", mb.load_network(tmp_path / "model.mat", describe=DESCRIPTION), like=described
    )
    for name in ("model", "loaded", "network"):
        assert_halved(mb.load_network(tmp_path / f"{name}.mat", describe=DESCRIPTION), network)


def test_a_description_and_a_variable_exclude_each_other(described: Path) -> None:
    with pytest.raises(mb.NetworkError, match="so give it alone"):
        mb.load_network(described, "net", describe=DESCRIPTION)


def test_moments_that_were_trained_on_go_back_into_their_one_array(tmp_path: Path) -> None:
    source, copy = tmp_path / "net.mat", tmp_path / "tuned.mat"
    mb.save(source, FILES["simplenn with bnorm"])
    network = mb.load_network(source)
    moments = network["bnorm_2"].parts["Mean"].array
    model = network.to_keras()
    norm = model.get_layer("bnorm_2")
    norm.moving_variance.assign(keras.ops.convert_to_numpy(norm.moving_variance) * [1, 4, 1, 1, 1])
    norm.moving_mean.assign(keras.ops.convert_to_numpy(norm.moving_mean) + np.eye(5)[3])
    mb.save_network(copy, model, like=source)
    written = mb.load_network(copy)["bnorm_2"].parts["Sigma"].array
    changed = np.zeros((5, 2), dtype=bool)
    changed[3, 0] = changed[1, 1] = True
    np.testing.assert_array_equal(written[~changed], moments[~changed])
    np.testing.assert_allclose(written[3, 0], moments[3, 0] + 1, rtol=1e-6)
    epsilon = norm.epsilon
    np.testing.assert_allclose(written[1, 1] ** 2 - epsilon, 4 * (moments[1, 1] ** 2 - epsilon), rtol=1e-5)


def test_weights_of_equal_value_are_told_apart_inside_one_array(tmp_path: Path) -> None:
    source, copy = tmp_path / "w.mat", tmp_path / "new.mat"
    mb.save(source, {"Theta1": np.ones((3, 4)), "Theta2": np.ones((3, 4)), "twin": np.ones((3, 4))})
    network = mb.load_network(source)
    new = {("Theta2", "Weights"): normal(1, 3, 3), ("Theta2", "Bias"): normal(2, 3, 1)}
    mb.save_network(copy, new, like=source)
    written = mb.load(copy)
    np.testing.assert_array_equal(written["Theta2"], np.hstack([new["Theta2", "Bias"], new["Theta2", "Weights"]]))
    for name in ("Theta1", "twin"):
        np.testing.assert_array_equal(written[name], np.ones((3, 4)))
    assert network.source is not None
    assert network.source.variable == "*"
    assert network.to_keras().name == "w"


def test_a_network_in_single_precision(tmp_path: Path) -> None:
    source, copy = tmp_path / "w.mat", tmp_path / "pruned.mat"
    mb.save(source, {"Theta1": single(1, 5, 4), "Theta2": single(2, 3, 6)})
    network = mb.load_network(source)
    mb.save_network(copy, pruned_in_keras(network), like=source)
    assert_halved(mb.load_network(copy), network)
    assert mb.load(copy)["Theta1"].dtype == np.float32
