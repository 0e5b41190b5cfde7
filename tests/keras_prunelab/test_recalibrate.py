"""Batch normalizations after pruning: estimated anew, or fused; by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import assert_same, lively

pytestmark = pytest.mark.backends

L = keras.layers


def values(layer: Any) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(weight), np.float64) for weight in layer.weights]


@pytest.mark.parametrize("batch_size", [64, 7])
def test_statistics_by_hand(batch_size: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (50, 6)).astype("float32")
    hidden, norm, last = L.Dense(4, name="hidden"), L.BatchNormalization(momentum=0.9, name="norm"), L.Dense(2)
    model = lively(keras.Sequential([keras.Input((6,)), hidden, norm, L.Dropout(0.5), last]))
    before = [values(layer) for layer in model.layers]
    fresh = kpl.recalibrate(model, (x, None), batch_size=batch_size)
    made = x @ before[0][0] + before[0][1]
    _, _, mean, variance = values(fresh.get_layer("norm"))
    np.testing.assert_allclose(mean, made.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, made.var(axis=0), rtol=1e-4)
    assert fresh.get_layer("norm").momentum == 0.9
    for layer, old in zip(model.layers, before, strict=True):
        for one, other in zip(values(layer), old, strict=True):
            np.testing.assert_array_equal(one, other)
    expected = (made - made.mean(axis=0)) / np.sqrt(made.var(axis=0) + 1e-3) * before[1][0] + before[1][1]
    found = keras.ops.convert_to_numpy(fresh(x, training=False))
    np.testing.assert_allclose(found, expected @ before[3][0] + before[3][1], rtol=1e-3, atol=1e-4)


def test_what_cannot_be_recalibrated() -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    with pytest.raises(kpl.InvalidModelError, match="no BatchNormalization"):
        kpl.recalibrate(model, np.ones((4, 3)))
    model = keras.Sequential([keras.Input((3,)), L.BatchNormalization()])
    with pytest.raises(kpl.InvalidDataError, match="empty"):
        kpl.recalibrate(model, np.ones((0, 3)))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: L.Dense(4), (5,)),
        (lambda: L.Conv1D(4, 3, use_bias=False), (8, 3)),
        (lambda: L.Conv2D(4, 3, groups=2, padding="same"), (6, 6, 4)),
        (lambda: L.Conv3D(4, 2), (4, 4, 4, 2)),
        (lambda: L.Conv2DTranspose(4, 3, use_bias=False), (6, 6, 3)),
        (lambda: L.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), (6, 6, 3)),
        (lambda: L.SeparableConv2D(4, 3, depth_multiplier=2), (6, 6, 3)),
    ],
)
@pytest.mark.parametrize("scale", [True, False])
def test_normalizations_go_into_what_stands_before_them(make: Any, shape: tuple[int, ...], scale: bool) -> None:
    norm = L.BatchNormalization(scale=scale, center=not scale)
    model = lively(keras.Sequential([keras.Input(shape), make(), norm, L.ReLU()]))
    fused = kpl.fuse(model)
    assert [type(layer).__name__ for layer in fused.layers] == [type(model.layers[0]).__name__, "ReLU"]
    assert_same(model, fused)


def test_only_those_that_nobody_else_reads() -> None:
    inputs = keras.Input((8, 8, 3))
    read_twice = L.Conv2D(4, 3, padding="same", name="twice")(inputs)
    bent = L.Conv2D(4, 3, padding="same", activation="relu", name="bent")(inputs)
    plain = L.Conv2D(4, 3, padding="same", name="plain")(inputs)
    joined = L.Add()([read_twice, *(L.BatchNormalization()(each) for each in (read_twice, bent, plain))])
    model = lively(keras.Model(inputs, L.Conv2D(2, 3)(joined)))
    model.compile("adam", "mse")
    fused = kpl.fuse(model)
    assert sum(isinstance(layer, L.BatchNormalization) for layer in fused.layers) == 2
    assert_same(model, fused)
    assert fused.compiled


def test_zeros_stay_and_nothing_to_fuse_is_a_copy() -> None:
    model = lively(keras.Sequential([keras.Input((8,)), L.Dense(16), L.BatchNormalization(), L.Dense(2)]))
    pruned = kpl.prune(model, 0.75)
    assert kpl.sparsity(kpl.fuse(pruned)) == 0.75
    plain = lively(keras.Sequential([keras.Input((8,)), L.Dense(16), L.LayerNormalization(), L.Dense(2)]))
    copy = kpl.fuse(plain)
    assert copy is not plain
    assert_same(plain, copy)
