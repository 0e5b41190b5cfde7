"""MatConvNet's networks against its manual's arithmetic in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import matlab_bridge as mb
from matlab_bridge.matfile import StructArray
from matlab_bridge.read._matconvnet import is_dagnn, is_simplenn, read_dagnn, read_simplenn

from . import matconvnet_by_hand as reference
from .layer_tools import assert_round_trip
from .networks_by_hand import row, single
from .objects_by_hand import EMPTY, cell

SOURCE = mb.Source(Path("net.mat"), "net", "simplenn")


def conv(seed: int, *shape: int, **settings: Any) -> dict[str, Any]:
    weights = cell(single(seed, *shape), single(seed + 1, shape[3], 1), shape=(1, 2))
    return {"type": "conv", "weights": weights, "stride": row(1), "pad": row(0), **settings}


def net_of(*layers: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"layers": cell(*layers, shape=(1, -1)), **fields}


def predicted(network: mb.Network, image: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(network.to_keras()(image[None].astype("f4"), training=False))[0]


def assert_like_matconvnet(net: Mapping[str, Any], image: np.ndarray) -> None:
    expected = reference.simplenn(net, image.astype(float))
    found = predicted(read_simplenn(net, SOURCE), image)
    assert found.shape in (expected.shape, expected.shape[2:])
    np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-5 * max(1, np.abs(expected).max()), rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pad": row(1)},
        {"pad": row(0, 1, 2, 1)},
        {"stride": row(2)},
        {"stride": row(2, 3), "pad": row(1, 0, 0, 2)},
        {"dilate": row(2)},
        {"dilate": row(2), "stride": row(2), "pad": row(1)},
    ],
)
def test_convolutions_are_correlations_with_padding_top_bottom_left_right(settings: dict[str, Any]) -> None:
    assert_like_matconvnet(net_of(conv(0, 3, 2, 3, 4, **settings)), single(9, 9, 11, 3))


def test_filters_of_fewer_channels_make_groups() -> None:
    first, grouped = conv(0, 3, 3, 2, 6), conv(2, 3, 3, 3, 4)
    assert_like_matconvnet(net_of(first, grouped), single(9, 9, 9, 2))


def test_convolutions_may_have_no_biases_and_old_names() -> None:
    bare = {
        "type": "conv",
        "weights": cell(single(0, 3, 3, 2, 4), EMPTY, shape=(1, 2)),
        "stride": row(1),
        "pad": row(1),
    }
    assert_like_matconvnet(net_of(bare), single(9, 6, 6, 2))
    assert "Bias" not in read_simplenn(net_of(bare), SOURCE).layers[1].learnables
    old = {"type": "conv", "filters": single(0, 3, 3, 2, 4), "biases": single(1, 1, 4), "stride": row(1), "pad": row(0)}
    assert_like_matconvnet(net_of(old), single(9, 6, 6, 2))


@pytest.mark.parametrize("method", ["max", "avg"])
@pytest.mark.parametrize(
    "settings",
    [
        {"pool": row(2, 2), "stride": row(2)},
        {"pool": row(3), "stride": row(2), "pad": row(1)},
        {"pool": row(3, 2), "stride": row(2, 1), "pad": row(0, 1, 1, 0)},
        {"pool": row(3, 3), "stride": row(2), "pad": row(0, 1, 0, 1)},
    ],
)
def test_padding_takes_no_part_in_a_pooling(method: str, settings: dict[str, Any]) -> None:
    # All negative: a padding by zeros would win each maximum at the edge.
    image = -np.abs(single(9, 7, 8, 4)) - 1
    pool = {"type": "pool", "method": method, **settings}
    assert_like_matconvnet(net_of(conv(0, 1, 1, 4, 4), pool), image)


def test_the_alpha_of_a_local_response_normalization_is_not_divided() -> None:
    for size in (5, 4, 1):
        lrn = {"type": "normalize", "param": row(size, 2, 0.3, 0.75)}
        meta = {"normalization": {"imageSize": row(4, 5, 6)}}
        assert_like_matconvnet(net_of(conv(0, 1, 1, 6, 7), lrn, meta=meta), single(9, 4, 5, 6))


def test_local_response_normalizations_need_a_size() -> None:
    net = net_of(conv(0, 1, 1, 6, 7), {"type": "lrn", "param": row(5, 1, 1, 1)})
    with pytest.raises(mb.UnsupportedLayerError, match="the network does not say how large"):
        read_simplenn(net, SOURCE).to_keras()


def bnorm(seed: int, channels: int) -> dict[str, Any]:
    moments = single(seed + 2, channels, 2)
    moments[:, 1] = np.abs(moments[:, 1]) + 0.01
    return {
        "type": "bnorm",
        "weights": cell(single(seed, channels, 1), single(seed + 1, channels, 1), moments, shape=(1, 3)),
    }


def test_batch_normalizations_divide_by_the_stored_deviation() -> None:
    assert_like_matconvnet(net_of(conv(0, 3, 3, 2, 5), bnorm(3, 5), {"type": "relu"}), single(9, 6, 6, 2))


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((4, 4, 3, 2), {"upsample": row(2), "crop": row(1)}),
        ((3, 2, 3, 2), {"upsample": row(2, 3), "crop": row(0, 1, 1, 0)}),
        ((1, 1, 3, 2), {"upsample": row(2), "crop": row(0)}),
    ],
)
def test_transposed_convolutions(shape: tuple[int, ...], settings: dict[str, Any]) -> None:
    weights = cell(single(0, *shape), single(1, shape[2], 1), shape=(1, 2))
    assert_like_matconvnet(
        net_of(conv(4, 1, 1, 2, 2), {"type": "convt", "weights": weights, **settings}), single(9, 4, 5, 2)
    )


def test_activations_and_layers_of_training() -> None:
    layers = [{"type": "relu", "leak": row(0.1)}, {"type": "sigmoid"}, {"type": "dropout", "rate": row(0.5)}]
    assert_like_matconvnet(net_of(conv(0, 1, 1, 3, 4), *layers, {"type": "softmax"}), single(9, 5, 5, 3))


def classifier(**fields: Any) -> dict[str, Any]:
    """As MatConvNet's first example: fully connected layers are convolutions of the whole image."""
    return net_of(
        conv(0, 5, 5, 1, 4),
        {"type": "pool", "method": "max", "pool": row(2, 2), "stride": row(2), "pad": row(0)},
        conv(2, 4, 4, 4, 6),
        {"type": "relu"},
        conv(4, 1, 1, 6, 3),
        {"type": "softmaxloss"},
        **fields,
    )


