"""Shallow networks against `net(X)` in NumPy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import matlab_bridge as mb
from matlab_bridge.read._shallow import is_shallow, read_shallow

from .layer_tools import assert_round_trip, normal
from .objects_by_hand import EMPTY, row
from .shallow_by_hand import TRANSFER, Neurons, as_object, mapminmax, processing, shallow, simulate

SOURCE = mb.Source(Path("lab.mat"), "net", "network")
NOW = (0,)


def read(net: Mapping[str, Any]) -> mb.Network:
    return read_shallow(as_object(net), SOURCE)


def predicted(model: keras.Model, *inputs: np.ndarray) -> list[np.ndarray]:
    """The model on MATLAB's columns, as columns."""
    rows = [np.moveaxis(x, 0, -1).astype("f4") for x in inputs]
    outputs = model(rows[0] if len(rows) == 1 else rows, training=False)
    many = outputs if isinstance(outputs, list) else [outputs]
    return [np.moveaxis(keras.ops.convert_to_numpy(y), -1, 0) for y in many]


def assert_like_matlab(net: Mapping[str, Any], *inputs: np.ndarray) -> None:
    for found, expected in zip(predicted(read(net).to_keras(), *inputs), simulate(net, *inputs), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()), rtol=0)


def two_layers(transfer: str = "tansig", last: str = "purelin", **processed: Any) -> dict[str, Any]:
    hidden = Neurons(4, transfer, inputs={1: (normal(1, 4, 3), NOW)}, bias=normal(2, 4, 1), name="Hidden")
    output = Neurons(2, last, layers={1: (normal(3, 2, 4), NOW)}, bias=normal(4, 2, 1), name="Output")
    return shallow([3], [hidden, output], **processed)


@pytest.mark.parametrize("transfer", TRANSFER)
def test_every_transfer_function(transfer: str) -> None:
    assert_like_matlab(two_layers(transfer), normal(0, 3, 20))
    assert_like_matlab(two_layers(last=transfer), normal(0, 3, 20))


def test_limits_and_ties_fall_as_they_do_in_matlab() -> None:
    identity = shallow([3], [Neurons(3, "compet", inputs={1: (np.eye(3), NOW)})])
    np.testing.assert_array_equal(predicted(read(identity).to_keras(), np.array([[1.0], [2], [2]]))[0], [[0], [1], [0]])
    for transfer, at_zero in (("hardlim", 1), ("hardlims", 1), ("tribas", 1), ("satlin", 0)):
        net = shallow([1], [Neurons(1, transfer, inputs={1: (np.eye(1), NOW)})])
        np.testing.assert_array_equal(predicted(read(net).to_keras(), np.zeros((1, 1)))[0], [[at_zero]])


def test_inputs_are_processed_and_outputs_processed_back() -> None:
    x = normal(0, 3, 30) * [[100], [1], [0.01]] + np.reshape([5000, 0, 1], (3, 1))
    before = [mapminmax(x.min(axis=1), x.max(axis=1))]
    after = [mapminmax(np.array([-3.0, 10]), np.array([5.0, 4000]))]
    assert_like_matlab(two_layers(before=[before], after=after), x)


STD = {"name": "mapstd", "xoffset": normal(5, 3, 1), "gain": np.abs(normal(6, 3, 1)) + 0.1, "ymean": row(0.5)}
CONSTANT = {
    "name": "removeconstantrows",
    "xrows": row(4),
    "yrows": row(3),
    "keep": row(1, 2, 4),
    "remove": row(3),
    "constants": np.array([[7.0]]),
}
PCA = {"name": "processpca", "transform": normal(8, 3, 4)}
UNKNOWN = {
    "name": "fixunknowns",
    "xrows": row(2),
    "yrows": row(3),
    "unknown": row(1),
    "xmeans": np.array([[0.5], [2.0]]),
}


@pytest.mark.parametrize("settings", [[STD], [CONSTANT], [CONSTANT, STD], [PCA]], ids=lambda chain: chain[0]["name"])
def test_every_process_function_before_and_after(settings: list[dict[str, Any]]) -> None:
    wide = 3 if settings == [STD] else 4
    hidden = Neurons(5, "tansig", inputs={1: (normal(1, 5, 3), NOW)}, bias=normal(2, 5, 1))
    output = Neurons(3, layers={1: (normal(3, 3, 5), NOW)}, bias=normal(4, 3, 1))
    net = shallow([wide], [hidden, output], before=[settings], after=settings)
    assert_like_matlab(net, normal(0, wide, 12))


def test_unknown_inputs_become_means_and_flags() -> None:
    net = shallow([2], [Neurons(3, inputs={1: (normal(1, 3, 3), NOW)})], before=[[UNKNOWN]])
    x = normal(0, 2, 6)
    x[0, [1, 4]] = np.nan
    assert_like_matlab(net, x)


