"""Along which axis channels are read: channels first, inputs that are rearranged, and what is joined with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import assert_same, lively, silenced

pytestmark = pytest.mark.backends

L = keras.layers


@pytest.mark.parametrize(
    ("shape", "first"),
    [((28, 28), [L.Reshape((28, 28, 1)), L.Conv2D]), ((4, 32), [L.Permute((2, 1)), L.Conv1D])],
)
def test_inputs_that_are_rearranged_first(shape: Any, first: Any) -> None:
    rearranged, convolution = first
    model = keras.Sequential([keras.Input(shape), type(rearranged).from_config(rearranged.get_config())])
    for layer in (convolution(8, 3, name="convolution"), L.Flatten(), L.Dense(2)):
        model.add(layer)
    pruned = kpl.prune(lively(model), 0.5, granularity="channel", scope="layer", include="convolution")
    found = kpl.compaction(pruned)
    assert found.barriers == ()
    assert found.model.get_layer("convolution").filters == 4
    assert_same(pruned, found.model)


def test_channels_first() -> None:
    first = {"data_format": "channels_first"}
    parts = [L.BatchNormalization(axis=1), L.Conv2D(8, 3, name="one", **first), L.BatchNormalization(axis=1), L.ReLU()]
    more = [L.Conv2D(8, 3, padding="same", name="two", **first), L.GlobalMaxPooling2D(**first), L.Dense(2)]
    model = lively(keras.Sequential([keras.Input((3, 8, 8)), L.Rescaling(0.5), *parts, *more]))
    pruned = kpl.prune(model, 0.5, granularity="channel", scope="layer", include=["one", "two"])
    found = kpl.compaction(pruned)
    assert found.barriers == ()
    assert [found.model.get_layer(name).filters for name in ("one", "two")] == [4, 4]
    assert_same(pruned, found.model)


@pytest.mark.parametrize("filters", [8, 16])  # as many as there are columns, left or at first
def test_channels_first_in_a_graph(filters: int) -> None:
    first = {"data_format": "channels_first"}
    parts = [L.Conv2D(filters, 3, padding="same", name="one", **first), L.ReLU(), L.Flatten(), L.Dense(2)]
    model = lively(keras.Sequential([keras.Input((3, 8, 8)), *parts]))
    pruned = kpl.prune(model, 0.5, granularity="channel", scope="layer", include="one")
    small = kpl.compact(pruned)
    assert small.get_layer("one").filters == filters // 2
    x = np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype("float32")
    np.testing.assert_allclose(small.predict(x, verbose=0), pruned.predict(x, verbose=0), rtol=1e-3, atol=1e-4)


JOINS: dict[str, Callable[[Any, Any], Any]] = {
    "concatenate": lambda x, y: L.Concatenate(axis=1)([x, y]),
    "add": lambda x, y: L.Add()([x, y]),
    "operator": lambda x, y: x * y,
}


@pytest.mark.parametrize("join", JOINS.values(), ids=JOINS.keys())
def test_what_is_made_of_the_input_is_read_along_the_axis_of_what_it_is_joined_with(join: Callable[..., Any]) -> None:
    first, second = keras.Input((6, 5)), keras.Input((6, 5))
    made = L.Permute((2, 1))(L.Conv1D(5, 1, name="one")(first))
    beside = L.Permute((2, 1))(L.Rescaling(0.5)(second))
    x = L.Permute((2, 1))(L.ReLU()(join(made, beside)))
    model = lively(keras.Model([first, second], L.Dense(2)(L.Flatten()(L.Conv1D(4, 3, name="two")(x)))))
    silenced(model.get_layer("one"), [1, 3])
    silenced(model.get_layer("two"), [0])
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert found.model.get_layer("two").filters == 3
    assert found.model.get_layer("one").filters == (3 if join is JOINS["concatenate"] else 5)
    assert_same(model, found.model)


def test_channels_first_at_each_step_of_the_input() -> None:
    convolution = L.Conv2D(8, 3, data_format="channels_first")
    pooled = L.TimeDistributed(L.GlobalMaxPooling2D(data_format="channels_first"))
    steps = L.TimeDistributed(convolution, name="steps")
    model = lively(keras.Sequential([keras.Input((4, 3, 8, 8)), L.Rescaling(0.5), steps, pooled, L.LSTM(4)]))
    silenced(convolution, [0, 5])
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert found.model.get_layer("steps").layer.filters == 6
    assert_same(model, found.model)
