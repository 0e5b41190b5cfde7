"""Which lengths of free axes `compact` compares models with."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

L = keras.layers


def cropped(crop: int) -> keras.Model:
    entry = keras.Input((None, 4))
    x = L.Conv1D(8, 3, padding="same", activation="relu")(entry)
    model = keras.Model(entry, L.Conv1D(2, 1)(L.Cropping1D(crop)(x)))
    return kpl.prune(model, 0.5, granularity="channel", scope="layer")


@pytest.mark.parametrize("crop", [5, 100, 300, 900])
def test_lengths_are_found(crop: int) -> None:
    model = cropped(crop)
    small = kpl.compact(model)
    assert small.count_params() < model.count_params()
    x = np.random.default_rng(0).normal(size=(2, 2 * crop + 7, 4)).astype("float32")
    np.testing.assert_allclose(small(x), model(x), rtol=1e-4, atol=1e-5)


def test_lengths_are_those_of_data() -> None:
    model = cropped(2500)  # longer than what is tried
    with pytest.raises(kpl.InvalidDataError, match="data="):
        kpl.compact(model)
    x = np.random.default_rng(0).normal(size=(2, 5003, 4)).astype("float32")
    assert kpl.compact(model, x).count_params() < model.count_params()
