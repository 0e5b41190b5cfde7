"""Batch normalizations and zero paddings as part of the layers next to them."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import assert_same, lively

pytestmark = pytest.mark.backends

L = keras.layers


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


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 1, 1), (2, 2, 1), (3, 1, 2), (3, 2, 1), (4, 3, 1)])
def test_paddings_that_do_what_same_does(kernel: int, stride: int, dilation: int) -> None:
    """Against Keras: a padding goes if, and only if, a convolution with padding="same" gives the same numbers."""
    rng = np.random.default_rng(0)
    outcomes = set()
    for length, before, after in itertools.product((5, 6), range(4), range(4)):
        if length + before + after <= dilation * (kernel - 1):
            continue
        convolution = L.Conv1D(2, kernel, stride, dilation_rate=dilation)
        model = lively(keras.Sequential([keras.Input((length, 3)), L.ZeroPadding1D((before, after)), convolution]))
        x = rng.normal(size=(2, length, 3)).astype("float32")
        ours = keras.ops.convert_to_numpy(model(x))
        same = keras.ops.convert_to_numpy(keras.ops.conv(x, convolution.kernel, stride, "same", dilation_rate=dilation))
        equal = same.shape == ours.shape and np.allclose(
            same + keras.ops.convert_to_numpy(convolution.bias), ours, atol=1e-5
        )
        fused = kpl.fuse(model)
        assert (len(fused.layers) == 1) == equal, (length, before, after)
        assert_same(model, fused)
        outcomes.add(equal)
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    ("shape", "padding", "make"),
    [
        ((8, 8, 3), L.ZeroPadding2D(((0, 1), (0, 1))), lambda: L.DepthwiseConv2D(3, 2, use_bias=False)),
        ((7, 8, 3), L.ZeroPadding2D(((1, 1), (0, 1))), lambda: L.SeparableConv2D(4, 3, 2)),
        ((5, 4, 6, 2), L.ZeroPadding3D(((1, 1), (0, 0), (0, 1))), lambda: L.Conv3D(4, (3, 1, 2))),
    ],
)
def test_padding_and_normalization_go_into_one_layer(shape: tuple[Any, ...], padding: Any, make: Any) -> None:
    model = keras.Sequential([keras.Input(shape), type(padding).from_config(padding.get_config()), make()])
    model.add(L.BatchNormalization())
    model.add(L.ReLU())
    lively(model)
    fused = kpl.fuse(model)
    assert [type(layer) for layer in fused.layers] == [type(model.layers[1]), L.ReLU]
    assert fused.layers[0].padding == "same"
    assert_same(model, fused)


def test_outputs_keep_their_names() -> None:
    """Losses and metrics of a compiled model go by them."""
    inputs = keras.Input((5,))
    inner = L.ReLU()(L.BatchNormalization()(L.Dense(4)(inputs)))
    ends = [L.BatchNormalization(name=name)(L.Dense(3)(inner)) for name in ("left", "right")]
    model = lively(keras.Model(inputs, {"left": ends[0], "right": ends[1]}))
    model.compile("sgd", {"left": "mse", "right": "mae"}, metrics={"right": ["mse"]})
    x = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")
    y = {"left": np.zeros((8, 3), "float32"), "right": np.ones((8, 3), "float32")}
    fused = kpl.fuse(model)
    assert sum(isinstance(layer, L.BatchNormalization) for layer in fused.layers) == 2
    assert fused.output_names == model.output_names
    np.testing.assert_allclose(fused.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-4)


@pytest.mark.parametrize(("before", "behind"), [("mixed_float16", "float32"), ("float32", "mixed_float16")])
def test_another_precision_stays(before: str, behind: str) -> None:
    norm = L.BatchNormalization(dtype=behind)
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 3, dtype=before), norm, L.Flatten(dtype=behind)])
    fused = kpl.fuse(lively(model))
    assert len(fused.layers) == 3
    assert fused.outputs[0].dtype == model.outputs[0].dtype


def test_free_lengths() -> None:
    """Without strides, how many zeros `padding="same"` adds does not depend on the length."""
    model = keras.Sequential([keras.Input((None, None, 3)), L.ZeroPadding2D(1), L.Conv2D(4, 3), L.ZeroPadding2D(1)])
    model.add(L.Conv2D(4, 3, strides=2))
    fused = kpl.fuse(model)
    assert [type(each) for each in fused.layers] == [L.Conv2D, L.ZeroPadding2D, L.Conv2D]
    for shape in ((1, 6, 9, 3), (2, 7, 5, 3)):
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        one, other = (keras.ops.convert_to_numpy(each(x)) for each in (model, fused))
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_paddings_that_stay() -> None:
    inputs = keras.Input((8, 6, 3))
    twice = L.ZeroPadding2D(1)(inputs)  # two layers read it
    joined = L.Add()([L.Conv2D(2, 3)(twice), L.Conv2D(2, 3)(twice)])
    odd = L.Conv2D(2, 3, strides=2)(L.ZeroPadding2D(1)(joined))  # one zero too many at the beginning
    twofold = L.Conv2D(2, 3, padding="same")(L.ZeroPadding2D(1)(odd))  # pads already
    model = lively(keras.Model(inputs, L.MaxPooling2D(2)(L.ZeroPadding2D(((0, 1), (0, 1)))(twofold))))
    fused = kpl.fuse(model)
    assert [type(each) for each in fused.layers] == [type(each) for each in model.layers]
    assert_same(model, fused)


def test_padding_of_another_nested_model_stays() -> None:
    """Each of them has an input of its own size."""
    first = keras.Sequential([keras.Input((8, 8, 3)), L.ZeroPadding2D(1)])
    second = keras.Sequential([keras.Input((10, 10, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU()])
    model = lively(keras.Sequential([keras.Input((8, 8, 3)), first, second]))
    fused = kpl.fuse(model)
    assert [len(each.layers) for each in fused.layers] == [1, 2]
    assert_same(model, fused)


def test_layers_with_further_weights_keep_their_normalization() -> None:
    model = lively(keras.Sequential([keras.Input((8,)), L.Dense(16), L.BatchNormalization(), L.Dense(4)]))
    model.layers[0].enable_lora(2)
    fused = kpl.fuse(model)
    assert [type(layer) for layer in fused.layers] == [type(layer) for layer in model.layers]
    assert_same(model, fused)


def test_the_precision_is_that_of_the_layers() -> None:
    """As in a model that was trained under another policy, and loaded."""
    half = {"dtype": "mixed_float16"}
    parts = [L.Conv2D(16, 3, use_bias=False, **half), L.BatchNormalization(**half), L.ReLU(**half)]
    model = keras.Sequential([keras.Input((16, 16, 3)), *parts, L.GlobalAveragePooling2D(**half), L.Dense(10)])
    assert model.compute_dtype == "float32"
    fused = kpl.fuse(lively(model))
    assert len(fused.layers) == 4
