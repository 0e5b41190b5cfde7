"""Keras models of sequences, and of one and three dimensions, in MATLAB's words: the outputs stay."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl

from matlab_bridge import UnsupportedLayerError, from_keras, load_network, save_portable
from matlab_bridge.convert.keras_objects import hard_sigmoid

from .layer_tools import assert_close, normal
from .test_from_keras import assert_same, randomized, sequential

STATES = st.sampled_from(["tanh", "softsign", "relu"])
GATES = st.sampled_from(["sigmoid", hard_sigmoid])


@given(
    st.sampled_from(["LSTM", "GRU", "GRU before", "BiLSTM"]),
    st.booleans(),
    st.booleans(),
    STATES,
    GATES,
)
@settings(max_examples=15)
def test_recurrent_layers(kind, returns, has_bias, state, gate):
    options = {"return_sequences": returns, "use_bias": has_bias, "activation": state, "recurrent_activation": gate}
    memory = {
        "LSTM": lambda: kl.LSTM(3, **options),
        "GRU": lambda: kl.GRU(3, **options),
        "GRU before": lambda: kl.GRU(3, reset_after=False, **options),
        "BiLSTM": lambda: kl.Bidirectional(kl.LSTM(3, **options)),
    }[kind]()
    network = assert_same(sequential((None, 2), memory, kl.Dense(2)))
    assert [each.kind for each in network.layers] == [
        "SequenceInputLayer",
        f"{kind.split()[0]}Layer",
        "FullyConnectedLayer",
    ]


def test_the_modes_of_a_gru():
    model = randomized(sequential((None, 2), kl.GRU(3, name="gru")))
    assert from_keras(model)["gru"].settings["ResetGateMode"] == "recurrent-bias-after-multiplication"
    bias = model.get_layer("gru").cell.bias
    bias.assign(np.asarray(bias) * [[1], [0]])
    network = from_keras(model)
    assert network["gru"].settings["ResetGateMode"] == "after-multiplication"
    assert network["gru"].learnables["Bias"].shape == (9, 1)


def test_convolutions_and_poolings_of_sequences():
    network = assert_same(
        sequential(
            (None, 3),
            kl.ZeroPadding1D((1, 2)),
            kl.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu", name="conv"),
            kl.BatchNormalization(),
            kl.Conv1D(4, 2, strides=2, padding="same"),
            kl.MaxPooling1D(2, 1, "same"),
            kl.Conv1DTranspose(3, 2, strides=2, padding="same"),
            kl.AveragePooling1D(2, 1),
            kl.GlobalMaxPooling1D(),
            kl.Dense(2),
        )
    )
    np.testing.assert_array_equal(network["conv"].settings["PaddingSize"], [[5, 2]])


@pytest.mark.parametrize(
    ("length", "layers", "least"),
    [
        (None, lambda: [kl.Conv1D(4, 5), kl.MaxPooling1D(2), kl.Conv1D(4, 3, strides=2), kl.LSTM(3)], 10),
        (None, lambda: [kl.LSTM(3)], 1),
        (7, lambda: [kl.Conv1D(4, 5)], 7),
    ],
)
def test_the_shortest_sequence_that_the_windows_fit_into(length, layers, least):
    network = from_keras(sequential((length, 3), *layers()))
    np.testing.assert_array_equal(network.layers[0].settings["MinLength"], [[least]])


def test_images_of_three_dimensions():
    network = assert_same(
        sequential(
            (6, 5, 4, 2),
            kl.ZeroPadding3D(((1, 0), (0, 2), (1, 1))),
            kl.Conv3D(3, (3, 2, 2), strides=(2, 1, 1), name="conv"),
            kl.Conv3D(3, 2, padding="same", activation="tanh"),
            kl.AveragePooling3D((1, 2, 2), 1),
            kl.Conv3DTranspose(2, 2, strides=2),
            kl.MaxPooling3D(2),
            kl.Flatten(),
            kl.Dense(3),
        )
    )
    np.testing.assert_array_equal(network["conv"].settings["PaddingSize"], [[1, 0, 1], [0, 2, 1]])
    assert network.layers[0].kind == "Image3DInputLayer"


def test_adaptive_pooling():
    network = assert_same(sequential((6, 8, 2), kl.AdaptiveAveragePooling2D((3, 2), name="pool")))
    np.testing.assert_array_equal(network["pool"].settings["OutputSize"], [[3, 2]])
    with pytest.raises(UnsupportedLayerError, match="does not divide"):
        from_keras(sequential((6, 8, 2), kl.AdaptiveAveragePooling2D(4)))


@pytest.mark.parametrize("pool", [kl.GlobalAveragePooling3D, kl.GlobalMaxPooling3D])
def test_global_poolings_of_three_dimensions(pool):
    assert_same(sequential((3, 4, 2, 2), pool(), kl.Dense(3)))


def test_the_portable_form_holds_recurrent_layers(tmp_path):
    model = randomized(
        sequential(
            (None, 2),
            kl.Conv1D(4, 2, padding="same"),
            kl.Bidirectional(kl.LSTM(3, return_sequences=True)),
            kl.GRU(3),
        )
    )
    save_portable(tmp_path / "net.mat", model)
    sequences = normal(1, 2, 5, 2)
    again = load_network(tmp_path / "net.mat").to_keras()
    assert_close(np.asarray(again(sequences)), np.asarray(model(sequences)))


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([kl.LSTM(2, go_backwards=True)], "go_backwards is on"),
        ([kl.LSTM(2, activation="gelu")], "activation 'gelu' is none"),
        ([kl.GRU(2, recurrent_activation="hard_sigmoid")], "activation 'hard_sigmoid' is none"),
        ([kl.Bidirectional(kl.GRU(2))], r"wraps a GRU"),
        ([kl.Bidirectional(kl.LSTM(2), merge_mode="sum")], "merge_mode is 'sum'"),
        ([kl.GlobalAveragePooling1D(keepdims=True)], "keeps the time"),
        ([kl.Conv1D(4, 2, groups=2)], "no rule describes this form of it"),
        ([kl.ZeroPadding1D(1), kl.MaxPooling1D(2)], r"\(MaxPooling1D\).* a ZeroPadding1D stands before it"),
        ([kl.ZeroPadding1D(1), kl.Conv1D(2, 3, strides=2, padding="same")], "depends on the length"),
        ([kl.SimpleRNN(2)], "no rule describes its class"),
    ],
)
def test_what_matlab_cannot_do_is_refused_with_the_reason(layers, reason):
    with pytest.raises(UnsupportedLayerError, match=reason):
        from_keras(sequential((None, 4), *layers))


def test_a_layer_that_is_called_with_a_state():
    sequences, state = keras.Input((None, 2)), keras.Input((3,))
    model = keras.Model([sequences, state], kl.GRU(3)(sequences, initial_state=[state]))
    with pytest.raises(UnsupportedLayerError, match="called with initial_state="):
        from_keras(model)
