"""Statistics of batch normalizations, estimated anew; by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import lively

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


def test_all_calls_of_a_shared_layer_count() -> None:
    rng = np.random.default_rng(0)
    norm, first, second = L.BatchNormalization(), keras.Input((3, 4)), keras.Input((6, 4))
    model = keras.Model([first, second], [norm(first), norm(second)])
    x = [rng.normal(10, 1, (50, 3, 4)).astype("float32"), rng.normal(0, 1, (50, 6, 4)).astype("float32")]
    _, _, mean, variance = values(kpl.recalibrate(model, (x, None), batch_size=16).get_layer(norm.name))
    seen = np.concatenate([each.reshape(-1, 4) for each in x])
    np.testing.assert_allclose(mean, seen.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(variance, seen.var(axis=0), rtol=1e-4)


def test_each_step_of_a_distributed_layer_counts() -> None:
    x = np.random.default_rng(0).normal(size=(40, 4, 3)).astype("float32") + 10 * np.arange(4, dtype="float32")[:, None]
    model = keras.Sequential([keras.Input((4, 3)), L.TimeDistributed(L.BatchNormalization())])
    _, _, mean, variance = values(kpl.recalibrate(model, x).layers[0].layer)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(variance, x.var(axis=(0, 1)), rtol=1e-3)


def test_masked_steps_do_not_count() -> None:
    x = np.random.default_rng(0).normal(3, 2, (30, 5, 2)).astype("float32")
    for row, steps in enumerate(x):
        steps[1 + row % 5 :] = 0
    model = keras.Sequential([keras.Input((5, 2)), L.Masking(), L.BatchNormalization()])
    _, _, mean, variance = values(kpl.recalibrate(model, x, batch_size=7).layers[1])
    seen = x[x.any(axis=-1)]
    np.testing.assert_allclose(mean, seen.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(variance, seen.var(axis=0), rtol=1e-3)


@pytest.mark.parametrize("sizes", [(100, 50), (40, 40), (10, 20, 30)])
def test_a_list_of_arrays_is_batches(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    given = [rng.normal(3 * index, 1 + index, (size, 4)).astype("float32") for index, size in enumerate(sizes)]
    model = keras.Sequential([keras.Input((4,)), L.BatchNormalization()])
    seen = np.concatenate(given)
    for data in (given, [(each, None) for each in given], lambda: iter(given)):
        _, _, mean, variance = values(kpl.recalibrate(model, data).layers[0])
        np.testing.assert_allclose(mean, seen.mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(variance, seen.var(axis=0), rtol=1e-4)


class Unmasked(L.BatchNormalization):
    """A subclass whose call knows no masks."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        return super().call(inputs, training=training)


def test_a_subclass_without_masks() -> None:
    x = np.random.default_rng(0).normal(2, 3, (40, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), Unmasked()])
    _, _, mean, variance = values(kpl.recalibrate(model, x).layers[0])
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(variance, x.var(axis=0), rtol=1e-4)


def test_all_statistics_of_a_renormalization_agree() -> None:
    x = np.random.default_rng(0).normal(2, 3, (60, 4)).astype("float32")
    norm = L.BatchNormalization(renorm=True, renorm_clipping={"rmax": 1.5, "dmax": 0.5}, epsilon=0.01, name="norm")
    second = L.BatchNormalization(name="second")
    model = keras.Sequential([keras.Input((4,)), norm, second])
    fresh = kpl.recalibrate(model, x, batch_size=60)
    found = fresh.get_layer("norm")
    mean, variance = x.mean(axis=0), x.var(axis=0)
    expected = {
        "moving_mean": mean,
        "moving_variance": variance,
        "moving_stddev": np.sqrt(variance + 0.01),
        "renorm_mean": mean,
        "renorm_stddev": np.sqrt(variance + 0.01),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(keras.ops.convert_to_numpy(getattr(found, name)), value, rtol=1e-4)
    assert found.renorm is True
    # What comes out has the moments of normalized numbers, whatever the old statistics were.
    np.testing.assert_allclose(values(fresh.get_layer("second"))[2], 0, atol=1e-5)
    np.testing.assert_allclose(values(fresh.get_layer("second"))[3], variance / (variance + 0.01), rtol=1e-4)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.ones((4, 5), "float32"), {}, r"Model 'net' takes .* shape \(3,\), but the data has 4 of shape \(5,\)"),
        ([*[np.ones((4, 3), "float32")] * 2, np.ones((4, 5), "float32")], {}, r"the data has 4 of shape \(5,\)"),
        (np.ones(3, "float32"), {}, "It looks like one observation without the axis of observations"),
        (np.full((4, 3), np.nan, "float32"), {}, "The inputs hold NaN"),
        (iter([np.ones((4, 3))]), {}, "read only once"),
        (None, {}, "no data; give data=inputs"),
        ((None, np.ones(4)), {}, "no inputs"),
        (np.ones((4, 3), "float32"), {"batch_size": 0}, "batch_size=0; a batch has at least one observation"),
    ],
)
def test_data_that_does_not_fit(data: Any, options: dict[str, Any], message: str) -> None:
    model = keras.Sequential([keras.Input((3,)), L.BatchNormalization()], name="net")
    with pytest.raises(kpl.InvalidDataError, match=message):
        kpl.recalibrate(model, data, **options)


def test_what_cannot_be_recalibrated() -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    with pytest.raises(kpl.InvalidModelError, match="no BatchNormalization"):
        kpl.recalibrate(model, np.ones((4, 3)))
    model = keras.Sequential([keras.Input((3,)), L.BatchNormalization()])
    with pytest.raises(kpl.InvalidDataError, match="empty"):
        kpl.recalibrate(model, np.ones((0, 3)))
