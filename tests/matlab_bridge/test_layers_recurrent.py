"""Recurrent layers against the equations of MATLAB's documentation, and parameters forth and back."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matlab_bridge import (
    Connection,
    InvalidNetworkError,
    Network,
    NetworkMismatchError,
    UnsupportedLayerError,
    from_keras,
)
from matlab_bridge.convert._parameters import model_values, to_matlab, variable_paths

from .layer_tools import assert_close, chain, feature_input, image_input, layer, normal, outputs, sequence_input
from .networks_by_hand import row
from .numpy_sequences import COMPUTE, lstm_steps, states, weights
from .recurrent_by_hand import GATES, MODES, recurrent

KINDS = st.sampled_from(sorted(GATES))


def all_sequences(of, sequences):
    return np.array([COMPUTE[of.kind](of, sequence) for sequence in sequences])


def assert_learnables_come_back(network):
    """Weights, and masks over them, element for element; the states of a layer are no variables."""
    values = model_values(network.to_keras())
    masks = {path: np.arange(value.size).reshape(value.shape) % 3 == 0 for path, value in values.items()}
    back, back_masks = to_matlab(network, values), to_matlab(network, masks)
    learnables = {(each.name, name): array for each in network.layers for name, array in each.learnables.items()}
    assert back.keys() == back_masks.keys() == learnables.keys()
    for key, array in learnables.items():
        np.testing.assert_array_equal(back[key], array)
        assert back_masks[key].dtype == bool
        assert back_masks[key].shape == array.shape


@given(
    KINDS,
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 6),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["tanh", "softsign", "relu"]),
    st.sampled_from(["sigmoid", "hard-sigmoid"]),
    st.sampled_from(MODES),
)
@settings(max_examples=40)
def test_recurrent_layers(kind, inputs, units, steps, returns, has_state, state, gate, mode):
    more = {"ResetGateMode": mode} if kind.startswith("GRU") else {}
    memory = recurrent(
        kind,
        inputs,
        units,
        has_state=has_state,
        ReturnSequence=np.array([[returns]]),
        StateActivationFunction=state,
        GateActivationFunction=gate,
        **more,
    )
    network = chain(sequence_input(inputs), memory)
    sequences = normal(9, 3, steps, inputs)
    assert_close(outputs(network, sequences), all_sequences(memory, sequences))
    assert_learnables_come_back(network)


@pytest.mark.parametrize("mode", MODES)
def test_the_modes_of_the_reset_gate_differ(mode):
    sequences = normal(9, 2, 5, 3)
    of = {name: recurrent("GRU", 3, 4, ResetGateMode=name) for name in MODES}
    given_ = outputs(chain(sequence_input(3), of[mode]), sequences)
    for name in MODES:
        assert np.allclose(given_, all_sequences(of[name], sequences), atol=1e-3) == (name == mode)


def test_a_layer_of_the_first_releases_names_no_activations():
    memory = recurrent("LSTM", 2, 3)
    sequences = normal(9, 2, 4, 2)
    assert not any("Activation" in name for name in memory.settings)
    assert_close(outputs(chain(sequence_input(2), memory), sequences), all_sequences(memory, sequences))


def test_the_current_state_goes_before_the_initial_one():
    memory = recurrent("LSTM", 2, 3, has_state=True)
    current, sequences = dict(memory.state), normal(9, 2, 4, 2)
    zeros = {f"Initial{name}": np.zeros_like(value) for name, value in current.items()}
    initial = {f"Initial{name}": value for name, value in current.items()}
    nothing = {name: np.zeros((0, 0)) for name in current}
    expected = all_sequences(memory, sequences)
    for state in (current | zeros, nothing | initial):
        assert_close(outputs(chain(sequence_input(2), replace(memory, state=state)), sequences), expected)


@pytest.mark.parametrize("kind", sorted(GATES))
def test_the_state_of_a_batch_is_no_start(kind):
    memory = recurrent(kind, 2, 3, has_state=True)
    size = 6 if kind == "BiLSTM" else 3
    network = chain(sequence_input(2), replace(memory, state=dict(memory.state) | {"HiddenState": normal(1, size, 4)}))
    reason = rf"HiddenState has {4 * size} numbers, and the {size} of one .* after net = resetState\(net\)"
    with pytest.raises(UnsupportedLayerError, match=reason):
        network.to_keras()
    # Zeros are the same for every sequence.
    zeros = {name: np.zeros((size, 4)) for name in memory.state}
    sequences = normal(9, 2, 4, 2)
    expected = all_sequences(recurrent(kind, 2, 3), sequences)
    assert_close(outputs(chain(sequence_input(2), replace(memory, state=zeros)), sequences), expected)


@pytest.mark.parametrize("kind", ["LSTM", "BiLSTM", "GRU", "LSTMProjected", "GRUProjected"])
def test_states_come_in_and_go_out_at_ports(kind):
    on = np.array([[True]])
    memory = recurrent(kind, 3, 4, HasStateInputs=on, HasStateOutputs=on)
    size = 8 if kind == "BiLSTM" else 4
    ports = ["hidden"] if kind.startswith("GRU") else ["hidden", "cell"]
    inputs = [layer(f"{port}0", "FeatureInputLayer", {"InputSize": row(size)}) for port in ports]
    network = Network(
        (sequence_input(3), *inputs, memory),
        (
            *(Connection(f"{port}0", "memory", "", port) for port in reversed(ports)),
            Connection("input", "memory", "", "in"),
        ),
        output_names=("memory/out", *(f"memory/{port}" for port in reversed(ports))),
    )
    sequences, given_ = normal(1, 2, 5, 3), [normal(2 + n, 2, size) for n in range(len(ports))]
    out, *after = (np.asarray(each) for each in network.to_keras()([sequences, *given_]))
    names = {"hidden": "HiddenState", "cell": "CellState"}
    for n, sequence in enumerate(sequences):
        state = {names[port]: value[n] for port, value in zip(ports, given_, strict=True)}
        started = replace(memory, state=state)
        expected = COMPUTE[memory.kind](started, sequence)
        assert_close(out[n], expected)
        last = expected[-1]
        if kind == "BiLSTM":
            last = np.concatenate([expected[-1, :4], expected[0, 4:]])
        assert_close(after[-1][n], last)
        if kind in ("LSTM", "LSTMProjected"):
            *_, (_, cell) = lstm_steps(started, sequence, *weights(started), *states(started))
            assert_close(after[0][n], cell)


def test_states_that_nothing_feeds():
    memory = recurrent("LSTM", 3, 4, HasStateInputs=np.array([[True]]))
    with pytest.raises(InvalidNetworkError, match=r"'memory' takes its states .* ports hidden, cell"):
        chain(sequence_input(3), memory).to_keras()


def test_which_variable_is_which_parameter():
    network = chain(sequence_input(2), recurrent("BiLSTM", 2, 3))
    paths = variable_paths(network)
    assert paths["memory/backward_memory/lstm_cell/recurrent_kernel"] == ("memory", "RecurrentWeights")
    assert len(paths) == 6
    trainable = {variable.path for variable in network.to_keras().trainable_variables}
    assert paths.keys() == trainable


@pytest.mark.parametrize(
    ("first", "memory", "reason"),
    [
        (
            sequence_input(3),
            recurrent("LSTM", 3, 2, StateActivationFunction="sinh"),
            "StateActivationFunction is 'sinh'",
        ),
        (sequence_input(3), recurrent("GRU", 3, 2, ResetGateMode="never"), "ResetGateMode is 'never'"),
        (image_input((4, 4, 3)), recurrent("LSTM", 3, 2), r"sequences of vectors, but \(None, 4, 4, 3\) reaches it"),
        (feature_input(3), recurrent("GRUProjected", 3, 2), r"sequences of vectors, but \(None, 3\) reaches it"),
    ],
)
def test_what_is_refused(first, memory, reason):
    with pytest.raises(UnsupportedLayerError, match=reason):
        chain(first, memory).to_keras()


def test_weights_of_another_size():
    memory = replace(recurrent("LSTM", 3, 2), settings={"NumHiddenUnits": row(5)})
    with pytest.raises(InvalidNetworkError, match=r"InputWeights of the layer 'memory' .* shape \(8, 3\)"):
        chain(sequence_input(3), memory).to_keras()


@pytest.mark.parametrize("kind", ["GRU", "BiLSTM", "LSTMProjected", "GRUProjected"])
def test_saved_cloned_and_trained(kind, tmp_path):
    first = recurrent(kind, 2, 3, has_state=True, GateActivationFunction="hard-sigmoid")
    width = 6 if kind == "BiLSTM" else 3
    second = replace(recurrent(kind, width, 3, seed=7), name="second")
    network = chain(sequence_input(2), first, second)
    model, sequences = network.to_keras(), normal(9, 4, 5, 2)
    expected = np.asarray(model(sequences))
    model.save(tmp_path / "net.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for each in (clone, keras.models.load_model(tmp_path / "net.keras")):
        np.testing.assert_allclose(np.asarray(each(sequences)), expected, atol=1e-6)
        each.compile("adam", "mse")
        each.fit(sequences, np.zeros_like(expected), epochs=2, verbose=0)
        trained = network.with_parameters(to_matlab(network, model_values(each)))
        for name in ("memory", "second"):
            assert not np.array_equal(trained[name].learnables["Bias"], network[name].learnables["Bias"])
        assert_close(outputs(trained, sequences), np.asarray(each(sequences)))


def test_a_recurrent_bias_that_matlab_has_not():
    network = chain(sequence_input(2), recurrent("GRU", 2, 3))
    model = network.to_keras()
    bias = model.get_layer("memory").cell.bias
    bias.assign(bias + 1)
    with pytest.raises(NetworkMismatchError, match=r"Bias of the layer 'memory': .*no recurrent bias"):
        to_matlab(network, model_values(model))
    again = from_keras(model)
    assert again["memory"].settings["ResetGateMode"] == "recurrent-bias-after-multiplication"
    sequences = normal(9, 2, 4, 2)
    assert_close(outputs(again, sequences), np.asarray(model(sequences)))
