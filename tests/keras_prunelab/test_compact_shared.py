"""What is cut around layers that are called several times: one bias, one mask, several constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import assert_same, lively

pytestmark = pytest.mark.backends

L, ops = keras.layers, keras.ops


def set_to(layer: Any, index: int, place: Any, value: float) -> None:
    """Put a number into a weight of a layer."""
    weights = [np.array(ops.convert_to_numpy(weight)) for weight in layer.weights]
    weights[index][place] = value
    layer.set_weights(weights)


@pytest.mark.parametrize("how", [lambda m: kpl.prune(m, 0.5, granularity="channel"), kpl.compact])
def test_an_activation_shared_by_layers_of_different_widths(how: Callable[[Any], Any]) -> None:
    act, inputs = L.ReLU(), keras.Input((8,))
    model = keras.Model(inputs, L.Dense(2)(act(L.Dense(6)(act(L.Dense(4)(inputs))))))
    how(lively(model))


def test_a_table_shared_by_sequences_of_different_lengths() -> None:
    table, one, two = L.Embedding(30, 8), keras.Input((10,), dtype="int32"), keras.Input((12,), dtype="int32")
    x = L.Dense(4)(L.Concatenate()([L.Flatten()(table(one)), L.Flatten()(table(two))]))
    model = lively(keras.Model([one, two], L.Dense(2)(x)))
    pruned = kpl.prune(model, 0.5, granularity="channel")
    assert_same(pruned, kpl.compact(pruned))


def tower() -> keras.Model:
    """Two images through one tower, whose first three hidden units are always 0.7."""
    layers = [L.Dense(6, activation="relu", name="h"), L.Dense(5, name="z")]
    inside = keras.Sequential([keras.Input((4,)), *layers], name="tower")
    one, two = keras.Input((4,)), keras.Input((4,))
    model = lively(keras.Model([one, two], L.Dense(1)(L.Subtract()([inside(one), inside(two)]))))
    set_to(inside.get_layer("h"), 0, np.s_[:, :3], 0)
    set_to(inside.get_layer("h"), 1, np.s_[:3], 0.7)
    return model


def test_a_constant_that_is_the_same_at_all_calls_goes_into_the_bias() -> None:
    model = tower()
    found = kpl.compaction(model)
    assert found.channels["tower/h"] == (6, 3)
    assert_same(model, found.model)


def test_a_constant_that_differs_between_calls_stays() -> None:
    inputs = keras.Input((4,))
    hidden = L.Dense(4, activation="sigmoid", name="h")(inputs)
    shared = L.Dense(3, name="d")
    model = lively(keras.Model(inputs, L.Add()([shared(hidden), shared(L.Activation("tanh")(hidden))])))
    set_to(model.get_layer("h"), 0, np.s_[:, 0], 0)  # a constant at both calls, another one at the second
    set_to(shared, 0, np.s_[1:, 0], 0)  # of which an output that is constant is made
    set_to(shared, 0, np.s_[0, 1:], 0)
    found = kpl.compaction(model)
    assert found.model.get_layer("h").units == 4
    assert found.constants_kept == {"d": 1}
    assert_same(model, found.model)


@pytest.mark.parametrize("make", [L.LSTM, L.GRU, L.SimpleRNN])
@pytest.mark.parametrize("both", [False, True])
def test_a_constant_that_a_layer_without_a_bias_does_not_read(make: Any, both: bool) -> None:
    inputs = keras.Input((5, 4))
    layer = make(3, use_bias=False)
    model = lively(
        keras.Model(
            inputs, (L.Bidirectional(layer) if both else layer)(L.Dense(6, activation="sigmoid", name="h")(inputs))
        )
    )
    set_to(model.get_layer("h"), 0, np.s_[:, 0], 0)
    read = [model.layers[-1].forward_layer, model.layers[-1].backward_layer] if both else [layer]
    for each in read:
        set_to(each, 0, np.s_[0], 0)
    found = kpl.compaction(model)
    assert found.model.get_layer("h").units == 5
    assert_same(model, found.model)


NUMBERS: dict[str, Callable[[Any], Any]] = {
    "squeeze": lambda x: ops.squeeze(L.Dense(1)(x), -1),
    "reshape": lambda x: L.Reshape(())(L.Dense(1)(x)),
    "one of several": lambda x: L.Dense(3)(x)[:, 0],
    "logsumexp": lambda x: ops.logsumexp(L.Dense(3)(x), axis=-1),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_one_number_an_observation(name: str) -> None:
    inputs = keras.Input((6,))
    model = lively(keras.Model(inputs, NUMBERS[name](L.Dense(8, activation="relu", name="a")(inputs))))
    set_to(model.get_layer("a"), 0, np.s_[:, 2], 0)
    set_to(model.get_layer("a"), 1, 2, 0)
    found = kpl.compaction(model)
    assert found.model.get_layer("a").units == 7
    assert_same(model, found.model)


@pytest.mark.parametrize(("make", "gates"), [(L.LSTM, 4), (L.GRU, 3), (L.SimpleRNN, 1)])
def test_units_of_an_encoder_go_with_those_of_the_decoder(make: Any, gates: int) -> None:
    source, target = keras.Input((5, 3)), keras.Input((4, 2))
    _, *states = make(6, return_state=True, name="encoder")(source)
    x = make(6, return_sequences=True, name="decoder")(target, initial_state=states)
    model = lively(keras.Model([source, target], L.Dense(2)(x)))
    columns = [gate * 6 + unit for gate in range(gates) for unit in (1, 4)]
    for name, silent in (("encoder", columns), ("decoder", columns[::2])):  # unit 4 of the decoder speaks
        for index in range(len(model.get_layer(name).weights)):
            set_to(model.get_layer(name), index, np.s_[..., silent], 0)
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert [found.model.get_layer(name).units for name in ("encoder", "decoder")] == [5, 5]
    assert_same(model, found.model)
    small = kpl.remove_filters(model, 1 / 3)
    assert [small.get_layer(name).units for name in ("encoder", "decoder")] == [4, 4]


def test_a_state_that_is_no_zero_keeps_a_unit_alive() -> None:
    source, target = keras.Input((3,)), keras.Input((4, 2))
    start = L.Dense(6, name="start")(source)
    model = lively(keras.Model([source, target], L.Dense(2)(L.SimpleRNN(6, name="r")(target, initial_state=start))))
    for index in range(3):
        set_to(model.get_layer("r"), index, np.s_[..., [1, 4]], 0)
    for index in range(2):
        set_to(model.get_layer("start"), index, np.s_[..., 4], 0)
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert [found.model.get_layer(name).units for name in ("start", "r")] == [5, 5]
    assert_same(model, found.model)


def test_a_recurrent_layer_that_only_one_call_gives_a_state() -> None:
    steps, state = keras.Input((4, 2)), keras.Input((6,))
    layer = L.GRU(6)
    model = lively(keras.Model([steps, state], L.Concatenate()([layer(steps, initial_state=state), layer(steps)])))
    found = kpl.compaction(keras.Model([steps, state], L.Dense(2)(model.output)))
    assert found.parameters[0] == found.parameters[1]
