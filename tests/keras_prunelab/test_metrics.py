"""What `metrics` counts, against arithmetic by hand and TensorFlow's own profiler."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import lively, without

pytestmark = pytest.mark.backends

L, ops = keras.layers, keras.ops

MACS: dict[str, tuple[tuple[int, ...], Any, int]] = {
    "dense": ((5,), lambda: L.Dense(3), 5 * 3),
    "dense over a sequence": ((7, 5), lambda: L.Dense(3), 7 * 5 * 3),
    "convolution": ((8, 8, 2), lambda: L.Conv2D(4, 3), 6 * 6 * 3 * 3 * 2 * 4),
    "strides": ((8, 8, 2), lambda: L.Conv2D(4, 3, strides=2, padding="same"), 4 * 4 * 3 * 3 * 2 * 4),
    "groups": ((8, 8, 4), lambda: L.Conv2D(4, 3, groups=2), 6 * 6 * 3 * 3 * 2 * 4),
    "depthwise": ((8, 8, 4), lambda: L.DepthwiseConv2D(3, depth_multiplier=2), 6 * 6 * 3 * 3 * 4 * 2),
    "separable": ((8, 8, 4), lambda: L.SeparableConv2D(5, 3), 6 * 6 * (3 * 3 * 4 + 4 * 5)),
    "transposed": ((8, 8, 4), lambda: L.Conv2DTranspose(5, 3, strides=2), 8 * 8 * 3 * 3 * 4 * 5),
    "lstm": ((6, 3), lambda: L.LSTM(5), 6 * 4 * 5 * (3 + 5)),
    "cells": ((6, 3), lambda: L.RNN([L.GRUCell(5), L.LSTMCell(2)]), 6 * (3 * 5 * (3 + 5) + 4 * 2 * (5 + 2))),
    "both ways": ((6, 3), lambda: L.Bidirectional(L.GRU(5)), 2 * 6 * 3 * 5 * (3 + 5)),
    "time distributed": ((6, 8, 2), lambda: L.TimeDistributed(L.Conv1D(4, 3)), 6 * 6 * 3 * 2 * 4),
    "einsum": ((6, 3), lambda: L.EinsumDense("abc,cd->abd", (None, 4)), 6 * 3 * 4),
    "einsum over all axes": ((5, 6), lambda: L.EinsumDense("...x,xy->...y", output_shape=8), 5 * 6 * 8),
    "convolutions over time": ((4, 8, 8, 2), lambda: L.ConvLSTM2D(3, 3), 4 * 6 * 6 * 3 * 3 * (2 + 3) * 4 * 3),
    "convolutions over time, both ways": (
        (4, 8, 2),
        lambda: L.Bidirectional(L.ConvLSTM1D(3, 3, padding="same"), merge_mode="sum"),
        2 * 4 * 8 * 3 * (2 + 3) * 4 * 3,
    ),
    "spectral normalization": ((8, 8, 2), lambda: L.SpectralNormalization(L.Conv2D(4, 3)), 6 * 6 * 3 * 3 * 2 * 4),
    "normalization over two axes": ((8, 8, 2), lambda: L.LayerNormalization(axis=(1, 2)), 0),
    "pooling": ((8, 8, 2), lambda: L.MaxPooling2D(), 0),
}


@pytest.mark.parametrize("name", MACS)
def test_multiply_adds_by_hand(name: str) -> None:
    shape, make, expected = MACS[name]
    model = keras.Sequential([keras.Input(shape), make()])
    found = kpl.metrics(lively(model))
    assert found.macs == found.macs_effective == expected
    assert found.uncounted == ()


def test_attention_counts_its_products() -> None:
    query, value = keras.Input((5, 8)), keras.Input((7, 6))
    model = keras.Model([query, value], L.MultiHeadAttention(2, 3, value_dim=4)(query, value))
    projections = 5 * 8 * 2 * 3 + 7 * 6 * 2 * 3 + 7 * 6 * 2 * 4 + 5 * 2 * 4 * 8
    assert kpl.metrics(model).macs == projections + 5 * 7 * 2 * (3 + 4)


@pytest.mark.parametrize("gate", [False, True])
def test_attention_of_grouped_queries_counts_its_products(gate: bool) -> None:
    query, value = keras.Input((5, 16)), keras.Input((7, 16))
    model = keras.Model([query, value], L.GroupQueryAttention(8, 4, 2, use_gate=gate)(query, value))
    projections = (2 + gate) * 5 * 16 * 4 * 8 + 2 * 7 * 16 * 2 * 8
    assert kpl.metrics(model).macs == projections + 5 * 7 * 4 * (8 + 8)


PRODUCTS: dict[str, tuple[Any, int]] = {
    "Attention": (lambda x, y: L.Attention()([x, y]), 5 * 7 * (8 + 8)),
    "Attention, concat": (lambda x, y: L.Attention(score_mode="concat")([x, y]), 5 * 7 * 8),
    "AdditiveAttention": (lambda x, y: L.AdditiveAttention()([x, y]), 5 * 7 * (8 + 8)),
    "AdditiveAttention, no scale": (lambda x, y: L.AdditiveAttention(use_scale=False)([x, y]), 5 * 7 * 8),
    "Dot": (lambda x, y: L.Dot((2, 2))([x, y]), 5 * 7 * 8),
    "matmul": (lambda x, y: ops.matmul(x, ops.transpose(y, (0, 2, 1))), 5 * 7 * 8),
    "matmul with an array": (lambda x, _: ops.matmul(x, np.ones((8, 3), "float32")), 5 * 3 * 8),
    "an array before": (lambda x, _: ops.matmul(np.ones((3, 5), "float32"), x), 3 * 5 * 8),
    "einsum": (lambda x, y: ops.einsum("bij,bkj->bik", x, y), 5 * 7 * 8),
    "einsum of pairs": (lambda x, y: ops.einsum("bij,bkj->bikj", x, y), 5 * 7 * 8),
    "einsum with an ellipsis": (
        lambda x, _: ops.einsum("...j,jk->...k", x, np.ones((8, 3), "float32")),
        5 * 3 * 8,
    ),
    "einsum of one": (lambda x, _: ops.einsum("bij->bj", x), 0),
    "tensordot": (lambda x, _: ops.tensordot(x, np.ones((8, 3), "float32"), axes=1), 5 * 8 * 3),
    "tensordot of two axes": (
        lambda x, _: ops.tensordot(x, np.ones((5, 8, 3), "float32"), axes=[[1, 2], [0, 1]]),
        5 * 8 * 3,
    ),
    "dot": (lambda x, _: ops.dot(x, np.ones((8, 3), "float32")), 5 * 8 * 3),
    "dot_product_attention": (
        lambda x, y: ops.dot_product_attention(*(ops.reshape(z, (-1, z.shape[1], 2, 4)) for z in (x, y, y))),
        2 * 5 * 7 * (4 + 4),
    ),
    "at each step": (
        lambda x, y: L.TimeDistributed(L.Dense(1))(L.Attention()([x, y])),
        5 * 7 * (8 + 8) + 5 * 8,
    ),
}


# Keras itself compares NotImplemented with -1 where the batch is free.
@pytest.mark.filterwarnings("ignore:NotImplemented should not be used in a boolean context:DeprecationWarning")
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_tensors(name: str) -> None:
    make, expected = PRODUCTS[name]
    x, y = keras.Input((5, 8)), keras.Input((7, 8))
    found = kpl.metrics(keras.Model([x, y], [make(x, y), y]))
    assert found.uncounted == ()
    assert found.macs == found.macs_effective == int(found.layers["macs"].sum()) == expected


def test_attention_along_one_axis() -> None:
    inputs = keras.Input((4, 5, 8))
    model = keras.Model(inputs, L.MultiHeadAttention(2, 3, attention_axes=(-2,))(inputs, inputs))
    assert kpl.metrics(model).macs == 4 * 5 * 4 * 8 * 2 * 3 + 4 * 5 * 5 * 2 * (3 + 3)


def test_other_products_are_named() -> None:
    x = keras.Input((5, 8))
    for product in [
        ops.einsum("bij,bkj,bkl->bil", x, x, x),
        ops.einsum("bij,bkj", x, x),
        ops.inner(x, np.ones((3, 8), "float32")),
        ops.conv(x, np.ones((3, 8, 2), "float32")),
    ]:
        assert kpl.metrics(keras.Model(x, product)).uncounted == (product._keras_history.operation.name,)


def test_zeros_bytes_and_shared_layers() -> None:
    shared = L.Dense(4, use_bias=False, name="shared")
    one, two = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([one, two], L.Add()([shared(one), shared(two)]))
    lively(model)
    without(shared.kernel, [0, 1, 2])
    found = kpl.metrics(model, stored=True)
    assert (found.parameters, found.nonzeros) == (16, 4)
    assert (found.bytes_dense, found.bytes_compressed) == (64, 4 * 4 + 2)
    assert (found.macs, found.macs_effective) == (2 * 16, 2 * 4)
    assert found.bytes_stored is not None
    assert found.bytes_stored > 64
    assert list(found.layers["layer"])[:1] == ["shared"]


def test_totals_count_a_weight_once_though_two_rows_hold_it() -> None:
    inner = L.Dense(4, name="inner")
    sequence, single = keras.Input((3, 8)), keras.Input((8,))
    model = lively(keras.Model([sequence, single], [L.TimeDistributed(inner, name="outer")(sequence), inner(single)]))
    without(inner.kernel, [0])
    found = kpl.metrics(model)
    assert found.parameters == model.count_params() == 8 * 4 + 4
    assert found.nonzeros == 8 * 3 + 4
    assert (found.bytes_dense, found.bytes_compressed) == (4 * 36, 4 * 8 * 3 + 4 + 4 * 4)
    assert (found.macs, found.macs_effective) == ((3 + 1) * 8 * 4, (3 + 1) * 8 * 3)
    rows = found.layers.set_index("layer")
    assert list(rows.loc[["outer", "inner"], "parameters"]) == [36, 36]
    assert list(rows.loc[["outer", "inner"], "nonzeros"]) == [28, 28]


QUANTIZED: dict[str, tuple[tuple[int, ...], Any, int]] = {
    "dense": ((8,), lambda: L.Dense(4), 8 * 4),
    "einsum": ((8, 5), lambda: L.EinsumDense("abc,cd->abd", (None, 16), bias_axes="d"), 8 * 5 * 16),
    "time distributed": ((3, 8), lambda: L.TimeDistributed(L.Dense(4)), 3 * 8 * 4),
}


# Keras says of layers without a kernel, such as the input, that they cannot be quantized.
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize:UserWarning")
@pytest.mark.parametrize("name", QUANTIZED)
@pytest.mark.parametrize("mode", ["int8", "float8", "int4"])
def test_quantized_kernels_count_at_their_place(name: str, mode: str) -> None:
    shape, make, expected = QUANTIZED[name]
    model = lively(keras.Sequential([keras.Input(shape), make()]))
    model.quantize(mode)
    found = kpl.metrics(model)
    if mode == "int4":  # two weights are one number
        assert (found.macs, found.uncounted) == (0, (model.layers[0].name,))
    else:
        assert (found.macs, found.uncounted) == (expected, ())


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize:UserWarning")
@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_attention(mode: str) -> None:
    inputs = keras.Input((5, 8))
    model = keras.Model(inputs, L.MultiHeadAttention(2, 4)(inputs, inputs))
    before = kpl.metrics(model).macs
    model.quantize(mode)
    found = kpl.metrics(model)
    assert before == 4 * 5 * 8 * 2 * 4 + 5 * 5 * 2 * (4 + 4)
    assert (found.macs, found.uncounted) == ((before, ()) if mode == "int8" else (0, (model.layers[1].name,)))


def test_memory_is_what_is_needed_at_a_time() -> None:
    inputs = keras.Input((10,))
    x = L.Dense(100)(inputs)
    y = L.Dense(50)(x)
    model = keras.Model(inputs, L.Dense(10)(L.Concatenate()([x, y])))
    assert kpl.metrics(model).activation_bytes == 4 * (100 + 50 + 150)


def test_the_names_of_matlab() -> None:
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), L.Conv2D(8, 3, name="conv"), L.ReLU(), L.Flatten(), L.Dense(10)]
    )
    table = kpl.metrics(model).matlab()
    assert list(table.columns) == [
        "LayerName",
        "LayerType",
        "NumberOfLearnables",
        "NumberOfOperations",
        "ParameterMemory (MB)",
        "NumberOfMACs",
        "ArithmeticIntensity",
    ]
    assert list(table["NumberOfLearnables"]) == [80, 26 * 26 * 8 * 10 + 10]
    assert table["NumberOfMACs"][0] * 2 == table["NumberOfOperations"][0] == 2 * 26 * 26 * 72
    assert table["ParameterMemory (MB)"][0] == pytest.approx(80 * 4 / 2**20)


class Own(L.Layer):
    """A matrix that is used nobody knows how often."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")

    def call(self, x: Any) -> Any:
        return ops.matmul(x, self.kernel)


