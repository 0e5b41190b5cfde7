from __future__ import annotations

import time

import keras
import numpy as np
import pytest
from keras import layers

from keras_prunelab import MaskSet, UnknownNameError, prunable
from keras_prunelab._result._blocks import blocks_of
from keras_prunelab._result._outline import LayerOutline, Outline, outline

from .results_by_hand import FALLING, MASKS, OUTLINE, result


def _named(*kinds_and_names: tuple[str, str]) -> tuple[Outline, list[str]]:
    every = Outline(tuple(LayerOutline(name, kind) for kind, name in kinds_and_names))
    pruned = [name for kind, name in kinds_and_names if kind in {"Conv2D", "Dense", "BatchNormalization"}]
    return every, pruned


def test_layers_with_a_common_numbered_prefix_are_a_block():
    names = ["conv1_1", "conv1_2", "conv2_1", "res2a_branch2a", "res2a_branch2b", "fire2_squeeze1x1",
             "fire2_expand3x3", "inception_3a-1x1", "inception_3a-3x3", "fc6", "classifier"]  # fmt: skip
    blocks = blocks_of(*_named(*(("Conv2D", name) for name in names)))
    assert list(blocks.members) == ["conv1", "conv2", "res2a", "fire2", "inception_3a", "fc6", "classifier"]
    assert blocks.members["fire2"] == ("fire2_squeeze1x1", "fire2_expand3x3")
    assert "numbered prefix" in blocks.rule


def test_a_normalization_belongs_to_what_it_follows():
    blocks = blocks_of(
        *_named(
            ("Conv2D", "res2a_branch2a"),
            ("BatchNormalization", "bn2a_branch2a"),
            ("Conv2D", "res2b_branch2a"),
        )
    )
    assert blocks.members == {"res2a": ("res2a_branch2a", "bn2a_branch2a"), "res2b": ("res2b_branch2a",)}


def test_names_that_keras_made_tell_nothing_so_poolings_end_a_block():
    blocks = blocks_of(
        *_named(
            ("Conv2D", "conv2d"), ("Conv2D", "conv2d_1"), ("MaxPooling2D", "pool"), ("Conv2D", "conv2d_2"),
            ("Flatten", "flatten"), ("Dense", "dense"), ("Dense", "dense_1"),
        )
    )  # fmt: skip
    assert list(blocks.members.values()) == [("conv2d", "conv2d_1"), ("conv2d_2",), ("dense", "dense_1")]
    assert list(blocks.members) == ["conv2d to conv2d_1", "conv2d_2", "dense to dense_1"]
    assert "pooling" in blocks.rule


def test_long_names_without_a_number_are_told_at_once():
    names = ["classificationOutputHead", "fullyConnectedProjectionLayer", "a_" * 60, "x" * 5000]
    start = time.process_time()
    blocks = blocks_of(*_named(*(("Dense", name) for name in names)))
    assert time.process_time() - start < 1
    assert list(blocks.members) == [f"{names[0]} to {names[-1]}"]


def test_a_grouping_of_ones_own():
    swept = result(FALLING)
    choice = swept.choose(max_drop=0.01)
    table = swept.blocks(choice, {"features": ["conv1_1"]})
    assert list(table["block"]) == ["features", "other layers"]
    # 9 conv learnables with 7 zeros, 20 fully connected weights with 8 + 1 zeros: see MASKS.
    assert list(table["zeros"]) == [9 - 2, 20 - 11]
    assert list(table["parameters"]) == [9, 20]
    with pytest.raises(UnknownNameError, match=r"'conv9'.*conv1_1, fc2"):
        swept.blocks(choice, {"features": ["conv9"]})
    with pytest.raises(UnknownNameError, match="one block"):
        swept.blocks(choice, {"a": ["fc2"], "b": ["fc2"]})


def test_a_filter_is_gone_when_its_weights_and_its_bias_are():
    table = OUTLINE.table(OUTLINE.left(MASKS)).set_index("layer")
    assert (table.loc["conv1_1", "filters"], table.loc["conv1_1", "filters_removed"]) == (3, 1)
    assert (table.loc["fc2", "filters"], table.loc["fc2", "filters_removed"]) == (4, 1)
    without_bias = MaskSet({path: mask for path, mask in MASKS.items() if path != "conv1_1/bias"})
    assert OUTLINE.table(OUTLINE.left(without_bias)).set_index("layer").loc["conv1_1", "filters_removed"] == 2


def test_multiply_adds_by_hand():
    # Each of the 6 kernel weights of the convolution at 100 positions, each of 20 weights once; biases never.
    assert OUTLINE.macs(OUTLINE.left(MASKS)) == (620, 1 * 100 + 11, ())


def test_the_outline_counts_positions_filters_and_nested_layers():
    inner = keras.Sequential(
        [keras.Input((6, 5, 4)), layers.DepthwiseConv2D(3, depth_multiplier=2, name="dw")], name="inner"
    )
    model = keras.Sequential(
        [
            keras.Input((13, 11, 3)),
            layers.Conv2D(4, 3, strides=2, groups=1, padding="valid", name="conv"),
            inner,
            layers.Conv2DTranspose(7, 2, strides=2, name="up"),
            layers.SeparableConv2D(5, 3, name="sep"),
            layers.Reshape((-1, 5), name="steps"),
            layers.LSTM(6, return_sequences=True, name="lstm"),
            layers.Dense(2, name="out"),
        ]
    )
    masks = MaskSet({item.path: np.ones(item.shape, bool) for item in prunable(model)})
    table = outline(model).table(outline(model).left(masks)).set_index("layer")
    # conv: 6 x 5 outputs; dw: 4 x 3 outputs; up: every weight meets each of 4 x 3 inputs;
    # sep: 6 x 4 outputs, which are the 24 steps of what follows.
    expected = {
        "conv": 3 * 3 * 3 * 4 * 30,
        "dw": 3 * 3 * 4 * 2 * 12,
        "up": 2 * 2 * 7 * 8 * 12,
        "sep": (3 * 3 * 7 + 7 * 5) * 24,
        "lstm": (5 * 24 + 6 * 24) * 24,
        "out": 6 * 2 * 24,
    }
    assert table["macs"].to_dict() == expected
    assert table["filters"].dropna().to_dict() == {"conv": 4, "dw": 8, "up": 7, "sep": 5, "out": 2}


def test_a_layer_counts_at_each_of_its_calls():
    inputs = keras.Input((6, 4))
    shared = layers.Dense(4, use_bias=False, name="shared")
    attended = layers.MultiHeadAttention(2, 3, name="attention")(shared(shared(inputs)), inputs)
    model = keras.Model(inputs, layers.Dense(2, name="out")(attended))
    masks = MaskSet({item.path: np.ones(item.shape, bool) for item in prunable(model)})
    table = outline(model).table(outline(model).left(masks)).set_index("layer")
    assert table["macs"].to_dict() == {"shared": 2 * 6 * 16, "attention": 6 * 4 * 4 * 2 * 3, "out": 6 * 4 * 2}


def test_what_a_subclass_does_with_its_layers_is_unknown():
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.out = layers.Dense(2, name="out")

        def call(self, inputs):
            return self.out(self.out(inputs))

    model = Own()
    model(np.ones((1, 2)))
    masks = MaskSet({item.path: np.ones(item.shape, bool) for item in prunable(model)})
    assert outline(model).macs(masks) == (0, 0, ("out",))
