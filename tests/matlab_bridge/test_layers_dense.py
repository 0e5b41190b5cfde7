"""Fully connected layers after images, vectors and sequences: MATLAB's column-major order."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matlab_bridge import InvalidNetworkError, UnsupportedLayerError

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


@given(st.tuples(st.integers(1, 4), st.integers(1, 3)), st.integers(1, 4), st.booleans())
@settings(max_examples=25)
def test_weights_after_one_dimensional_images(size, count, is_matrix):
    images, weights, bias = normal(1, 2, 3, *size), normal(2, *size, count), normal(3, count)
    stored = weights.reshape(-1, count, order="F").T if is_matrix else weights
    first = sequence_input(0, InputSize=row(*size))
    network = chain(first, fully_connected(stored, bias, (stored.shape[1],) if is_matrix else size))
    assert_close(outputs(network, images), np.einsum("ntsc,sco->nto", images, weights) + bias)
    assert_round_trip(network)


@given(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)), st.integers(1, 3))
@settings(max_examples=15)
def test_weights_after_images_of_three_dimensions(size, count):
    images, weights, bias = normal(1, 2, *size), normal(2, *size, count), normal(3, count)
    first = layer("input", "Image3DInputLayer", {"InputSize": row(*size)})
    network = chain(first, fully_connected(weights, bias, size))
    assert_close(outputs(network, images), np.einsum("nhwdc,hwdco->no", images, weights) + bias)
    assert_round_trip(network)


@pytest.mark.parametrize("input_size", [(15,), (3, 4)])
def test_weights_whose_last_dimension_is_not_the_outputs(input_size):
    images = sequence_input(0, InputSize=row(3, 5))
    network = chain(images, fully_connected(normal(1, 3, 5, 4), normal(2, 4), input_size))
    reason = rf"'fc' .* shape \(3, 5, 4\)\. With its InputSize {re.escape(str(list(input_size)))} and OutputSize 4"
    with pytest.raises(InvalidNetworkError, match=reason):
        network.to_keras()


@pytest.mark.parametrize(("operation", "shown"), [(row(2), r"2\.0"), ("temporal", "'temporal'")])
def test_one_dimension_of_the_input_is_refused(operation, shown):
    fc = fully_connected(normal(1, 4, 3), normal(2, 4), (3,))
    given_ = replace(fc, settings={**fc.settings, "OperationDimension": operation})
    with pytest.raises(UnsupportedLayerError, match=rf"its OperationDimension is {shown}; only 'spatial-channel'"):
        chain(sequence_input(3), given_).to_keras()
    data, all_of_it = normal(3, 2, 3), replace(fc, settings={**fc.settings, "OperationDimension": "spatial-channel"})
    assert_close(outputs(chain(feature_input(3), all_of_it), data), outputs(chain(feature_input(3), fc), data))


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