def test_limits_without_gains_as_the_first_versions_stored_them() -> None:
    low, high = np.array([[1.0], [2], [3]]), np.array([[5.0], [2], [4]])
    old = {"name": "mapminmax", "xmin": low, "xmax": high, "ymin": row(-1), "ymax": row(1)}
    net = shallow([3], [Neurons(3, inputs={1: (np.eye(3), NOW)})], before=[[old]])
    # A row whose limits are equal is not changed.
    np.testing.assert_allclose(predicted(read(net).to_keras(), low + 1)[0], [[-0.5], [3], [1]], atol=1e-6)


def test_functions_that_found_nothing_to_do_leave_no_layer() -> None:
    idle = {**CONSTANT, "xrows": row(3), "yrows": row(3), "keep": row(1, 2, 3), "remove": EMPTY, "constants": EMPTY}
    network = read(two_layers(before=[[idle]], after=[]))
    assert [layer.name for layer in network.layers] == ["Input", "Hidden", "Hidden_tansig", "Output", "Output_purelin"]


def test_weights_are_a_dense_layer_with_its_bias() -> None:
    net = two_layers()
    network = read(net)
    model = network.to_keras()
    np.testing.assert_array_equal(model.get_layer("Hidden").kernel, net["IW"][0, 0].T.astype("f4"))
    np.testing.assert_array_equal(model.get_layer("Output").bias, net["b"][1, 0].ravel().astype("f4"))
    assert network.class_name == "network"
    assert network.output_names == ("Output_purelin",)
    assert len(model.trainable_variables) == 4


def test_cascades_add_what_comes_from_several_sources() -> None:
    hidden = Neurons(4, "tansig", inputs={1: (normal(1, 4, 3), NOW)}, bias=normal(2, 4, 1))
    output = Neurons(
        2, inputs={1: (normal(3, 2, 3), NOW)}, layers={1: (normal(4, 2, 4), NOW)}, bias=normal(5, 2, 1), name="Output"
    )
    assert_like_matlab(shallow([3], [hidden, output]), normal(0, 3, 9))


def test_several_inputs_and_several_outputs() -> None:
    first = Neurons(4, "logsig", inputs={1: (normal(1, 4, 3), NOW), 2: (normal(2, 4, 2), NOW)}, bias=normal(3, 4, 1))
    second = Neurons(2, layers={1: (normal(4, 2, 4), NOW)})
    assert_like_matlab(shallow([3, 2], [first, second], outputs=(1, 2)), normal(5, 3, 7), normal(6, 2, 7))


def test_net_inputs_may_be_products() -> None:
    hidden = Neurons(
        4,
        "tansig",
        inputs={1: (normal(1, 4, 3), NOW), 2: (normal(2, 4, 2), NOW)},
        bias=normal(3, 4, 1),
        net_input="netprod",
    )
    assert_like_matlab(shallow([3, 2], [hidden]), normal(5, 3, 7), normal(6, 2, 7))


def test_radial_basis_networks() -> None:
    """As newrb makes them: distances times a bias, then a weighted sum."""
    centres = Neurons(
        6,
        "radbas",
        inputs={1: (normal(1, 6, 3), NOW)},
        bias=np.full((6, 1), 0.8326),
        weight="dist",
        net_input="netprod",
    )
    output = Neurons(2, layers={1: (normal(2, 2, 6), NOW)}, bias=normal(3, 2, 1))
    assert_like_matlab(shallow([3], [centres, output]), normal(0, 3, 15))


def test_self_organizing_maps_tell_the_nearest_neuron() -> None:
    assert_like_matlab(
        shallow([2], [Neurons(5, "compet", inputs={1: (normal(1, 5, 2), NOW)}, weight="negdist")]), normal(0, 2, 25)
    )


def test_normalized_weights() -> None:
    net = shallow([3], [Neurons(4, inputs={1: (normal(1, 4, 3), NOW)}, weight="normprod")])
    assert_like_matlab(net, np.abs(normal(0, 3, 8)) + 0.1)


def test_perceptrons() -> None:
    assert_like_matlab(
        shallow([3], [Neurons(1, "hardlim", inputs={1: (normal(1, 1, 3), NOW)}, bias=row(0.1))]), normal(0, 3, 40)
    )


# Delays: time goes along the second axis, and before the first step the input is zero.


def test_input_delays_look_back_on_the_unprocessed_zeros() -> None:
    hidden = Neurons(4, "tansig", inputs={1: (normal(1, 4, 9), (0, 1, 3))}, bias=normal(2, 4, 1))
    output = Neurons(2, layers={1: (normal(3, 2, 4), NOW)}, bias=normal(4, 2, 1))
    net = shallow([3], [hidden, output], before=[[mapminmax([4, -1, 2], [9, 0, 3])]])
    assert_like_matlab(net, normal(0, 3, 2, 8) + np.reshape([5, 0, 2.5], (3, 1, 1)))


def test_narx_in_open_loop_takes_the_inputs_and_the_targets() -> None:
    hidden = Neurons(
        5, "tansig", inputs={1: (normal(1, 5, 2), (1, 2)), 2: (normal(2, 5, 3), (1, 2, 4))}, bias=normal(3, 5, 1)
    )
    output = Neurons(1, layers={1: (normal(4, 1, 5), NOW)}, bias=row(0.3))
    net = shallow([1, 1], [hidden, output], before=[[mapminmax([1], [3])], [mapminmax([-2], [9])]])
    assert_like_matlab(net, normal(5, 1, 2, 9), normal(6, 1, 2, 9))


