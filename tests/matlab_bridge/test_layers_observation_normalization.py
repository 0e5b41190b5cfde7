"""Layer, group and instance normalization against their definitions, on vectors, sequences and images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matlab_bridge import UnsupportedLayerError

from .layer_tools import (
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

INPUTS = {
    "vector": (lambda c: feature_input(c), lambda c: (3, c)),
    "sequence": (lambda c: sequence_input(c), lambda c: (3, 7, c)),
    "image": (lambda c: image_input((4, 5, c)), lambda c: (3, 4, 5, c)),
}


def spread(what, channels):
    """Random data whose channels lie apart: what is nearly constant, single precision cannot normalize."""
    return normal(3, *INPUTS[what][1](channels)) / 2 + 3 * np.arange(channels)


def normalized(kind, channels, epsilon=1e-5, **settings_):
    shape = (1, 1, channels)
    learnables = {"Offset": normal(1, channels).reshape(shape), "Scale": normal(2, channels).reshape(shape)}
    return layer("norm", kind, {"Epsilon": row(epsilon), "NumChannels": row(channels), **settings_}, learnables)


def standardized(data, axes, epsilon):
    mean = data.mean(axis=axes, keepdims=True)
    variance = ((data - mean) ** 2).mean(axis=axes, keepdims=True)
    return (data - mean) / np.sqrt(variance + epsilon)


def check(what, norm, expected, data):
    first, _ = INPUTS[what]
    network = chain(first(data.shape[-1]), norm)
    offset, scale = (norm.learnables[name].astype(float).ravel() for name in ("Offset", "Scale"))
    np.testing.assert_allclose(outputs(network, data), expected * scale + offset, rtol=0, atol=1e-5)
    assert_round_trip(network)


OPERATIONS = [
    ("auto", {"vector": (1,), "sequence": (2,), "image": (1, 2, 3)}),
    ("channel-only", {"vector": (1,), "sequence": (2,), "image": (3,)}),
    ("spatial-channel", {"vector": (1,), "sequence": (2,), "image": (1, 2, 3)}),
    ("batch-excluded", {"vector": (1,), "sequence": (1, 2), "image": (1, 2, 3)}),
    (None, {"vector": (1,), "sequence": (1, 2), "image": (1, 2, 3)}),
]


@pytest.mark.parametrize(("operation", "axes"), OPERATIONS, ids=[str(each[0]) for each in OPERATIONS])
@pytest.mark.parametrize("what", INPUTS)
@given(st.integers(2, 7), st.sampled_from([1e-5, 1e-2]))
@settings(max_examples=4)
def test_layer_normalization(what, operation, axes, channels, epsilon):
    more = {"OperationDimension": operation} if operation else {}
    data = spread(what, channels)
    norm = normalized("LayerNormalizationLayer", channels, epsilon, **more)
    check(what, norm, standardized(data, axes[what], epsilon), data)


@pytest.mark.parametrize("what", INPUTS)
@given(st.integers(1, 3), st.integers(2, 3), st.sampled_from([1e-5, 1e-2]))
@settings(max_examples=6)
def test_group_normalization(what, groups, size, epsilon):
    channels = groups * size
    data = spread(what, channels)
    split = data.reshape(*data.shape[:-1], groups, size)
    expected = standardized(split, (*range(1, data.ndim - 1), data.ndim), epsilon).reshape(data.shape)
    check(what, normalized("GroupNormalizationLayer", channels, epsilon, NumGroups=row(groups)), expected, data)


@pytest.mark.parametrize(
    ("kind", "more", "per_channel"),
    [
        ("GroupNormalizationLayer", {"NumGroups": "all-channels"}, False),
        ("GroupNormalizationLayer", {"NumGroups": "channel-wise"}, True),
        ("InstanceNormalizationLayer", {}, True),
    ],
)
@pytest.mark.parametrize("what", ["sequence", "image"])
def test_all_channels_together_and_each_by_itself(what, kind, more, per_channel):
    data = normal(3, *INPUTS[what][1](4)) * 3 + 1 if per_channel else spread(what, 4)
    axes = tuple(range(1, data.ndim - per_channel))
    check(what, normalized(kind, 4, **more), standardized(data, axes, 1e-5), data)


def test_a_dimension_of_a_later_release_is_refused():
    network = chain(feature_input(3), normalized("LayerNormalizationLayer", 3, OperationDimension="temporal"))
    with pytest.raises(UnsupportedLayerError, match=r"OperationDimension is 'temporal'"):
        network.to_keras()
