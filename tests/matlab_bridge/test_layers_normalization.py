"""Normalizations inside a network against MATLAB's documented formulas."""

from __future__ import annotations

import keras
import numpy as np
import pytest
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


def batch_normalization(channels, epsilon, shape):
    return layer(
        "norm",
        "BatchNormalizationLayer",
        {"Epsilon": row(epsilon), "NumChannels": row(channels)},
        {"Offset": normal(4, channels).reshape(shape), "Scale": normal(5, channels).reshape(shape)},
        {
            "TrainedMean": normal(6, channels).reshape(shape),
            "TrainedVariance": np.abs(normal(7, channels)).reshape(shape),
        },
    )


@given(st.sampled_from(["image", "vector", "sequence"]), st.integers(2, 5), st.sampled_from([1e-5, 1e-3, 0.1]))
@settings(max_examples=20)
def test_batch_normalization_with_the_trained_statistics(what, channels, epsilon):
    first, shape = {
        "image": (image_input((4, 3, channels)), (2, 4, 3, channels)),
        "vector": (feature_input(channels), (2, channels)),
        "sequence": (sequence_input(channels), (2, 5, channels)),
    }[what]
    norm = batch_normalization(channels, epsilon, (1, 1, channels) if what == "image" else (1, channels))
    network, data = chain(first, norm), normal(1, *shape)
    offset, scale, mean, variance = (array.ravel().astype(float) for array in norm.parameters.values())
    expected = (data - mean) / np.sqrt(variance + epsilon) * scale + offset
    assert_close(outputs(network, data), expected)
    assert_round_trip(network)


def responses(images, window, alpha, beta, k):
    """y = x / (K + Alpha ss / WindowChannelSize) ^ Beta; ss over the channels that the window reaches."""
    channels = images.shape[-1]
    result = np.zeros_like(images)
    for c in range(channels):
        first, last = max(0, c - (window - 1) // 2), min(channels - 1, c + window // 2)
        squares = sum(images[..., n] ** 2 for n in range(first, last + 1))
        result[..., c] = images[..., c] / (k + alpha * squares / window) ** beta
    return result


@given(st.integers(1, 6), st.integers(1, 7), st.floats(1e-4, 2), st.floats(0.01, 1.5), st.floats(0.1, 3))
@settings(max_examples=25)
def test_cross_channel_normalization(channels, window, alpha, beta, k):
    settings_ = {"WindowChannelSize": row(window), "Alpha": row(alpha), "Beta": row(beta), "K": row(k)}
    network = chain(image_input((3, 2, channels)), layer("lrn", "CrossChannelNormalizationLayer", settings_))
    images = normal(1, 2, 3, 2, channels)
    assert_close(outputs(network, images), responses(images, window, alpha, beta, k))


def test_an_even_window_reaches_further_ahead():
    # The documentation's example: a window of 4 is the previous channel and the next two.
    image = np.zeros((1, 1, 2, 5))
    image[..., 2] = 1
    for channel in range(5):
        probe = image.copy()
        probe[..., channel] = 1
        settings_ = {"WindowChannelSize": row(4), "Alpha": row(4), "Beta": row(1), "K": row(1)}
        network = chain(image_input((1, 2, 5)), layer("lrn", "CrossChannelNormalizationLayer", settings_))
        seen = outputs(network, probe)[0, 0, 0, 2]
        assert seen == pytest.approx(1 / (1 + (2 if channel in (1, 3, 4) else 1)))


def test_a_saved_model_loads_in_keras_alone(tmp_path):
    network = chain(
        image_input((4, 4, 6)),
        layer("lrn", "CrossChannelNormalizationLayer", {"WindowChannelSize": row(5)}),
    )
    model, images = network.to_keras(), normal(1, 2, 4, 4, 6)
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras", custom_objects={})
    assert {type(each).__module__.partition(".")[0] for each in loaded.layers} == {"keras"}
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(model(images)))