def test_a_classifier_ends_in_probabilities_of_the_image_it_was_made_for() -> None:
    network = read_simplenn(classifier(), SOURCE)
    np.testing.assert_array_equal(network.layers[0].settings["InputSize"], [[12, 12, 1]])
    assert network.to_keras().output_shape == (None, 3)
    assert_like_matconvnet(classifier(), single(9, 12, 12, 1))


def test_networks_for_any_size_stay_so() -> None:
    net = net_of(conv(0, 3, 3, 1, 4, pad=row(1)), {"type": "relu"}, conv(2, 3, 3, 4, 1, pad=row(1)))
    assert read_simplenn(net, SOURCE).to_keras().input_shape == (None, None, None, 1)
    assert_like_matconvnet(net, single(9, 7, 5, 1))


@pytest.mark.parametrize("shape", [(12, 12), (1, 1)])
def test_the_average_image_is_subtracted(shape: tuple[int, int]) -> None:
    average = single(7, *shape)
    meta = {
        "normalization": {"imageSize": row(12, 12, 1), "averageImage": average},
        "classes": {"name": cell("a", "b", "c")},
    }
    image = single(9, 12, 12, 1)
    expected = reference.simplenn(classifier(), image - average.astype(float)[..., None])
    for net in (classifier(meta=meta), classifier(**meta)):  # the second as files before 2015 have it
        network = read_simplenn(net, SOURCE)
        assert network.class_names == ("a", "b", "c")
        np.testing.assert_allclose(predicted(network, image), expected.ravel(), atol=1e-5)


def test_an_average_image_of_another_size_is_left_out_with_a_warning() -> None:
    meta = {"normalization": {"imageSize": row(12, 12, 1), "averageImage": single(7, 9, 9)}}
    with pytest.warns(UserWarning, match="it is left out"):
        read_simplenn(classifier(meta=meta), SOURCE)


def test_layers_of_equal_or_no_names_get_names() -> None:
    layers = [conv(0, 1, 1, 3, 3, name="conv"), {"type": "relu", "name": ""}, conv(2, 1, 1, 3, 3, name="conv")]
    names = [layer.name for layer in read_simplenn(net_of(*layers), SOURCE).layers]
    assert names == ["input", "conv_1", "relu_2", "conv_3"]