def test_delays_between_layers() -> None:
    hidden = Neurons(4, "tansig", inputs={1: (normal(1, 4, 2), NOW)}, bias=normal(2, 4, 1))
    output = Neurons(2, layers={1: (normal(3, 2, 12), (0, 2, 3))}, bias=normal(4, 2, 1))
    assert_like_matlab(shallow([2], [hidden, output]), normal(0, 2, 3, 7))


def recurrent(delays: tuple[int, ...] = (1, 2)) -> dict[str, Any]:
    weights = 0.5 * normal(3, 4, 4 * len(delays))
    hidden = Neurons(
        4,
        "tansig",
        inputs={1: (normal(1, 4, 2), NOW)},
        layers={1: (weights, delays)},
        bias=normal(2, 4, 1),
        name="Hidden",
    )
    output = Neurons(2, layers={1: (normal(4, 2, 4), NOW)}, bias=normal(5, 2, 1), name="Output")
    return shallow([2], [hidden, output])


@pytest.mark.parametrize("delays", [(1,), (1, 2), (2,), (3, 1)])
def test_layers_that_feed_themselves(delays: tuple[int, ...]) -> None:
    assert_like_matlab(recurrent(delays), normal(0, 2, 3, 7))


def test_models_survive_keras_files(tmp_path: Path) -> None:
    centres = shallow([3], [Neurons(5, "compet", inputs={1: (normal(1, 5, 3), NOW)}, weight="negdist")])
    components = shallow([4], [Neurons(5, "tribas", inputs={1: (normal(1, 5, 3), NOW)})], before=[[PCA]])
    for net, x in ((recurrent(), normal(0, 2, 3, 7)), (centres, normal(0, 3, 6)), (components, normal(0, 4, 6))):
        model = read(net).to_keras()
        model.save(tmp_path / "net.keras")
        loaded = keras.saving.load_model(tmp_path / "net.keras")
        np.testing.assert_array_equal(predicted(loaded, x)[0], predicted(model, x)[0])


@pytest.mark.parametrize("net", [two_layers(), recurrent()], ids=["feedforward", "recurrent"])
def test_weights_and_masks_come_back(net: dict[str, Any]) -> None:
    # Single precision, so that they come back as they are.
    for name in ("IW", "LW", "b"):
        for index in np.ndindex(net[name].shape):
            net[name][index] = net[name][index].astype(np.float32)
    assert_round_trip(read(net))


# What cannot be read, and why.


def test_a_struct_of_the_properties_is_read_too() -> None:
    assert is_shallow(two_layers())
    assert not is_shallow({"IW": EMPTY, "b": EMPTY})


def test_loops_between_layers_are_told() -> None:
    first = Neurons(2, inputs={1: (normal(1, 2, 1), NOW)}, layers={2: (normal(2, 2, 2), (1, 2))})
    second = Neurons(1, layers={1: (normal(3, 1, 2), NOW)})
    with pytest.raises(mb.UnsupportedLayerError) as caught:
        read(shallow([1], [first, second]))
    assert str(caught.value) == (
        "The layers 1 -> 2 -> 1 of 'net' feed each other in a loop, as in a narxnet that was closed. In MATLAB, "
        "openloop(net), and save it again: its targets become a second input."
    )


def test_networks_that_met_no_data_yet_are_told() -> None:
    net = two_layers()
    net["inputs"][0, 0]["size"] = row(0)
    with pytest.raises(mb.UntrainedNetworkError, match=r"configure\(net, X, T\)"):
        read(net)
    net = two_layers()
    net["IW"][0, 0] = EMPTY
    with pytest.raises(mb.UntrainedNetworkError, match=r"^IW\{1,1\} of the network 'net' is empty"):
        read(net)
    net = two_layers()
    net["inputs"][0, 0] |= {
        "processFcns": processing([STD])["processFcns"],
        "processSettings": np.empty((1, 0), object),
    }
    with pytest.raises(mb.UntrainedNetworkError, match="processes its data by mapstd"):
        read(net)


def test_functions_of_the_users_are_named() -> None:
    with pytest.raises(mb.UnsupportedLayerError, match=r"'Hidden_mysig' \(mysig\), layer 3 of 5"):
        read(two_layers("mysig")).to_keras()


def test_the_summary_speaks_of_weights() -> None:
    heading, *lines = read(recurrent()).summary().splitlines()
    assert heading == "network 'net' of lab.mat: 5 layers, 54 learnables"
    assert [re.split(r"\s{2,}", line.strip())[1:] for line in lines[3:]] == [
        ["Input", "Sequence Input", "Sequence input with 2 dimensions", "0"],
        ["Hidden", "Weights", "4x2 weights and 4 biases", "12"],
        ["Hidden_tansig", "Feedback", "tansig of what it is fed and its own past, 4x8 weights, delays [1 2]", "32"],
        ["Output", "Weights", "2x4 weights and 2 biases", "10"],
        ["Output_purelin", "Transfer Function", "purelin", "0"],
    ]
