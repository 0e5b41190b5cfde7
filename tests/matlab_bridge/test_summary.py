"""The table of layers, against the words that MATLAB's documentation shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from matlab_bridge import Layer
from matlab_bridge._summary import _TYPES, description, layer_type
from matlab_bridge.network import Network, series
from matlab_bridge.read._objects import read_network_object

from .objects_by_hand import EMPTY, SOURCE, cell, fully_connected, layer, row, series_network


def of(kind: str, **settings: Any) -> Layer:
    return Layer("layer", f"nnet.cnn.layer.{kind}", settings)


WINDOW = {"Stride": row(1, 1), "PaddingMode": "manual", "PaddingSize": row(0, 0, 0, 0)}
IMAGES = {"InputSize": row(28, 28, 1)}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (of("ImageInputLayer", **IMAGES, Normalization=EMPTY), "28x28x1 images"),
        (
            of("ImageInputLayer", **IMAGES, Normalization={"Type": "zerocenter", "AverageImage": row(1)}),
            "28x28x1 images with 'zerocenter' normalization",
        ),
        (of("SequenceInputLayer", InputSize=row(12)), "Sequence input with 12 dimensions"),
        (of("FeatureInputLayer", InputSize=row(21)), "21 features"),
        (
            of("Convolution2DLayer", FilterSize=row(5, 5), NumChannels=row(1), NumFilters=row(20), **WINDOW),
            "20 5x5x1 convolutions with stride [1 1] and padding [0 0 0 0]",
        ),
        (
            of(
                "Convolution2DLayer",
                FilterSize=row(3, 3),
                NumChannels=EMPTY,
                NumFilters=row(8),
                Stride=row(2, 2),
                DilationFactor=row(2, 2),
                PaddingMode="same",
                PaddingSize=EMPTY,
            ),
            "8 3x3 convolutions with stride [2 2], dilation factor [2 2], and padding 'same'",
        ),
        (
            of(
                "Convolution2DLayer",
                FilterSize=row(5, 5),
                NumChannels=row(48),
                NumFilters=row(128, 128),
                Stride=row(1, 1),
                Padding=row(2, 2),
            ),
            "256 5x5x48 convolutions with stride [1 1] and padding [2 2]",
        ),
        (
            of(
                "Convolution1DLayer",
                FilterSize=row(4),
                NumChannels=row(12),
                NumFilters=row(32),
                Stride=row(1),
                DilationFactor=row(1),
                PaddingMode="causal",
            ),
            "32 4x12 convolutions with stride 1 and padding 'causal'",
        ),
        (
            of(
                "GroupedConvolution2DLayer",
                FilterSize=row(3, 3),
                NumGroups=row(2),
                NumChannelsPerGroup=row(48),
                NumFiltersPerGroup=row(128),
                **WINDOW,
            ),
            "2 groups of 128 3x3x48 convolutions with stride [1 1] and padding [0 0 0 0]",
        ),
        (
            of(
                "TransposedConvolution2DLayer",
                FilterSize=row(4, 4),
                NumChannels=row(32),
                NumFilters=row(16),
                Stride=row(2, 2),
                CroppingMode="manual",
                CroppingSize=row(1, 1, 1, 1),
            ),
            "16 4x4x32 transposed convolutions with stride [2 2] and cropping [1 1 1 1]",
        ),
        (
            of("MaxPooling2DLayer", PoolSize=row(2, 2), Stride=row(2, 2), PaddingSize=row(0, 0, 0, 0)),
            "2x2 max pooling with stride [2 2] and padding [0 0 0 0]",
        ),
        (
            of("AveragePooling2DLayer", PoolSize=row(3, 3), Stride=row(1, 1), PaddingMode="same"),
            "3x3 average pooling with stride [1 1] and padding 'same'",
        ),
        (
            of(
                "MaxPooling1DLayer",
                PoolSize=row(2),
                Stride=row(1),
                PaddingMode="manual",
                PaddingSize=row(0, 0),
            ),
            "Max pooling with pool size 2, stride 1, and padding [0 0]",
        ),
        (of("BatchNormalizationLayer", NumChannels=row(20)), "Batch normalization with 20 channels"),
        (of("BatchNormalizationLayer", NumChannels=EMPTY), "Batch normalization"),
        (
            of("CrossChannelNormalizationLayer", WindowChannelSize=row(5)),
            "cross channel normalization with 5 channels per element",
        ),
        (of("FullyConnectedLayer", OutputSize=row(1, 1, 10)), "10 fully connected layer"),
        (of("DropoutLayer", Probability=row(0.5)), "50% dropout"),
        (of("LeakyReLULayer", Scale=row(0.01)), "Leaky ReLU with scale 0.01"),
        (of("LSTMLayer", NumHiddenUnits=row(100)), "LSTM with 100 hidden units"),
        (
            of(
                "LSTMProjectedLayer",
                NumHiddenUnits=row(100),
                OutputProjectorSize=row(25),
                InputProjectorSize=row(3),
            ),
            ("Projected LSTM with 100 hidden units, an output projector size of 25, and an input projector size of 3"),
        ),
        (of("AdditionLayer", NumInputs=row(2)), "Element-wise addition of 2 inputs"),
        (of("ReLULayer"), "ReLU"),
        (of("TanhLayer", Description="Hyperbolic tangent"), "Hyperbolic tangent"),
        (of("ClassificationOutputLayer", ClassNames=cell("a")), "crossentropyex with class 'a'"),
        (
            of("ClassificationOutputLayer", ClassNames=cell("a", "b")),
            "crossentropyex with classes 'a' and 'b'",
        ),
        (
            of("ClassificationOutputLayer", Categories=pd.Categorical(list("0123456789"))),
            "crossentropyex with '0' and 9 other classes",
        ),
        (of("ClassificationOutputLayer", Categories="auto"), "crossentropyex"),
        (of("FunctionLayer", Description="@(x).001*x"), "@(x).001*x"),
        (of("spikingLayer", Description=np.array([["Spikes"]], np.dtypes.StringDType())), "Spikes"),
        (of("mysteryLayer", Description=""), "mysteryLayer"),
    ],
)
def test_a_layer_is_described_in_the_words_of_matlab(part: Layer, words: str) -> None:
    assert description(part) == words


@pytest.mark.parametrize("kind", sorted(_TYPES))
def test_a_layer_without_its_settings_is_described_all_the_same(kind: str) -> None:
    words = description(of(kind))
    assert words
    assert words == " ".join(words.split())


def test_a_class_without_a_name_of_its_own_is_named_in_full() -> None:
    assert layer_type(of("MaxPooling2DLayer")) == "2-D Max Pooling"
    assert layer_type(Layer("own", "spikingLayer")) == "spikingLayer"


def test_the_whole_table() -> None:
    network = series_network(
        layer("ImageInputLayer", "imageinput", **IMAGES, Normalization=EMPTY),
        fully_connected("fc", np.ones((10, 784)), np.ones((10, 1))),
        layer("ClassificationOutputLayer", "classoutput", Categories=pd.Categorical(list("0123456789"))),
    )
    assert read_network_object(network, SOURCE).summary() == (
        "SeriesNetwork 'net' of trained.mat: 3 layers, 7,850 learnables\n"
        "Input: 28x28x1 images\n"
        "10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n"
        "\n"
        "   Name         Type                   Description                                  Learnables\n"
        "1  imageinput   Image Input            28x28x1 images                                        0\n"
        "2  fc           Fully Connected        10 fully connected layer                          7,850\n"
        "3  classoutput  Classification Output  crossentropyex with '0' and 9 other classes           0"
    )


def test_many_classes_are_cut_short() -> None:
    names = tuple(f"c{number}" for number in range(11))
    network = Network((Layer("a", "nnet.cnn.layer.ReLULayer"),), series(["a"]), class_names=names)
    assert network.summary().splitlines()[:2] == [
        "dlnetwork: 1 layer, 0 learnables",
        "11 classes: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, ...",
    ]
