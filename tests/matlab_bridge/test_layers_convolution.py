"""Convolutions against sums written out from MATLAB's documented definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from matlab_bridge import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge.network import Network

from .layer_tools import assert_close, assert_round_trip, chain, image_input, layer, normal, outputs
from .networks_by_hand import row

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
SIDES = st.tuples(*[st.integers(0, 3)] * 4)
SIZES = st.tuples(st.integers(4, 9), st.integers(4, 9))


def correlation(images, weights, bias, stride, dilation):
    """y(i, j, k) = sum over a, b, c of x(i s + a d, j s + b d, c) w(a, b, c, k), and the bias of k."""
    rows, columns, _, filters = weights.shape
    height = (images.shape[1] - (rows - 1) * dilation[0] - 1) // stride[0] + 1
    width = (images.shape[2] - (columns - 1) * dilation[1] - 1) // stride[1] + 1
    result = np.zeros((len(images), height, width, filters))
    for i in range(height):
        for j in range(width):
            for a in range(rows):
                for b in range(columns):
                    pixel = images[:, i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1]]
                    result[:, i, j] += pixel @ weights[a, b]
    return result + bias


def padded(images, sides, **how):
    top, bottom, left, right = sides
    return np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), **how)


def same_sides(size, window, stride, dilation):
    """Output ceil(size / stride); an odd pixel of padding at the bottom and right."""
    sides = []
    for length, taps, step, gap in zip(size, window, stride, dilation, strict=True):
        count = int(np.ceil(length / step))
        total = max(0, (count - 1) * step + (taps - 1) * gap + 1 - length)
        sides += [total // 2, total - total // 2]
    return sides


def convolution(weights, bias, *, stride=(1, 1), dilation=(1, 1), kind="Convolution2DLayer", **more):
    return layer(
        "conv",
        kind,
        {
            "FilterSize": row(*weights.shape[:2]),
            "NumFilters": row(bias.size),
            "Stride": row(*stride),
            "DilationFactor": row(*dilation),
            **more,
        },
        {"Weights": weights, "Bias": bias.reshape(1, 1, -1)},
    )


@given(SIZES, PAIRS, PAIRS, st.tuples(st.integers(1, 2), st.integers(1, 2)), SIDES, st.integers(1, 3))
@settings(max_examples=25)
def test_a_convolution_with_unequal_padding_stride_and_dilation(size, window, stride, dilation, sides, channels):
    assume(
        all((w - 1) * d < n + sum(s) for w, d, n, s in zip(window, dilation, size, (sides[:2], sides[2:]), strict=True))
    )
    images, weights, bias = normal(1, 2, *size, channels), normal(2, *window, channels, 4), normal(3, 4)
    network = chain(
        image_input((*size, channels)),
        convolution(weights, bias, stride=stride, dilation=dilation, PaddingMode="manual", PaddingSize=row(*sides)),
    )
    expected = correlation(padded(images, sides), weights, bias, stride, dilation)
    assert_close(outputs(network, images).reshape(expected.shape), expected)
    assert_round_trip(network)


@given(SIZES, PAIRS, PAIRS, st.tuples(st.integers(1, 2), st.integers(1, 2)))
@settings(max_examples=25)
def test_same_padding_puts_an_odd_pixel_at_the_bottom_and_right(size, window, stride, dilation):
    images, weights, bias = normal(1, 2, *size, 2), normal(2, *window, 2, 3), normal(3, 3)
    network = chain(
        image_input((*size, 2)),
        convolution(weights, bias, stride=stride, dilation=dilation, PaddingMode="same", PaddingSize=np.zeros((0, 0))),
    )
    sides = same_sides(size, window, stride, dilation)
    expected = correlation(padded(images, sides), weights, bias, stride, dilation)
    assert expected.shape[1:3] == (-(-size[0] // stride[0]), -(-size[1] // stride[1]))
    assert_close(outputs(network, images), expected)


@pytest.mark.parametrize(
    ("value", "how"),
    [
        (row(0.0), {}),
        (row(-1.5), {"constant_values": -1.5}),
        ("symmetric-include-edge", {"mode": "symmetric"}),
        ("symmetric-exclude-edge", {"mode": "reflect"}),
    ],
)
def test_what_the_padding_is_filled_with(value, how):
    images, weights, bias = normal(1, 2, 5, 6, 2), normal(2, 3, 3, 2, 3), normal(3, 3)
    sides = (2, 1, 0, 2)
    network = chain(
        image_input((5, 6, 2)),
        convolution(weights, bias, PaddingMode="manual", PaddingSize=row(*sides), PaddingValue=value),
    )
    expected = correlation(padded(images, sides, **how), weights, bias, (1, 1), (1, 1))
    assert_close(outputs(network, images), expected)


def test_replicated_padding_is_refused_by_name():
    network = chain(
        image_input((5, 6, 2)),
        convolution(normal(2, 3, 3, 2, 3), normal(3, 3), PaddingSize=row(1, 1, 1, 1), PaddingValue="replicate"),
    )
    with pytest.raises(
        UnsupportedLayerError, match=r"'conv' .*layer 2 of 2, after 'input': its PaddingValue 'replicate'"
    ):
        network.to_keras()


@pytest.mark.parametrize("padding", [{"Padding": row(1, 2)}, {"PaddingMode": "manual", "PaddingSize": row(1, 1, 2, 2)}])
def test_files_of_2016_have_two_numbers_for_the_padding(padding):
    images, weights, bias = normal(1, 2, 6, 5, 1), normal(2, 3, 3, 1, 2), normal(3, 2)
    network = chain(image_input((6, 5, 1)), convolution(weights, bias, **padding))
    expected = correlation(padded(images, (1, 1, 2, 2)), weights, bias, (1, 1), (1, 1))
    assert_close(outputs(network, images), expected)


def grouped(images, weights, bias):
    """Each of the g groups of filters sees its own C/g channels; weights FH x FW x C/g x K/g x g."""
    channels, groups = weights.shape[2], weights.shape[4]
    parts = [
        correlation(
            images[..., g * channels : (g + 1) * channels],
            weights[..., g],
            bias[..., g].ravel(),
            (1, 1),
            (1, 1),
        )
        for g in range(groups)
    ]
    return np.concatenate(parts, axis=-1)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(2, 3))
@settings(max_examples=15)
def test_a_grouped_convolution(channels, filters, groups):
    images = normal(1, 2, 6, 5, channels * groups)
    weights, bias = normal(2, 3, 2, channels, filters, groups), normal(3, 1, 1, filters, groups)
    network = chain(
        image_input((6, 5, channels * groups)),
        layer(
            "conv",
            "GroupedConvolution2DLayer",
            {
                "FilterSize": row(3, 2),
                "NumGroups": row(groups),
                "NumChannelsPerGroup": row(channels),
                "NumFiltersPerGroup": row(filters),
                "Stride": row(1, 1),
            },
            {"Weights": weights, "Bias": bias},
        ),
    )
    assert_close(outputs(network, images), grouped(images, weights, bias))
    assert_round_trip(network)


def test_a_channel_wise_convolution_as_it_is_stored_with_four_dimensions():
    images, weights, bias = normal(1, 2, 6, 5, 4), normal(2, 3, 3, 1, 4), normal(3, 1, 1, 4)
    network = chain(
        image_input((6, 5, 4)),
        layer(
            "conv",
            "GroupedConvolution2DLayer",
            {"FilterSize": row(3, 3), "NumGroups": row(4), "NumFiltersPerGroup": row(1), "Stride": row(1, 1)},
            {"Weights": weights, "Bias": bias},
        ),
    )
    expected = grouped(images, weights[:, :, :, None, :], bias[:, :, None, :])
    assert_close(outputs(network, images), expected)
    assert_round_trip(network)


def test_two_numbers_of_filters_are_two_groups():
    images, weights, bias = normal(1, 2, 6, 5, 6), normal(2, 3, 3, 3, 8), normal(3, 8)
    network = chain(image_input((6, 5, 6)), convolution(weights, bias, NumFilters=row(4, 4)))
    parts = np.stack([weights[..., :4], weights[..., 4:]], axis=-1)
    expected = grouped(images, parts, np.stack([bias[:4], bias[4:]], axis=-1))
    assert_close(outputs(network, images), expected)
    assert_round_trip(network)


def spread(images, weights, bias, stride):
    """Each pixel adds its multiple of the filter: y(i s + a, j s + b, k) += x(i, j, c) w(a, b, k, c)."""
    rows, columns, filters, _ = weights.shape
    count, height, width, _ = images.shape
    shape = (count, (height - 1) * stride[0] + rows, (width - 1) * stride[1] + columns, filters)
    result = np.zeros(shape)
    for i in range(height):
        for j in range(width):
            patch = np.einsum("nc,abkc->nabk", images[:, i, j], weights)
            top, left = i * stride[0], j * stride[1]
            result[:, top : top + rows, left : left + columns] += patch
    return result + bias


def transposed(weights, bias, stride, **cropping):
    return layer(
        "up",
        "TransposedConvolution2DLayer",
        {
            "FilterSize": row(*weights.shape[:2]),
            "NumFilters": row(bias.size),
            "Stride": row(*stride),
            "OutputSizeOffset": row(0, 0),
            **cropping,
        },
        {"Weights": weights, "Bias": bias.reshape(1, 1, -1)},
    )


@given(
    st.tuples(st.integers(2, 5), st.integers(2, 5)),
    st.tuples(*[st.integers(1, 4)] * 2),
    PAIRS,
    SIDES,
    st.integers(1, 3),
)
@settings(max_examples=25)
def test_a_transposed_convolution_with_unequal_cropping(size, window, stride, sides, channels):
    images, weights, bias = normal(1, 2, *size, channels), normal(2, *window, 3, channels), normal(3, 3)
    full = spread(images, weights, bias, stride)
    top, bottom, left, right = sides
    assume(top + bottom < full.shape[1] and left + right < full.shape[2])
    network = chain(
        image_input((*size, channels)),
        transposed(weights, bias, stride, CroppingMode="manual", CroppingSize=row(*sides)),
    )
    expected = full[:, top : full.shape[1] - bottom, left : full.shape[2] - right]
    assert_close(outputs(network, images).reshape(expected.shape), expected)
    assert_round_trip(network)


@given(st.tuples(st.integers(2, 5), st.integers(2, 5)), PAIRS, st.tuples(*[st.integers(0, 2)] * 2))
@settings(max_examples=20)
def test_same_cropping_leaves_the_size_times_the_stride(size, stride, more):
    window = (stride[0] + more[0], stride[1] + more[1])
    images, weights, bias = normal(1, 2, *size, 2), normal(2, *window, 3, 2), normal(3, 3)
    network = chain(image_input((*size, 2)), transposed(weights, bias, stride, CroppingMode="same"))
    top, left = more[0] // 2, more[1] // 2
    full = spread(images, weights, bias, stride)
    expected = full[:, top : top + size[0] * stride[0], left : left + size[1] * stride[1]]
    assert_close(outputs(network, images), expected)


def test_same_cropping_of_a_filter_smaller_than_its_stride_is_refused():
    network = chain(
        image_input((3, 3, 1)), transposed(normal(1, 1, 1, 2, 1), normal(2, 2), (2, 3), CroppingMode="same")
    )
    with pytest.raises(UnsupportedLayerError, match="smaller than its stride"):
        network.to_keras()


def test_an_output_size_of_its_own_is_refused():
    network = chain(
        image_input((3, 3, 1)),
        transposed(normal(1, 2, 2, 2, 1), normal(2, 2), (2, 2), OutputSizeOffset=row(1, 0)),
    )
    with pytest.raises(UnsupportedLayerError, match="OutputSizeOffset"):
        network.to_keras()


def test_weights_of_another_size_than_the_settings_say_are_refused():
    wrong = convolution(normal(1, 3, 3, 2, 4), normal(2, 4), FilterSize=row(3, 2))
    with pytest.raises(InvalidNetworkError, match=r"Weights of the layer 'conv' .* \(3, 3, 2, 4\)"):
        chain(image_input((6, 6, 2)), wrong).to_keras()


def test_an_untrained_convolution_takes_its_channels_from_its_input():
    untrained = layer(
        "conv", "Convolution2DLayer", {"FilterSize": row(3, 3), "NumFilters": row(4), "PaddingMode": "same"}
    )
    network = Network((image_input((6, 6, 2)), untrained), chain(image_input((6, 6, 2)), untrained).connections)
    with pytest.warns(UserWarning, match="'conv' have no values yet"):
        model = network.to_keras()
    assert model.get_layer("conv").kernel.shape == (3, 3, 2, 4)
