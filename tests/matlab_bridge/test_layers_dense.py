"""Fully connected layers after images, vectors and sequences: MATLAB's column-major order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from .layer_tools import (
    assert_close,
    assert_round_trip,
    chain,
    feature_input,
    image_input,
    layer,
    normal,
    outputs,
    sequence_input,
)
from .networks_by_hand import row

SIZES = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))


def fully_connected(weights, bias, input_size, output_size=None):
    settings_ = {
        "InputSize": row(*input_size),
        "OutputSize": output_size if output_size is not None else row(bias.size),
    }
    return layer("fc", "FullyConnectedLayer", settings_, {"Weights": weights, "Bias": bias.reshape(-1, 1)})


@given(SIZES, st.integers(1, 4))
@settings(max_examples=25)
def test_weights_of_four_dimensions_after_an_image(size, count):
    images, weights, bias = normal(1, 2, *size), normal(2, *size, count), normal(3, count)
    network = chain(image_input(size), fully_connected(weights, bias, size, row(1, 1, count)))
    assert_close(outputs(network, images), np.einsum("nhwc,hwco->no", images, weights) + bias)
    assert_round_trip(network)


@given(SIZES, st.integers(1, 4))
@settings(max_examples=25)
def test_weights_of_two_dimensions_after_an_image_run_column_major(size, count):
    elements = int(np.prod(size))
    images, weights, bias = normal(1, 2, *size), normal(2, count, elements), normal(3, count)
    network = chain(image_input(size), fully_connected(weights, bias, (elements,)))
    flat = np.stack([image.ravel(order="F") for image in images])
    assert_close(outputs(network, images), flat @ weights.T + bias)
    assert_round_trip(network)


@given(SIZES, st.integers(1, 4))
@settings(max_examples=20)
def test_flatten_is_column_major(size, count):
    elements = int(np.prod(size))
    images, weights, bias = normal(1, 2, *size), normal(2, count, elements), normal(3, count)
    flatten = layer("flatten", "FlattenLayer", {"NumFlattenDimensions": row(3)})
    flat = np.stack([image.ravel(order="F") for image in images])
    assert_close(outputs(chain(image_input(size), flatten), images), flat)
    network = chain(image_input(size), flatten, fully_connected(weights, bias, (elements,)))
    assert_close(outputs(network, images), flat @ weights.T + bias)


@given(st.integers(1, 5), st.integers(1, 4), st.booleans())
@settings(max_examples=15)
def test_vectors_and_each_step_of_a_sequence(size, count, is_sequence):
    weights, bias = normal(2, count, size), normal(3, count)
    data = normal(1, *((2, 4, size) if is_sequence else (2, size)))
    first = sequence_input(size) if is_sequence else feature_input(size)
    network = chain(first, fully_connected(weights, bias, (size,)))
    assert_close(outputs(network, data), data @ weights.T + bias)
    assert_round_trip(network)


def test_weights_of_four_dimensions_after_another_fully_connected_layer():
    images = normal(1, 2, 3, 2, 2)
    first, second = normal(2, 3, 2, 2, 4), normal(3, 1, 1, 4, 3)
    zeros = np.zeros((1, 1, 3))
    after = layer("fc2", "FullyConnectedLayer", {"OutputSize": row(1, 1, 3)}, {"Weights": second, "Bias": zeros})
    network = chain(image_input((3, 2, 2)), fully_connected(first, np.zeros(4), (3, 2, 2)), after)
    assert_close(outputs(network, images), np.einsum("nhwc,hwco->no", images, first) @ second[0, 0])
    assert_round_trip(network)


def test_a_convolution_after_a_fully_connected_layer_sees_one_pixel():
    images, weights, kernel = normal(1, 2, 3, 2, 1), normal(2, 3, 2, 1, 4), normal(3, 1, 1, 4, 5)
    convolution = layer(
        "conv",
        "Convolution2DLayer",
        {"FilterSize": row(1, 1), "NumFilters": row(5)},
        {"Weights": kernel, "Bias": np.zeros((1, 1, 5))},
    )
    network = chain(image_input((3, 2, 1)), fully_connected(weights, np.zeros(4), (3, 2, 1)), convolution)
    assert_close(outputs(network, images), np.einsum("nhwc,hwco->no", images, weights) @ kernel[0, 0])