class OwnCell(L.SimpleRNNCell):
    """A cell that may do more than the one that it comes from."""


@pytest.mark.parametrize("make", [lambda: Own(), lambda: L.RNN(OwnCell(3)), lambda: L.RNN([L.GRUCell(2), OwnCell(3)])])
def test_layers_that_cannot_be_counted_are_named(make: Any) -> None:
    layer = make()
    assert kpl.metrics(keras.Sequential([keras.Input((4, 5)), layer])).uncounted == (layer.name,)


def test_learnables_count_though_they_are_frozen() -> None:
    model = keras.Sequential([keras.Input((5,)), L.Dense(3, name="frozen"), L.BatchNormalization()])
    model.get_layer("frozen").trainable = False
    table = kpl.metrics(model).matlab()
    assert list(table["NumberOfLearnables"]) == [5 * 3 + 3, 2 * 3]


def test_latency_is_measured_side_by_side() -> None:
    small = keras.Sequential([keras.Input((64,)), L.Dense(8)])
    large = keras.Sequential([keras.Input((2048,)), L.Dense(4096), L.Dense(4096)])
    one, other = kpl.latency([small, large], 4, seconds=0.1)
    assert 0 < one < other
    assert set(kpl.metrics(small, batches=(1, 2)).latency) == {1, 2}


