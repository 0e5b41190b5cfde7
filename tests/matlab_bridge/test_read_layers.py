"""What of a stored layer is a setting, a learnable, or a state."""

from __future__ import annotations

import numpy as np
import pytest

from matlab_bridge import InvalidNetworkError, Layer
from matlab_bridge.matfile import MatlabObject
from matlab_bridge.network import Connection, Network
from matlab_bridge.read._layers import read_layer

from .objects_by_hand import EMPTY, cell, layer, learnable, row, untrained


def test_learnables_are_the_values_as_stored() -> None:
    weights = np.arange(12, dtype=np.float32).reshape(2, 2, 3, order="F")
    read = read_layer(
        layer(
            "Convolution2DLayer",
            "conv",
            FilterSize=row(2, 2),
            PaddingMode="same",
            CudnnGPUAlgoForward=row(-1),
            Weights={"Version": row(2), **learnable(weights), "Initializer": {"Class": "Glorot"}},
            Bias=learnable([[[0.5]]]),
        )
    )
    assert (read.name, read.kind) == ("conv", "Convolution2DLayer")
    assert set(read.settings) == {"FilterSize", "PaddingMode"}
    assert read.state == {}
    assert list(read.learnables) == ["Weights", "Bias"]
    np.testing.assert_array_equal(read.learnables["Weights"], weights)
    assert read.learnables["Weights"].dtype == np.float32
    assert read.learnables["Bias"].shape == (1, 1, 1)


def test_the_padding_of_the_first_versions_is_kept_as_stored() -> None:
    read = read_layer(layer("Convolution2DLayer", "conv", Padding=row(2, 2), Stride=row(1, 1)))
    assert set(read.settings) == {"Padding", "Stride"}
    np.testing.assert_array_equal(read.settings["Padding"], [[2, 2]])


def test_an_untrained_learnable_is_empty() -> None:
    read = read_layer(layer("FullyConnectedLayer", "fc", Weights=untrained(), Bias=untrained()))
    assert {name: array.shape for name, array in read.learnables.items()} == {
        "Weights": (0, 0),
        "Bias": (0, 0),
    }


def test_statistics_and_recurrent_states_are_state() -> None:
    mean, variance = np.full((1, 1, 2), 3, np.float32), np.full((1, 1, 2), 4, np.float32)
    normalization = read_layer(
        layer(
            "BatchNormalizationLayer",
            "norm",
            Epsilon=row(1e-5),
            TrainedMean=mean,
            TrainedVariance=variance,
            Offset=learnable([[[0.0, 1.0]]]),
            Scale=learnable([[[2.0, 3.0]]]),
        )
    )
    assert set(normalization.settings) == {"Epsilon"}
    assert set(normalization.learnables) == {"Offset", "Scale"}
    np.testing.assert_array_equal(normalization.state["TrainedMean"], mean)
    np.testing.assert_array_equal(normalization.state["TrainedVariance"], variance)

    state = np.array([[0.25], [0.5]], np.float32)
    lstm = read_layer(
        layer(
            "LSTMLayer",
            "lstm",
            NumHiddenUnits=row(2),
            HiddenState={"Value": state, "Remember": np.array([[True]])},
            InitialHiddenState=2 * state,
        )
    )
    assert set(lstm.settings) == {"NumHiddenUnits"}
    np.testing.assert_array_equal(lstm.state["HiddenState"], state)
    np.testing.assert_array_equal(lstm.state["InitialHiddenState"], 2 * state)


def test_a_scale_that_is_no_learnable_is_a_setting() -> None:
    read = read_layer(layer("LeakyReLULayer", "leaky", Scale=row(0.01)))
    assert set(read.settings) == {"Scale"}
    assert read.learnables == {}


def test_numbers_in_single_precision_of_mathworks_own_classes_are_settings() -> None:
    three = np.array([[3]], np.float32)
    scaling = read_layer(MatlabObject("rl.layer.ScalingLayer", {"Name": "scale", "Scale": three}))
    assert set(scaling.settings) == {"Scale"}
    bent = read_layer(MatlabObject("nnet.cnn.layer.ELULayer", {"Name": "elu", "Alpha": three}))
    assert set(bent.settings) == {"Alpha"}
    prelu = read_layer(MatlabObject("nnet.cnn.layer.PReLULayer", {"Name": "prelu", "Alpha": three}))
    assert set(prelu.learnables) == {"Alpha"}


