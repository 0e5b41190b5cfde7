"""Convolutions and poolings over one and three dimensions, against windows written out element by element."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from matlab_bridge import InvalidNetworkError, UnsupportedLayerError

from .layer_tools import assert_close, assert_round_trip, chain, layer, normal, outputs, sequence_input
from .networks_by_hand import row
from .numpy_windows import convolve, padded, pool, same_sides, transposed


def first_of(rank, size, channels):
    """Sequences (N, T, C), or images of three dimensions."""
    if rank == 1:
        return sequence_input(channels)
    return layer("input", "Image3DInputLayer", {"InputSize": row(*size, channels)})


def as_matlab_has(sides):
    """`[left right]`, or `[top left front; bottom right back]`."""
    return row(*sides[0]) if len(sides) == 1 else np.array(sides, dtype=float).T


@st.composite
def windows(draw):
    """A rank, and for each dimension a size, a window, a stride, a dilation and two sides."""
    rank = draw(st.sampled_from([1, 1, 3]))

    def each(least, most):
        return [draw(st.integers(least, most)) for _ in range(rank)]

    sides = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank)]
    return each(4, 9 if rank == 1 else 5), each(1, 4 if rank == 1 else 2), each(1, 3), each(1, 2), sides


def each_of(images, function):
    return np.array([function(image) for image in images])


@given(windows(), st.sampled_from(["manual", "same", "causal"]))
@settings(max_examples=25)
def test_convolutions(window, mode):
    size, taps, stride, dilation, sides = window
    rank = len(size)
    extent = [(k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True)]
    mode = "manual" if rank == 3 and mode == "causal" else mode
    depends_on_the_length = mode == "same" and rank == 1 and stride[0] > 1 and dilation[0] > 1
    assume(not depends_on_the_length)
    sides = {"manual": sides, "same": same_sides(size, extent, stride), "causal": [(extent[0] - 1, 0)]}[mode]
    assume(all(k <= n + sum(s) for k, n, s in zip(extent, size, sides, strict=True)))
    images, weights, bias = normal(1, 2, *size, 3), normal(2, *taps, 3, 4), normal(3, 4)
    network = chain(
        first_of(rank, size, 3),
        layer(
            "conv",
            f"Convolution{rank}DLayer",
            {
                "FilterSize": row(*taps),
                "NumFilters": row(4),
                "Stride": row(*stride),
                "DilationFactor": row(*dilation),
                "PaddingMode": mode,
                # For "same" MATLAB stores what the last length took.
                "PaddingSize": as_matlab_has(sides) if mode == "manual" else np.zeros((0, 0)),
            },
            {"Weights": weights, "Bias": bias.reshape((1,) * rank + (-1,))},
        ),
    )
    expected = each_of(images, lambda image: convolve(padded(image, sides), weights, bias, stride, dilation))
    assert_close(outputs(network, images).reshape(expected.shape), expected)
    assert_round_trip(network)


def test_padding_that_depends_on_an_open_length():
    conv = layer(
        "conv",
        "Convolution1DLayer",
        {"FilterSize": row(3), "NumFilters": row(2), "Stride": row(2), "DilationFactor": row(2), "PaddingMode": "same"},
    )
    with pytest.raises(UnsupportedLayerError, match=r"'conv' .* length of the sequences, which is open"):
        chain(sequence_input(3), conv).to_keras()


@pytest.mark.parametrize(("value", "how"), [(row(-2.0), {"constant_values": -2}), ("symmetric-exclude-edge", None)])
def test_what_the_padding_of_sequences_is_filled_with(value, how):
    sequences, weights = normal(1, 2, 6, 2), normal(2, 3, 2, 4)
    conv = layer(
        "conv",
        "Convolution1DLayer",
        {"FilterSize": row(3), "NumFilters": row(4), "PaddingSize": row(2, 1), "PaddingValue": value},
        {"Weights": weights, "Bias": np.zeros((1, 4))},
    )
    around = np.pad(sequences, ((0, 0), (2, 1), (0, 0)), **(how or {"mode": "reflect"}))
    expected = each_of(around, lambda sequence: convolve(sequence, weights, np.zeros(4), [1], [1]))
    assert_close(outputs(chain(sequence_input(2), conv), sequences), expected)


@given(windows(), st.sampled_from(["manual", "same"]))
@settings(max_examples=20)
def test_transposed_convolutions(window, mode):
    size, taps, stride, _, crop = window
    rank, size = len(size), [max(n - 2, 2) for n in size]
    if mode == "same":
        assume(all(k >= s for k, s in zip(taps, stride, strict=True)))
        crop = [((k - s) // 2, (k - s) - (k - s) // 2) for k, s in zip(taps, stride, strict=True)]
    assume(all((n - 1) * s + k > sum(c) for n, s, k, c in zip(size, stride, taps, crop, strict=True)))
    images, weights, bias = normal(1, 2, *size, 3), normal(2, *taps, 4, 3), normal(3, 4)
    network = chain(
        first_of(rank, size, 3),
        layer(
            "up",
            f"TransposedConvolution{rank}DLayer",
            {
                "FilterSize": row(*taps),
                "NumFilters": row(4),
                "Stride": row(*stride),
                "CroppingMode": mode,
                "CroppingSize": as_matlab_has(crop),
            },
            {"Weights": weights, "Bias": bias.reshape((1,) * rank + (-1,))},
        ),
    )
    expected = each_of(images, lambda image: transposed(image, weights, bias, stride, crop))
    assert_close(outputs(network, images).reshape(expected.shape), expected)
    assert_round_trip(network)


POOLINGS = {
    "max": ("MaxPooling", {}, np.max, -np.inf),
    "zeros": ("AveragePooling", {"PaddingValue": row(0)}, np.mean, 0.0),
    "mean": ("AveragePooling", {"PaddingValue": "mean"}, np.nanmean, np.nan),
}


@given(windows(), st.sampled_from(sorted(POOLINGS)), st.sampled_from(["manual", "same"]))
@settings(max_examples=30)
def test_poolings(window, what, mode):
    size, taps, stride, _, sides = window
    rank = len(size)
    sides = [(min(a, k - 1), min(b, k - 1)) for (a, b), k in zip(sides, taps, strict=True)]
    sides = same_sides(size, taps, stride) if mode == "same" else sides
    name, more, reduce, fill = POOLINGS[what]
    images = normal(1, 2, *size, 2) + (-5 if what == "max" else 5)
    network = chain(
        first_of(rank, size, 2),
        layer(
            "pool",
            f"{name}{rank}DLayer",
            {
                "PoolSize": row(*taps),
                "Stride": row(*stride),
                "PaddingMode": mode,
                "PaddingSize": as_matlab_has(sides) if mode == "manual" else np.zeros((0, 0)),
                **more,
            },
        ),
    )
    expected = each_of(images, lambda image: pool(padded(image, sides, fill), taps, stride, reduce))
    assert_close(outputs(network, images).reshape(expected.shape), expected)


def test_a_mean_over_an_open_length_is_saved(tmp_path):
    settings_ = {"PoolSize": row(3), "Stride": row(2), "PaddingMode": "same", "PaddingValue": row(0)}
    model = chain(sequence_input(2), layer("pool", "AveragePooling1DLayer", settings_)).to_keras()
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    for length in (6, 7):
        sequences = normal(1, 2, length, 2)
        sides = same_sides([length], [3], [2])
        expected = each_of(sequences, lambda each, sides=sides: pool(padded(each, sides), [3], [2], np.mean))
        assert_close(np.asarray(loaded(sequences)), expected)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize(("kind", "reduce"), [("Average", np.mean), ("Max", np.max)])
def test_global_poolings(rank, kind, reduce):
    size = (5, 4, 3)[:rank]
    images = normal(1, 2, *size, 6)
    network = chain(first_of(rank, size, 6), layer("pool", f"Global{kind}Pooling{rank}DLayer"))
    assert_close(outputs(network, images), reduce(images, axis=tuple(range(1, rank + 1))))


def test_adaptive_pooling_takes_equal_regions():
    images = normal(1, 2, 6, 8, 3)
    first = layer("input", "ImageInputLayer", {"InputSize": row(6, 8, 3)})
    network = chain(first, layer("pool", "AdaptiveAveragePooling2DLayer", {"OutputSize": row(3, 2)}))
    assert_close(outputs(network, images), images.reshape(2, 3, 2, 2, 4, 3).mean(axis=(2, 4)))
    uneven = chain(first, layer("pool", "AdaptiveAveragePooling2DLayer", {"OutputSize": row(4)}))
    with pytest.raises(UnsupportedLayerError, match=r"OutputSize \(4, 4\) does not divide images of \(6, 8\)"):
        uneven.to_keras()


@pytest.mark.parametrize("order", ["column-major", "spatial"])
def test_fully_connected_after_images_of_three_dimensions(order):
    images, weights, bias = normal(1, 2, 2, 3, 4, 5), normal(2, 2, 3, 4, 5, 6), normal(3, 6)
    stored = weights if order == "spatial" else weights.reshape(-1, 6, order="F").T
    network = chain(
        first_of(3, (2, 3, 4), 5),
        layer(
            "fc",
            "FullyConnectedLayer",
            {"InputSize": row(2, 3, 4, 5) if order == "spatial" else row(120), "OutputSize": row(6)},
            {"Weights": stored, "Bias": bias.reshape(-1, 1)},
        ),
    )
    assert_close(outputs(network, images), np.tensordot(images, weights, axes=4) + bias)
    assert_round_trip(network)


@pytest.mark.parametrize(
    ("kind", "given_", "message"),
    [
        ("MaxPooling1DLayer", {"PoolSize": row(2, 2)}, r"2 numbers for PoolSize; 1 or one"),
        ("MaxPooling1DLayer", {"PoolSize": row(2), "PaddingSize": row(1, 1, 1)}, r"3 numbers for PaddingSize; \[left"),
        ("MaxPooling3DLayer", {"PoolSize": row(2)}, r"sequences of shape \(None, None, 3\)"),
    ],
)
def test_settings_of_another_dimension(kind, given_, message):
    with pytest.raises((InvalidNetworkError, UnsupportedLayerError), match=message):
        chain(sequence_input(3), layer("pool", kind, given_)).to_keras()
