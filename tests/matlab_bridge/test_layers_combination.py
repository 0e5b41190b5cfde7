"""Layers with several inputs, in the order of their ports."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from matlab_bridge import UnsupportedLayerError
from matlab_bridge.network import Connection, Network

from .layer_tools import assert_close, feature_input, image_input, layer, normal, sequence_input
from .networks_by_hand import row


def joined(first, last, count=2):
    """`count` inputs of one kind, connected to a layer in reverse order of the ports."""
    layers = [layer(f"input{n}", first.kind, first.settings) for n in range(1, count + 1)]
    connections = [Connection(f"input{n}", last.name, "", f"in{n}") for n in range(count, 0, -1)]
    return Network((*layers, last), tuple(connections))


def test_addition():
    model = joined(image_input((3, 4, 2)), layer("add", "AdditionLayer", {"NumInputs": row(3)}), 3).to_keras()
    data = [normal(seed, 2, 3, 4, 2) for seed in range(3)]
    assert_close(np.asarray(model(data)), sum(data))


FIRSTS = {
    "vectors": (lambda size: feature_input(*size), ()),
    "images": (image_input, ()),
    "sequences": (lambda size: layer("input", "SequenceInputLayer", {"InputSize": row(*size)}), (4,)),
}


@pytest.mark.parametrize(
    ("batch", "summands"),
    [
        (5, [("vectors", (5,)), ("vectors", (1,))]),
        (1, [("images", (5, 5, 2)), ("images", (1, 5, 1))]),
        (1, [("images", (5, 3, 5)), ("images", (5, 1, 1)), ("images", (1, 1, 5))]),
        (2, [("images", (1, 1, 3)), ("images", (4, 5, 3))]),
        (2, [("vectors", (3,)), ("images", (4, 5, 3))]),
        (4, [("sequences", (4,)), ("vectors", (1,))]),
        (2, [("vectors", (3,)), ("sequences", (6, 5, 3)), ("sequences", (1,))]),
        (4, [("sequences", (6, 4, 3)), ("images", (6, 1, 1))]),
    ],
    ids=str,
)
def test_addition_of_inputs_of_different_sizes(batch, summands):
    sizes = [size for _, size in summands]
    names = [f"input{n}" for n in range(len(summands))]
    inputs = [replace(FIRSTS[what][0](size), name=name) for name, (what, size) in zip(names, summands, strict=True)]
    ends = [Connection(name, "add", "", f"in{n}") for n, name in enumerate(names, start=1)]
    network = Network((*inputs, layer("add", "AdditionLayer", {"NumInputs": row(len(names))})), tuple(ends))
    data = [normal(n, batch, *FIRSTS[what][1], *size) for n, (what, size) in enumerate(summands)]
    has_time, space = "sequences" in dict(summands), max(map(len, sizes)) - 1

    def over_all(array, what, size):
        """N x T x space x C."""
        time = FIRSTS[what][1] if what == "sequences" else (1,) * has_time
        return array.reshape(batch, *time, *(1,) * (space + 1 - len(size)), *size)

    expected = sum(over_all(array, *summand) for array, summand in zip(data, summands, strict=True))
    model = network.to_keras()
    assert_close(np.asarray(model(data)), expected)
    assert_close(model.predict(data, verbose=0), expected)
    assert model.layers[-1].name == "add"


def test_addition_of_equal_sizes_is_keras_own():
    model = joined(image_input((3, 4, 2)), layer("add", "AdditionLayer", {"NumInputs": row(2)})).to_keras()
    assert isinstance(model.get_layer("add"), keras.layers.Add)


def test_multiplication():
    model = joined(image_input((3, 4, 2)), layer("times", "MultiplicationLayer", {"NumInputs": row(3)}), 3).to_keras()
    data = [normal(seed, 2, 3, 4, 2) for seed in range(3)]
    assert_close(np.asarray(model(data)), data[0] * data[1] * data[2])


def test_a_vector_multiplies_every_pixel():
    layers = (
        image_input((3, 4, 2)),
        layer("pool", "GlobalAveragePooling2DLayer"),
        layer("gate", "SigmoidLayer"),
        layer("times", "MultiplicationLayer", {"NumInputs": row(2)}),
    )
    ends = (("input", "pool"), ("pool", "gate"), ("input", "times/in1"), ("gate", "times/in2"))
    images = normal(1, 2, 3, 4, 2)
    gates = 1 / (1 + np.exp(-images.mean(axis=(1, 2), keepdims=True)))
    model = Network(layers, tuple(Connection.parse(*each) for each in ends)).to_keras()
    assert_close(np.asarray(model(images)), images * gates)


def test_depth_concatenation_follows_the_ports():
    network = joined(image_input((3, 4, 2)), layer("cat", "DepthConcatenationLayer", {"NumInputs": row(11)}), 11)
    data = [normal(seed, 2, 3, 4, 2) for seed in range(11)]
    assert_close(np.asarray(network.to_keras()(data)), np.concatenate(data, axis=-1))


@pytest.mark.parametrize(
    ("first", "shape", "dim", "axis"),
    [
        (image_input((3, 4, 2)), (2, 3, 4, 2), 1, 1),
        (image_input((3, 4, 2)), (2, 3, 4, 2), 2, 2),
        (image_input((3, 4, 2)), (2, 3, 4, 2), 3, 3),
        (feature_input(5), (2, 5), 1, 1),
        (sequence_input(5), (2, 6, 5), 1, 2),
    ],
)
def test_concatenation_along_a_dimension(first, shape, dim, axis):
    network = joined(first, layer("cat", "ConcatenationLayer", {"NumInputs": row(2), "Dim": row(dim)}))
    data = [normal(seed, *shape) for seed in range(2)]
    assert_close(np.asarray(network.to_keras()(data)), np.concatenate(data, axis=axis))


def test_concatenation_along_a_dimension_that_is_not_there():
    network = joined(feature_input(5), layer("cat", "ConcatenationLayer", {"NumInputs": row(2), "Dim": row(2)}))
    with pytest.raises(UnsupportedLayerError, match=r"'cat' .*, after 'input1' and 'input2': its Dim is 2"):
        network.to_keras()


def test_a_vector_and_one_pixel_are_added():
    layers = (
        image_input((3, 4, 2)),
        layer("pool", "GlobalAveragePooling2DLayer"),
        layer("features", "FeatureInputLayer", {"InputSize": row(2)}),
        layer("add", "AdditionLayer", {"NumInputs": row(2)}),
    )
    connections = (
        Connection("input", "pool"),
        Connection("pool", "add", "", "in1"),
        Connection("features", "add", "", "in2"),
    )
    images, features = normal(1, 2, 3, 4, 2), normal(2, 2, 2)
    model = Network(layers, connections).to_keras()
    assert_close(np.asarray(model([images, features])), images.mean(axis=(1, 2)) + features)
