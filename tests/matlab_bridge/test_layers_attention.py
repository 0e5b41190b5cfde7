"""Attention against sums written out over pairs of time steps, and positions."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from matlab_bridge import UnsupportedLayerError
from matlab_bridge.network import Connection, Network

from .layer_tools import assert_round_trip, chain, feature_input, layer, normal, outputs, sequence_input
from .networks_by_hand import row


def self_attention(channels, heads, keys, values, size, **more):
    """A layer with weights as MATLAB has them: rows are outputs, columns are inputs."""
    shapes = {"Query": (keys, channels), "Key": (keys, channels), "Value": (values, channels), "Output": (size, values)}
    learnables = {}
    for seed, (word, shape) in enumerate(shapes.items()):
        learnables |= {f"{word}Weights": normal(seed, *shape), f"{word}Bias": normal(seed + 10, shape[0], 1)}
    counts = {"NumHeads": row(heads), "NumKeyChannels": row(keys), "InputSize": row(channels)}
    return layer("attend", "SelfAttentionLayer", {**counts, "AttentionMask": "none", **more}, learnables)


def attended(query, key, value, heads, scale=None, causal=False, mask=None):
    """(T, C) each: what every step takes from every other, head by head."""
    steps = []
    for head in range(heads):
        q, k, v = (np.split(each, heads, axis=1)[head] for each in (query, key, value))
        scores = q @ k.T * (1 / np.sqrt(k.shape[1]) if scale is None else scale)
        allowed = np.ones(scores.shape, dtype=bool)
        if causal:
            allowed &= np.tril(allowed)
        if mask is not None:
            allowed &= mask[None, :]
        steps.append(softmax(np.where(allowed, scores, -np.inf), axis=1) @ v)
    return np.concatenate(steps, axis=1)


def expected_of(norm, data, causal=False, masks=None):
    stored = {name: array.astype(float) for name, array in norm.learnables.items()}
    heads = int(norm.settings["NumHeads"].item())
    results = []
    for number, steps in enumerate(data):
        parts = [steps @ stored[f"{word}Weights"].T + stored[f"{word}Bias"].T for word in ("Query", "Key", "Value")]
        mixed = attended(*parts, heads, causal=causal, mask=None if masks is None else masks[number])
        results.append(mixed @ stored["OutputWeights"].T + stored["OutputBias"].T)
    return np.stack(results)


def close(actual, expected):
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


@given(*(st.integers(2, 4) for _ in range(5)), st.integers(1, 6), st.booleans())
@settings(max_examples=20)
def test_self_attention(channels, heads, keys, values, size, steps, causal):
    attend = self_attention(
        channels, heads, heads * keys, heads * values, size, AttentionMask="causal" if causal else "none"
    )
    network = chain(sequence_input(channels), attend)
    data = normal(50, 2, steps, channels)
    close(outputs(network, data), expected_of(attend, data, causal))
    assert_round_trip(network)


def test_a_single_head():
    attend, data = self_attention(1, 1, 1, 1, 1), normal(50, 2, 3, 1)
    close(outputs(chain(sequence_input(1), attend), data), expected_of(attend, data))


def test_heads_of_one_channel():
    network = chain(sequence_input(2), attend := self_attention(2, 3, 3, 3, 2))
    if keras.backend.backend() == "tensorflow":
        with pytest.raises(UnsupportedLayerError, match=r"one channel each, which Keras gets wrong on TensorFlow"):
            network.to_keras()
    else:
        data = normal(50, 2, 3, 2)  # as many steps as heads
        close(outputs(network, data), expected_of(attend, data))


def test_channels_that_are_automatic():
    attend = self_attention(5, 2, 4, 4, 5, NumValueChannels="auto", OutputSize="auto")
    data = normal(50, 2, 6, 5)
    close(outputs(chain(sequence_input(5), attend), data), expected_of(attend, data))


def with_mask(attend, channels, ports):
    layers = (
        *(layer(port, "SequenceInputLayer", {"InputSize": row(channels)}) for port in ports),
        layer("mask", "SequenceInputLayer", {"InputSize": row(1)}),
        attend,
    )
    connections = [Connection("mask", "attend", "", "mask")]
    connections += [Connection(port, "attend", "", port) for port in ports]
    return Network(layers, tuple(connections))


def test_a_padding_mask_hides_steps_from_all_others():
    attend = self_attention(3, 2, 4, 6, 3, HasPaddingMaskInput=row(1))
    data, masks = normal(50, 2, 5, 3), np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1]])
    model = with_mask(attend, 3, ("in",)).to_keras()
    close(np.asarray(model([data, masks[..., None]])), expected_of(attend, data, masks=masks.astype(bool)))


@given(*(st.integers(1, 4) for _ in range(5)), st.sampled_from([None, 0.3]), st.booleans(), st.booleans())
@settings(max_examples=20)
def test_attention(heads, keys, values, queries, steps, scale, causal, masked):
    queries = steps if causal else queries
    settings_ = {
        "NumHeads": row(heads),
        "Scale": "auto" if scale is None else row(scale),
        "AttentionMask": "causal" if causal else "none",
    }
    attend = layer("attend", "AttentionLayer", settings_)
    sizes = {"query": heads * keys, "key": heads * keys, "value": heads * values}
    layers = [layer(port, "SequenceInputLayer", {"InputSize": row(size)}) for port, size in sizes.items()]
    connections = [Connection(port, "attend", "", port) for port in ("value", "query", "key")]
    data = [normal(1, 2, queries, heads * keys), normal(2, 2, steps, heads * keys), normal(3, 2, steps, heads * values)]
    given_, mask = list(data), [None, None]
    if masked:
        layers.append(layer("mask", "SequenceInputLayer", {"InputSize": row(1)}))
        connections.append(Connection("mask", "attend", "", "mask"))
        mask = np.ones((2, steps), dtype=bool)
        mask[0, 1:] = False
        given_.append(mask[..., None].astype(np.float32))
    model = Network((*layers, attend), tuple(connections)).to_keras()
    expected = [attended(*(each[n] for each in data), heads, scale, causal, mask[n]) for n in range(2)]
    close(np.asarray(model(given_)), np.stack(expected))


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 3))
@settings(max_examples=8)
def test_position_embedding(size, steps, more):
    weights = normal(1, size, steps + more)
    embed = layer(
        "embed",
        "PositionEmbeddingLayer",
        {"OutputSize": row(size), "MaxPosition": row(steps + more), "PositionDimension": "auto"},
        {"Weights": weights},
    )
    network = chain(sequence_input(2), embed)
    expected = np.broadcast_to(weights[:, :steps].T, (3, steps, size))
    np.testing.assert_array_equal(outputs(network, normal(2, 3, steps, 2)), expected.astype(np.float32))
    assert_round_trip(network)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"HasScoresOutput": row(1)}, "HasScoresOutput"),
        ({"AttentionMask": "sliding"}, "AttentionMask is 'sliding'"),
        ({"NumQueryGroups": row(1)}, "NumQueryGroups 1"),
    ],
)
def test_what_keras_cannot_do_is_refused(more, reason):
    network = chain(sequence_input(3), self_attention(3, 2, 4, 4, 3, **more))
    with pytest.raises(UnsupportedLayerError, match=reason):
        network.to_keras()


def test_vectors_have_no_steps_to_attend_to():
    with pytest.raises(UnsupportedLayerError, match=r"acts on sequences of vectors"):
        chain(feature_input(3), self_attention(3, 2, 4, 4, 3)).to_keras()


def test_a_saved_model_loads_in_keras_alone(tmp_path):
    network = chain(sequence_input(3), self_attention(3, 2, 4, 4, 3, AttentionMask="causal"))
    model, data = network.to_keras(), normal(1, 2, 5, 3)
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras", custom_objects={})
    np.testing.assert_array_equal(np.asarray(loaded(data)), np.asarray(model(data)))