@pytest.mark.slow
@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow's profiler counts")
@pytest.mark.parametrize("name", ["VGG16", "ResNet50", "MobileNetV2", "DenseNet121", "Xception", "EfficientNetB0"])
def test_applications_agree_with_the_profiler_of_tensorflow(name: str) -> None:
    import tensorflow as tf

    size = {"Xception": 71}.get(name, 64)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)
    shape = tf.TensorSpec((1, size, size, 3), tf.float32)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(shape).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = f"file:outfile={os.devnull}"
    options["account_type_regexes"] = [".*Conv2D.*", ".*Depthwise.*", ".*MatMul.*"]
    profile = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    flops = sum(
        child.total_float_ops - sum(grand.total_float_ops for grand in child.children)
        for child in _all(profile)
        if child.name in ("Conv2D", "DepthwiseConv2dNative", "MatMul")
    )
    assert kpl.metrics(model).macs == pytest.approx(flops / 2, rel=1e-6)


def _all(node: Any) -> list[Any]:
    return [node, *(each for child in node.children for each in _all(child))]


def test_a_dtype_of_two_bytes() -> None:
    model = keras.Sequential([keras.Input((8,)), L.Dense(4, dtype="bfloat16")])
    found = kpl.metrics(model)
    assert found.bytes_dense == 2 * (8 * 4 + 4)
    assert found.bytes_compressed == 2 * 32 + 1  # the bias is zero: one bit a number, rounded up to a byte
    assert np.isfinite(found.activation_bytes)
