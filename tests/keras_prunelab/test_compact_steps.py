"""Models that are called at each step of a sequence, as in the usual networks for videos."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import assert_same, lively, silenced

pytestmark = pytest.mark.backends

L = keras.layers


def video(steps: int | None = 4) -> tuple[keras.Model, keras.Model]:
    """A small CNN over the frames of a video, and the CNN."""
    layers = [L.Conv2D(6, 3, name="c"), L.BatchNormalization(name="n"), L.ReLU(), L.GlobalAveragePooling2D()]
    cnn = keras.Sequential([keras.Input((8, 8, 3)), *layers, L.Dense(5, name="d")], name="cnn")
    model = keras.Sequential([keras.Input((steps, 8, 8, 3)), L.TimeDistributed(cnn, name="td"), L.LSTM(3), L.Dense(2)])
    return lively(model), cnn


def test_channels_inside_and_behind_are_cut() -> None:
    model, cnn = video()
    silenced(cnn.get_layer("c"), [1])
    cnn.get_layer("n").gamma.assign([1, 0, 1, 1, 1, 1])
    cnn.get_layer("n").beta.assign([0.1, 0, 0.1, 0.1, 0.1, 0.1])
    silenced(cnn.get_layer("d"), [0, 2])
    found = kpl.compaction(model)
    assert found.barriers == ()
    assert {name: found.channels[name] for name in ("td/c", "td/d")} == {"td/c": (6, 5), "td/d": (5, 3)}
    small = found.model.get_layer("td")
    assert isinstance(small.layer, keras.Sequential)
    assert small.layer.get_layer("c").filters == 5
    assert_same(model, found.model)


def test_filters_are_removed_and_normalizations_fused() -> None:
    model, _ = video()
    small = kpl.remove_filters(model, 0.4)
    assert [small.get_layer("td").layer.get_layer(name).kernel.shape[-1] for name in ("c", "d")] == [4, 3]
    fused = kpl.fuse(model)
    assert "n" not in {layer.name for layer in fused.get_layer("td").layer.layers}
    assert_same(model, fused)


def test_multiply_adds_count_at_each_step() -> None:
    model, _ = video()
    frame = 6 * 6 * 3 * 3 * 3 * 6 + 6 * 5
    assert kpl.metrics(model).macs == 4 * frame + 4 * 4 * 3 * (5 + 3) + 3 * 2


def test_a_free_number_of_steps() -> None:
    model, cnn = video(None)
    silenced(cnn.get_layer("d"), [0, 2])
    found = kpl.compaction(model)
    assert found.channels["td/d"] == (5, 3)
    assert "td/c" in kpl.metrics(model).uncounted
    x = np.random.default_rng(0).normal(size=(2, 5, 8, 8, 3)).astype("float32")
    expected, small = (np.asarray(keras.ops.convert_to_numpy(each(x))) for each in (model, found.model))
    np.testing.assert_allclose(small, expected, rtol=1e-5, atol=1e-6)


def test_a_model_that_is_also_called_by_itself_stays_shared() -> None:
    _, cnn = video()
    silenced(cnn.get_layer("d"), [0])
    frames, image = keras.Input((4, 8, 8, 3)), keras.Input((8, 8, 3))
    x = L.Concatenate()([L.GlobalAveragePooling1D()(L.TimeDistributed(cnn, name="td")(frames)), cnn(image)])
    model = lively(keras.Model([frames, image], L.Dense(2)(x)))
    silenced(cnn.get_layer("d"), [0])
    small = kpl.compact(model)
    assert small.get_layer("cnn") is small.get_layer("td").layer
    assert small.get_layer("cnn").get_layer("d").units == 4
    assert_same(model, small)


def test_masked_steps_hold() -> None:
    inside = keras.Sequential([keras.Input((6,)), L.Dense(5, name="d")])
    inputs = keras.Input((4,), dtype="int32")
    x = L.TimeDistributed(inside, name="td")(L.Embedding(9, 6, mask_zero=True)(inputs))
    model = lively(keras.Model(inputs, L.LSTM(3)(x)))
    silenced(inside.get_layer("d"), [0])
    found = kpl.compaction(model)
    assert_same(model, found.model)


def reloaded(model: keras.Model, path: Any) -> keras.Model:
    model.save(path)
    return keras.saving.load_model(path)


def test_what_comes_out_is_a_plain_model(tmp_path: Any) -> None:
    model, cnn = video()
    silenced(cnn.get_layer("d"), [0, 2])
    assert_same(model, reloaded(kpl.compact(model), tmp_path / "small.keras"))