def test_layers_of_ones_own_are_named() -> None:
    with pytest.raises(mb.UnsupportedLayerError, match=r"'custom_2' \(simplenn\.custom\)"):
        read_simplenn(net_of(conv(0, 1, 1, 3, 3), {"type": "custom"}), SOURCE).to_keras()


# DagNN


def dag_layer(name: str, kind: str, inputs: list[str], params: list[str], **block: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": f"dagnn.{kind}",
        "inputs": cell(*inputs, shape=(1, -1)),
        "outputs": cell(f"x_{name}", shape=(1, -1)),
        "params": cell(*params, shape=(1, -1)) if params else np.empty((0, 0), object),
        "block": block,
    }


def dag() -> dict[str, Any]:
    """A branch that joins again by a sum and a concatenation."""
    values = {
        "f1": single(0, 3, 3, 2, 4),
        "b1": single(1, 4, 1),
        "f2": single(2, 3, 3, 4, 4),
        "m": single(3, 4, 1),
        "o": single(4, 4, 1),
        "mom": np.abs(single(5, 4, 2)) + 0.1,
        "f3": single(6, 6, 6, 8, 3),
    }
    layers = [
        dag_layer(
            "conv1", "Conv", ["data"], ["f1", "b1"], pad=row(1, 1, 1, 1), stride=row(1, 1), hasBias=np.array([[True]])
        ),
        dag_layer(
            "conv2", "Conv", ["x_conv1"], ["f2"], pad=row(1, 1, 1, 1), stride=row(1, 1), hasBias=np.array([[False]])
        ),
        dag_layer("bn", "BatchNorm", ["x_conv2"], ["m", "o", "mom"], epsilon=row(1e-5)),
        dag_layer("sum", "Sum", ["x_bn", "x_conv1"], []),
        dag_layer("cat", "Concat", ["x_sum", "x_conv1"], [], dim=row(3)),
        dag_layer("fc", "Conv", ["x_cat"], ["f3"], pad=row(0, 0, 0, 0), stride=row(1, 1), hasBias=np.array([[False]])),
        dag_layer("objective", "Loss", ["x_fc", "label"], [], loss="softmaxlog"),
        dag_layer("error", "Loss", ["x_fc", "label"], [], loss="classerror"),
    ]
    params = [{"name": name, "value": value} for name, value in values.items()]
    return {
        "layers": StructArray(cell(*layers, shape=(1, -1)), tuple(layers[0])),
        "vars": StructArray(cell({"name": "data"}, {"name": "label"}, shape=(1, -1)), ("name",)),
        "params": StructArray(cell(*params, shape=(1, -1)), ("name", "value")),
        "meta": EMPTY,
    }


def test_a_dagnn_is_followed_by_the_names_of_its_variables() -> None:
    net = dag()
    value = {each["name"]: each["value"] for each in net["params"].ravel()}
    image = single(9, 6, 6, 2)

    def convolved(x: np.ndarray, *names: str, pad: int = 0) -> np.ndarray:
        weights = cell(*(value[name] for name in names))
        return reference.conv({"weights": weights, "pad": row(pad)}, x)

    first = convolved(image.astype(float), "f1", "b1", pad=1)
    normalized = reference.bnorm({"weights": cell(value["m"], value["o"], value["mom"])}, convolved(first, "f2", pad=1))
    joined = np.concatenate([normalized + first, first], axis=-1)
    expected = reference.softmax({}, convolved(joined, "f3"))

    network = read_dagnn(net, SOURCE)
    assert [layer.name for layer in network.layers] == ["data", "conv1", "conv2", "bn", "sum", "cat", "fc", "objective"]
    np.testing.assert_allclose(predicted(network, image), expected.ravel(), atol=1e-5)


def test_a_dagnn_whose_parameters_are_lost() -> None:
    net = dag()
    net["params"] = net["params"][:, 1:]
    with pytest.raises(
        mb.InvalidNetworkError, match="The layer 'conv1' of 'net' has the parameters f1, which the network"
    ):
        read_dagnn(net, SOURCE)


def test_what_is_a_network_and_what_is_none() -> None:
    assert is_dagnn(dag())
    assert is_simplenn(classifier())
    assert not is_simplenn(dag())
    assert not is_simplenn({"layers": cell(row(1))})
    assert not is_simplenn({"layers": EMPTY})


@pytest.mark.parametrize(
    "network", [read_simplenn(classifier(), SOURCE), read_dagnn(dag(), SOURCE)], ids=["simplenn", "dagnn"]
)
def test_weights_and_masks_come_back(network: mb.Network) -> None:
    assert_round_trip(network)
