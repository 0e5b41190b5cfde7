"""What is cut around operations of `keras.ops`: the sizes by hand, the outputs by Keras."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import assert_same, lively, silenced

pytestmark = pytest.mark.backends

L, ops = keras.layers, keras.ops

# Of images of 6 x 4 with 5 channels, 2 of which are zero.
OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "the last step": lambda x: x[:, -1],
    "one pixel": lambda x: x[:, 2, 1],
    "every second step": lambda x: x[:, ::2],
    "a new axis": lambda x: x[:, None, ..., 1:, :],
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "swapaxes": lambda x: ops.swapaxes(x, 1, -1),
    "moveaxis": lambda x: ops.moveaxis(x, 3, 1),
    "expand_dims": lambda x: ops.expand_dims(x, -2),
    "squeeze": lambda x: ops.squeeze(ops.max(x, axis=1, keepdims=True), 1),
    "flip": lambda x: ops.flip(x, (1, 3)),
    "reshape to steps": lambda x: ops.reshape(x, (-1, 24, 5)),
    "reshape to features": lambda x: ops.reshape(x, (-1, 24 * 5)),
    "reshape with a free length": lambda x: ops.reshape(x, (-1, 3, 2, 4, 5)),
    "sum": lambda x: ops.sum(x, axis=(1, 2)),
    "sum, kept": lambda x: ops.sum(x, axis=1, keepdims=True),
    "clip": lambda x: ops.clip(x, -0.3, 0.3),
    "cast": lambda x: ops.cast(ops.cast(x, "float16"), "float32"),
    "stop_gradient": lambda x: ops.stop_gradient(x),
    "sqrt": lambda x: ops.sqrt(ops.abs(x)),
}


def around(operation: Callable[[Any], Any], shape: tuple[int | None, ...] = (6, 4, 2), bias: float = 0.0) -> Any:
    """A model with an operation between a layer that loses channels 1 and 3 and one that reads what comes out."""
    inputs = keras.Input(shape)
    x = operation(L.Dense(5, name="first")(inputs))
    x = L.Flatten()(x) if None not in x.shape[1:] else x
    model = lively(keras.Model(inputs, L.Dense(2, name="last")(x)))
    silenced(model.get_layer("first"), [1, 3])
    offset = np.array(keras.ops.convert_to_numpy(model.get_layer("first").bias))
    offset[1] = bias
    model.get_layer("first").bias.assign(offset)
    return model


@pytest.mark.parametrize("bias", [0.0, 0.25])
@pytest.mark.parametrize("name", OPERATIONS)
def test_channels_go_though_an_operation_moves_them(name: str, bias: float) -> None:
    model = around(OPERATIONS[name], bias=bias)
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert found.model.get_layer("first").units == 3
    kernels = (np.prod(each.get_layer("last").kernel.shape) for each in (model, found.model))
    assert next(kernels) * 3 == next(kernels) * 5
    assert_same(model, found.model)


def test_the_last_step_of_a_sequence_of_any_length() -> None:
    model = around(lambda x: x[:, -1], (None, 2))
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert found.model.get_layer("first").units == 3
    x = np.random.default_rng(0).normal(size=(3, 7, 2)).astype("float32")
    np.testing.assert_allclose(found.model.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_the_sum_over_a_sequence_of_any_length() -> None:
    model = around(lambda x: ops.sum(x, 1), (None, 2), bias=0.5)
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert found.model.get_layer("first").units == 4  # 0.5 as many times as there are steps is no constant
    x = np.random.default_rng(0).normal(size=(3, 7, 2)).astype("float32")
    np.testing.assert_allclose(found.model.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


STAY: dict[str, tuple[Callable[[Any], Any], str]] = {
    "some channels": (lambda x: x[..., :4], "takes some of the channels"),
    "every second channel": (lambda x: x[..., ::2], "takes some of the channels"),
    "all lengths of 1": (lambda x: ops.squeeze(x[:, :1]), "goes over all axes"),
    "everything backwards": (lambda x: ops.flip(x), "goes over all axes"),
    "a sum of everything": (lambda x: ops.sum(x, axis=3), "goes over the channels"),
}


@pytest.mark.parametrize("name", STAY)
def test_channels_stay_where_an_operation_speaks_of_them(name: str) -> None:
    operation, reason = STAY[name]
    model = around(operation)
    found = kpl.compaction(model)
    assert [each.reason for each in found.barriers] == [reason]
    assert found.model.get_layer("first").units == 5
    assert_same(model, found.model)


def test_observations_that_are_moved_stay() -> None:
    inputs = keras.Input((5,))
    x = ops.reshape(L.Dense(4, name="first")(inputs), (-1, 2, 4))  # two observations become one
    model = lively(keras.Model(inputs, L.Dense(2)(x)))
    silenced(model.get_layer("first"), [1])
    found = kpl.compaction(model)
    assert [each.reason for each in found.barriers] == ["moves numbers from one observation to another"]
    assert found.model.get_layer("first").units == 4


RESHAPES: dict[str, Callable[[Any], Any]] = {
    "layer": L.Reshape((3, 2, 8)),
    "layer, a length left out": L.Reshape((3, -1, 8)),
    "layer, channels left out": L.Reshape((3, 2, -1)),
    "operation": lambda x: ops.reshape(x, (-1, 3, 2, 8)),
}


@pytest.mark.parametrize("name", RESHAPES)
def test_units_that_become_an_image_go_by_channel(name: str) -> None:
    inputs = keras.Input((5,))
    x = RESHAPES[name](L.Dense(3 * 2 * 8, name="units")(inputs))
    x = L.Conv2DTranspose(4, 3, name="up")(L.ReLU()(L.BatchNormalization(name="norm")(x)))
    model = lively(keras.Model(inputs, L.Conv2D(2, 1)(x)))
    silenced(model.get_layer("units"), [*range(1, 48, 8), *range(6, 48, 8), 0, 8])  # of channel 0 not all
    model.get_layer("norm").beta.assign(np.where(np.isin(np.arange(8), [1, 6]), 0, 0.5))
    model.get_layer("norm").moving_mean.assign(np.where(np.isin(np.arange(8), [1, 6]), 0, 0.5))
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert found.model.get_layer("units").units == 3 * 2 * 6
    assert found.model.get_layer("up").kernel.shape[-1] == 6
    assert_same(model, found.model)


def test_channels_over_two_axes_that_are_all_coupled_stay() -> None:
    model = around(lambda x: ops.reshape(x, (-1, 5, 24)))
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert found.model.get_layer("first").units == 5
    assert_same(model, found.model)


def test_a_shared_reshape_and_a_shared_flatten() -> None:
    reshape, flatten, inputs = L.Reshape((-1, 8)), L.Flatten(), keras.Input((16, 16, 3))
    one = L.Conv2D(8, 3, padding="same", activation="relu", name="one")(inputs)
    two = L.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="two")(one)
    joined = L.Concatenate(axis=1)([reshape(one), reshape(two)])
    ends = [L.Dense(4)(joined), L.Dense(3)(flatten(one)), L.Dense(3)(flatten(two))]
    model = lively(keras.Model(inputs, ends))
    for name in ("one", "two"):
        silenced(model.get_layer(name), [0, 1, 2])
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert [found.model.get_layer(name).filters for name in ("one", "two")] == [5, 5]
    assert_same(model, found.model)


TABLE = np.random.default_rng(5).normal(size=(2, 5, 6)).astype("float32")
ARRAYS: dict[str, Callable[[Any], Any]] = {
    "operator": lambda x: x + TABLE,
    "Add": lambda x: L.Add()([x, TABLE]),
    "Subtract": lambda x: L.Subtract()([x, TABLE]),
    "Concatenate": lambda x: L.Concatenate()([x, TABLE]),
    "attention": lambda x: L.MultiHeadAttention(2, 3)(x, ops.convert_to_tensor(TABLE)),
    "state": lambda x: L.LSTM(6)(x, initial_state=[ops.zeros((2, 6)), ops.zeros((2, 6))]),
    "limits": lambda x: ops.clip(x, np.zeros(6, "float32"), np.ones(6, "float32")),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_beside_tensors_hold(name: str) -> None:
    inputs = keras.Input((5, 3), batch_size=2)
    x = ARRAYS[name](L.Dense(6, name="first")(inputs))
    model = lively(keras.Model(inputs, L.Dense(2)(L.Flatten()(x) if len(x.shape) > 2 else x)))
    silenced(model.get_layer("first"), [1])
    found = kpl.compaction(model)
    assert found.model.get_layer("first").units == 6
    given = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    np.testing.assert_allclose(*(ops.convert_to_numpy(each(given)) for each in (model, found.model)), atol=1e-5)
    with contextlib.suppress(kpl.NothingToPruneError):
        kpl.remove_filters(model, 0.5)(given)
    if name != "limits":  # which Keras cannot save, and so not copy
        kpl.prune(model, 0.5, granularity="channel")


def test_slices_of_nothing() -> None:
    for length, key in ((1, np.s_[:, 1:]), (None, np.s_[:, 70:])):
        inputs = keras.Input((length, 3))
        x = L.Dense(6, name="first")(inputs)
        x = L.Concatenate(axis=1)([x, x[key]])
        model = lively(keras.Model(inputs, L.Dense(2)(L.GlobalMaxPooling1D()(x))))
        silenced(model.get_layer("first"), [1])
        assert kpl.compact(model).get_layer("first").units == 6


def test_a_fixed_number_of_observations() -> None:
    inputs = keras.Input((8, 8, 3), batch_size=4)
    x = ops.reshape(L.Conv2D(6, 1, name="first")(inputs), (4, 64, 6))
    model = lively(keras.Model(inputs, L.Dense(2)(x)))
    silenced(model.get_layer("first"), [1, 2])
    assert kpl.compact(model).get_layer("first").filters == 4