def test_names_of_inputs_keep_their_order() -> None:
    ports = {"nnet.layer.Layer.PrivateInputs": cell("x", "gate"), "nnet.layer.Layer.PrivateOutputs": cell("out")}
    own = read_layer(MatlabObject("gatedLayer", {"Name": "gated", **ports}))
    assert set(own.settings) == {"InputNames"}
    sources = [Layer(name, "nnet.cnn.layer.FeatureInputLayer") for name in ("a", "b")]
    connections = (Connection("a", "gated", "", "gate"), Connection("b", "gated", "", "x"))
    network = Network((*sources, own), connections)
    assert [each.destination_port for each in network.inputs_of("gated")] == ["x", "gate"]
    plain = Network((*sources, Layer("gated", "gatedLayer")), connections)
    assert [each.destination_port for each in plain.inputs_of("gated")] == ["gate", "x"]


def test_a_layer_of_the_users_own_is_stored_plainly() -> None:
    alpha = np.array([[0.5, 0.25]], np.float32)
    own = MatlabObject(
        "preluLayer",
        {
            "Name": "prelu",
            "Description": "PReLU with 2 channels",
            "nnet.layer.Layer.PrivateInputs": cell("in"),
            "nnet.cnn.layer.mixin.Learnable.LearnRateFactor": EMPTY,
            "Version": row(1),
            "PrivateNumStates": row(0),
            "Slope": row(2),
            "Alpha": alpha,
            "Gain": MatlabObject("dlarray", {"Data": 2 * alpha, "Format": "CB"}),
        },
    )
    read = read_layer(own)
    assert (read.name, read.class_name) == ("prelu", "preluLayer")
    assert set(read.settings) == {"Description", "Slope"}
    np.testing.assert_array_equal(read.learnables["Alpha"], alpha)
    np.testing.assert_array_equal(read.learnables["Gain"], 2 * alpha)


RATES = {"WeightLearnRateFactor": row(1), "WeightL2Factor": row(1)}


@pytest.mark.parametrize(
    ("kind", "name", "rates"),
    [
        ("PositionEmbeddingLayer", "Weights", RATES),
        ("EmbeddingConcatenationLayer", "Weights", {}),
        ("PatchEmbeddingLayer", "Bias", {}),
        ("FullyConnectedLayer", "Weights", {}),
        ("LSTMLayer", "RecurrentWeights", {}),
        ("GroupNormalizationLayer", "Offset", {}),
        ("SelfAttentionLayer", "OutputBias", {}),
        ("LayerOfNextYear", "Weights", {}),
        ("LayerOfNextYear", "Codebook", {"CodebookLearnRateFactor": row(1)}),
        ("ReLULayer", "Slopes", {"SlopeLearnRateFactor": row(0)}),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_plain_array_is_a_learnable_by_its_class_or_by_the_learning_rate_beside_it(kind, name, rates, dtype) -> None:
    array = np.arange(6, dtype=dtype).reshape(3, 2)
    read = read_layer(layer(kind, "here", **{name: array}, OutputSize=row(3), **rates))
    assert list(read.learnables) == [name]
    np.testing.assert_array_equal(read.learnables[name], array)
    assert set(read.settings) == {"OutputSize", *rates}


def test_a_plain_learnable_without_values_is_untrained() -> None:
    read = read_layer(layer("PositionEmbeddingLayer", "here", Weights=EMPTY, **RATES))
    assert read.learnables["Weights"].size == 0


def test_a_layer_of_the_users_own_that_saves_itself() -> None:
    saved = MatlabObject("myLayer", {"any": {"Name": "own", "Table": np.ones((3, 2), np.float32), "Depth": row(3, 4)}})
    assert list(read_layer(saved).learnables) == ["Table"]


@pytest.mark.parametrize(
    "array", [np.ones((3, 8), np.float32), np.ones((3, 8))], ids=["single", "more numbers than a setting has"]
)
def test_an_array_that_may_be_a_lost_learnable_is_an_error_and_no_initial_value(array) -> None:
    embedding = Layer(
        "here",
        "nnet.cnn.layer.PositionEmbeddingLayer",
        {"OutputSize": row(3), "MaxPosition": row(8), "Embedding": array},
    )
    inputs = Layer("input", "nnet.cnn.layer.SequenceInputLayer", {"InputSize": row(3), "Normalization": "none"})
    network = Network((inputs, embedding), (Connection("input", "here"),))
    with pytest.raises(InvalidNetworkError, match=r"'here'.*'Embedding' \(3x8 float"):
        network.to_keras()


def test_a_trained_position_embedding_gives_its_vectors() -> None:
    weights = np.arange(24, dtype=np.float32).reshape(3, 8)
    sizes = {"OutputSize": row(3), "MaxPosition": row(8)}
    embedding = read_layer(layer("PositionEmbeddingLayer", "here", Weights=weights, **sizes, **RATES))
    inputs = Layer("input", "nnet.cnn.layer.SequenceInputLayer", {"InputSize": row(3), "Normalization": "none"})
    model = Network((inputs, embedding), (Connection("input", "here"),)).to_keras()
    np.testing.assert_array_equal(np.asarray(model(np.zeros((1, 5, 3), np.float32)))[0], weights.T[:5])
