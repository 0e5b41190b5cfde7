"""Wanda's input norms, layer by layer, against sums over the inputs written out in NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab import scores

pytestmark = pytest.mark.backends

L = keras.layers
Array = NDArray[Any]


def score(model: keras.Model, inputs: Any, size: int = 128, **filters: Any) -> dict[str, Array]:
    found = kpl.prunable(model, **filters)
    return scores.Wanda(size)(scores.ScoreContext(model, found, found.values(), inputs))


def norms(array: Array, axis: int = -1) -> Array:
    others = tuple(other for other in range(array.ndim) if other != axis % array.ndim)
    return np.sqrt(np.square(array.astype(np.float64)).sum(axis=others))


@pytest.mark.parametrize("size", [100, 3])
def test_dense_sees_what_the_layer_before_gives(size: int) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), L.Dense(6, "relu"), L.Dropout(0.5), L.Dense(4)])
    inputs = np.random.default_rng(0).normal(size=(10, 5)).astype(np.float32)
    first, bias, second, _ = model.get_weights()
    found = list(score(model, inputs, size).values())
    hidden = np.maximum(inputs @ first + bias, 0)
    np.testing.assert_allclose(found[0], np.abs(first) * norms(inputs)[:, None], rtol=1e-5)
    np.testing.assert_allclose(found[1], np.abs(second) * norms(hidden)[:, None], rtol=1e-5, atol=1e-7)


def test_a_list_of_arrays_is_batches_where_the_model_has_one_input() -> None:
    model = keras.Sequential([keras.Input((5,)), L.Dense(6)])
    inputs = np.random.default_rng(0).normal(size=(10, 5)).astype(np.float32)
    (found,) = score(model, [inputs[:7], inputs[7:]]).values()
    np.testing.assert_allclose(found, np.abs(model.get_weights()[0]) * norms(inputs)[:, None], rtol=1e-5)


IMAGES = (6, 6, 4)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (L.Conv2D(3, 2), IMAGES, lambda n: n[:, None]),
        (L.Conv1D(3, 2), (6, 4), lambda n: n[:, None]),
        (L.Conv3D(3, 2), (3, 3, 3, 4), lambda n: n[:, None]),
        (L.Conv2DTranspose(3, 2), IMAGES, lambda n: n),
        (L.DepthwiseConv2D(2, depth_multiplier=2), IMAGES, lambda n: n[:, None]),
        (L.Conv2D(6, 2, groups=2), IMAGES, lambda n: np.stack([*[n[:2]] * 3, *[n[2:]] * 3], axis=1)),
        (L.EinsumDense("abc,cd->abd", output_shape=(None, 3)), (6, 4), lambda n: n[:, None]),
        (L.TimeDistributed(L.Dense(3)), (6, 4), lambda n: n[:, None]),
        (L.Dense(3), (6, 4), lambda n: n[:, None]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, L.Layer) else "",
)
def test_each_kind_of_layer(layer: Any, shape: tuple[int, ...], expected: Any) -> None:
    model = keras.Sequential([keras.Input(shape), layer])
    inputs = np.random.default_rng(1).normal(size=(5, *shape)).astype(np.float32)
    (item,) = kpl.prunable(model)
    (found,) = score(model, inputs, 2).values()
    np.testing.assert_allclose(found, np.abs(item.value()) * expected(norms(inputs)), rtol=1e-5)


def test_a_shared_layer_sees_all_its_calls() -> None:
    shared = L.Dense(4)
    one, two = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([one, two], L.add([shared(one), shared(two)]))
    arrays = [np.random.default_rng(seed).normal(size=(5, 4)).astype(np.float32) for seed in (1, 2)]
    (found,) = score(model, arrays).values()
    expected = np.sqrt(norms(arrays[0]) ** 2 + norms(arrays[1]) ** 2)
    np.testing.assert_allclose(found, np.abs(shared.kernel.numpy()) * expected[:, None], rtol=1e-5)


def test_attention_is_seen_from_inside() -> None:
    inputs = keras.Input((5, 8))
    model = keras.Model(inputs, L.MultiHeadAttention(2, 4, name="attention")(inputs, inputs))
    array = np.random.default_rng(1).normal(size=(3, 5, 8)).astype(np.float32)
    found = score(model, array)
    query = next(item for item in kpl.prunable(model) if "query" in item.path)
    np.testing.assert_allclose(found[query.path], np.abs(query.value()) * norms(array)[:, None, None], rtol=1e-5)
    assert len(found) == 4


def test_what_cannot_be_observed_is_named() -> None:
    model = keras.Sequential([keras.Input((5, 3)), L.LSTM(4, name="lstm"), L.Dense(2)])
    array = np.ones((2, 5, 3), np.float32)
    with pytest.raises(kpl.InvalidModelError, match=r"recurrent_kernel.*exclude=\["):
        score(model, array)
    found = score(model, array, exclude="*recurrent_kernel")
    np.testing.assert_allclose(
        next(iter(found.values())), np.abs(model.layers[0].cell.kernel.numpy()) * np.sqrt(10), rtol=1e-5
    )


def test_of_stacked_cells_only_the_first_meets_the_input() -> None:
    model = keras.Sequential([keras.Input((6, 4)), L.RNN([L.GRUCell(4), L.GRUCell(4)])])
    inputs = np.random.default_rng(0).normal(size=(10, 6, 4)).astype(np.float32)
    first, second = model.layers[0].cell.cells
    (found,) = score(model, inputs, exclude=[second, "*/recurrent_kernel"]).values()
    expected = np.abs(keras.ops.convert_to_numpy(first.kernel)) * norms(inputs)[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(kpl.InvalidModelError, match="cannot be observed from outside"):
        score(model, inputs, exclude="*/recurrent_kernel")
