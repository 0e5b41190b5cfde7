"""The whole network: names, order, several ends, errors, and parameters forth and back."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from matlab_bridge import (
    InvalidNetworkError,
    Layer,
    LayerRule,
    NetworkMismatchError,
    Sidecar,
    Site,
    UnsupportedLayerError,
    load_sidecar,
    register_layer,
    save_sidecar,
    sidecar,
)
from matlab_bridge._layer_classes import without_rule
from matlab_bridge.convert._parameters import model_values, to_matlab, variable_paths
from matlab_bridge.convert._rules import registered
from matlab_bridge.convert._site import LayerNames, keras_name
from matlab_bridge.network import Connection, Network, Source, series

from .layer_tools import assert_close, chain, feature_input, image_input, layer, normal, outputs
from .networks_by_hand import row


def fully_connected(name, outputs_, inputs=None):
    weights = {} if inputs is None else {"Weights": normal(1, outputs_, inputs), "Bias": normal(2, outputs_, 1)}
    return layer(name, "FullyConnectedLayer", {"OutputSize": row(outputs_)}, weights)


def classifier():
    network = chain(feature_input(4), fully_connected("fc/1", 3, 4), layer("prob", "SoftmaxLayer"))
    return Network(
        network.layers,
        network.connections,
        class_names=("ja", "nein", "weiß nicht"),
        source=Source(Path("lab.mat"), "agent.net", "SeriesNetwork"),
        class_name="SeriesNetwork",
    )


@pytest.mark.parametrize("normalization", ["zerocenter", {"Type": "zerocenter", "Mean": 0.0}])
def test_an_input_without_its_size(normalization):
    with pytest.raises(InvalidNetworkError, match="InputSize"):
        chain(layer("in", "ImageInputLayer", {"Normalization": normalization})).to_keras()


def test_a_stride_that_never_moves_on():
    pooling = layer("pool", "MaxPooling2DLayer", {"PoolSize": row(2, 2), "Stride": row(0, 0), "PaddingMode": "same"})
    with pytest.raises(InvalidNetworkError, match=r"'pool' \(MaxPooling2DLayer\).*cannot be built"):
        chain(image_input((6, 6, 1)), pooling).to_keras()


@pytest.mark.parametrize("size", ["text", np.nan, np.inf, {"a": 1.0}, np.array(["x"], dtype=object)])
def test_a_size_that_is_no_number(size):
    network = chain(layer("in", "FeatureInputLayer", {"InputSize": size, "Normalization": "none"}))
    with pytest.raises(InvalidNetworkError, match=r"'in' \(FeatureInputLayer\) has .* for InputSize"):
        network.to_keras()


def test_a_keras_name_has_no_slash():
    assert keras_name("res2a/branch1/conv") == "res2a_branch1_conv"
    assert keras_name("") == "layer"
    assert [keras_name(name) for name in ("卷积", "_fc", "1", ".a")] == ["layer__", "layer_fc", "1", "layer.a"]
    assert [each.name for each in classifier().to_keras().layers] == ["input", "fc_1", "prob"]


@pytest.mark.parametrize("name", ["conv1|conv", "fc 1", "block:fc", "größe", "(x)", "x+y", "100%", "_fc", ""])
def test_any_name_can_be_predicted_with(name: str) -> None:
    """TensorFlow looks at names only when it builds a graph."""
    network = chain(feature_input(3), fully_connected(name, 2, 3), layer("prob", "SoftmaxLayer"))
    source = Source(Path("lab.mat"), name, "SeriesNetwork")
    data = normal(0, 4, 3)
    model = Network(network.layers, network.connections, source=source).to_keras()
    expected = outputs(chain(feature_input(3), fully_connected("fc", 2, 3), layer("prob", "SoftmaxLayer")), data)
    np.testing.assert_allclose(model.predict(data, verbose=0), expected, atol=1e-6)


def test_names_that_become_the_same_stay_apart():
    network = chain(
        feature_input(2),
        layer("a/b", "ReLULayer"),
        layer("a_b", "TanhLayer"),
        layer("a_b_flatten", "ReLULayer"),
    )
    names = LayerNames(network)
    assert [names[each.name] for each in network.layers] == ["input", "a_b", "a_b_2", "a_b_flatten"]
    assert names.helper("a/b", "flatten") == "a_b_flatten_2"
    assert len({each.name for each in network.to_keras().layers}) == 4


def test_the_stored_order_need_not_be_the_order_of_execution():
    network = chain(feature_input(4), fully_connected("fc1", 3, 4), fully_connected("fc2", 2, 3))
    shuffled = Network(network.layers[::-1], network.connections)
    data = normal(3, 2, 4)
    np.testing.assert_array_equal(outputs(shuffled, data), outputs(network, data))


def test_several_inputs_and_outputs_come_in_the_order_that_matlab_names():
    layers = (
        layer("b", "FeatureInputLayer", {"InputSize": row(2)}),
        layer("a", "FeatureInputLayer", {"InputSize": row(3)}),
        layer("cat", "ConcatenationLayer", {"NumInputs": row(2), "Dim": row(1)}),
        layer("relu", "ReLULayer"),
        layer("tanh", "TanhLayer"),
    )
    connections = (
        Connection("b", "cat", "", "in1"),
        Connection("a", "cat", "", "in2"),
        Connection("cat", "relu"),
        Connection("cat", "tanh"),
    )
    first, second = normal(1, 2, 2), normal(2, 2, 3)
    joined = np.concatenate([first, second], axis=1)
    model = Network(layers, connections, output_names=("tanh", "relu", "cat")).to_keras()
    for actual, expected in zip(model([first, second]), (np.tanh(joined), np.maximum(joined, 0), joined), strict=True):
        assert_close(np.asarray(actual), expected)
    assert [tensor.shape for tensor in Network(layers, connections).to_keras().outputs] == [(None, 5)] * 2


def test_every_layer_without_a_conversion_is_named_in_one_error():
    network = chain(
        feature_input(4),
        Layer("odd", "nnet.cnn.layer.UnheardOfLayer"),
        layer("relu_1", "ReLULayer"),
        Layer("mine", "sigmoidLayer"),
    )
    with pytest.raises(UnsupportedLayerError) as caught:
        network.to_keras()
    assert str(caught.value).splitlines()[:3] == [
        "2 layers of 4 cannot be converted to Keras:",
        "  'odd' (nnet.cnn.layer.UnheardOfLayer), layer 2 of 4, after 'input': its class has no conversion",
        "  'mine' (sigmoidLayer), layer 4 of 4, after 'relu_1': " + without_rule("sigmoidLayer"),
    ]
    assert "register_layer" in str(caught.value)


def test_a_network_without_an_input_layer():
    with pytest.raises(InvalidNetworkError, match=r"Nothing feeds the layer 'fc' \(FullyConnectedLayer\)"):
        chain(fully_connected("fc", 3, 4), layer("relu", "ReLULayer")).to_keras()


def test_layers_that_do_not_fit_together():
    convolution = layer("conv", "Convolution2DLayer", {"FilterSize": row(5, 5), "NumFilters": row(2)})
    with pytest.raises(
        InvalidNetworkError,
        match=r"'conv' .*layer 2 of 2, after 'input', cannot be built .*\(None, 3, 3, 1\)",
    ):
        chain(image_input((3, 3, 1)), convolution).to_keras()


def test_a_setting_that_is_missing():
    with pytest.raises(InvalidNetworkError, match=r"'act' \(ClippedReLULayer\) has no setting 'Ceiling'"):
        chain(feature_input(3), layer("act", "ClippedReLULayer", {"Scale": row(1)})).to_keras()


def test_an_image_layer_on_sequences():
    network = chain(layer("in", "SequenceInputLayer", {"InputSize": row(3)}), layer("pool", "GlobalMaxPooling2DLayer"))
    with pytest.raises(UnsupportedLayerError, match=r"'pool' .*sequences of shape \(None, None, 3\)"):
        network.to_keras()


def test_a_registered_rule_converts_a_layer_of_the_users():
    @register_layer("doubleLayer")
    class Double(LayerRule):
        def build(self, site: Site):
            return keras.layers.Rescaling(2.0, name=site.name)(site.input)

    data = normal(1, 2, 3)
    assert_close(outputs(chain(feature_input(3), Layer("twice", "doubleLayer")), data), 2 * data)
    assert isinstance(registered()["doubleLayer"], Double)


def test_untrained_layers_are_named_and_the_rest_is_loaded():
    network = chain(feature_input(4), fully_connected("fc1", 3, 4), fully_connected("fc2", 2))
    with pytest.warns(UserWarning, match=r"saved before it was trained: 'fc2' have no values"):
        model = network.to_keras()
    assert sidecar(model).untrained == ("fc2",)
    np.testing.assert_array_equal(model.get_layer("fc1").kernel, network["fc1"].learnables["Weights"].T)
    assert np.ptp(model.get_layer("fc2").kernel) > 0


def test_a_checkpoint_lacks_the_statistics_of_its_normalization():
    norm = layer("norm", "BatchNormalizationLayer", {}, {"Offset": normal(1, 1, 1, 4), "Scale": normal(2, 1, 1, 4)})
    norm = replace(norm, state={"TrainedMean": np.zeros((0, 0)), "TrainedVariance": np.zeros((0, 0))})
    network, images = chain(image_input((2, 3, 4)), norm), normal(3, 2, 2, 3, 4)
    with pytest.warns(UserWarning, match=r"before its training ended, as checkpoints are: 'norm' have no statistics"):
        actual = outputs(network, images)
    assert_close(actual, images / np.sqrt(1 + 1e-5) * norm.learnables["Scale"] + norm.learnables["Offset"])


def test_parameters_of_an_untrained_network_come_in_the_shapes_that_matlab_would_give_them():
    layers = (
        image_input((6, 6, 4)),
        layer("conv", "Convolution2DLayer", {"FilterSize": row(3, 3), "NumFilters": row(1)}),
        layer("same", "Convolution2DLayer", {"FilterSize": row(1, 1), "NumFilters": row(6)}),
        layer(
            "group",
            "GroupedConvolution2DLayer",
            {"FilterSize": row(3, 3), "NumGroups": row(2), "NumFiltersPerGroup": row(5)},
        ),
        layer("norm", "BatchNormalizationLayer"),
        fully_connected("fc", 3),
    )
    network = chain(*layers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        arrays = to_matlab(network, model_values(network.to_keras()))
    assert {key: array.shape for key, array in arrays.items()} == {
        ("conv", "Weights"): (3, 3, 4),
        ("conv", "Bias"): (1, 1),
        ("same", "Weights"): (1, 1, 1, 6),
        ("same", "Bias"): (1, 1, 6),
        ("group", "Weights"): (3, 3, 3, 5, 2),
        ("group", "Bias"): (1, 1, 5, 2),
        ("norm", "Offset"): (1, 1, 10),
        ("norm", "Scale"): (1, 1, 10),
        ("norm", "TrainedMean"): (1, 1, 10),
        ("norm", "TrainedVariance"): (1, 1, 10),
        ("fc", "Weights"): (3, 40),
        ("fc", "Bias"): (3, 1),
    }


def test_new_weights_make_a_network_with_the_same_outputs():
    network, data = classifier(), normal(3, 5, 4)
    model = network.to_keras()
    model.set_weights([weights * 0.5 for weights in model.get_weights()])
    changed = network.with_parameters(to_matlab(network, model_values(model)))
    np.testing.assert_array_equal(outputs(changed, data), np.asarray(model(data)))


def test_which_variable_is_which_parameter():
    paths = variable_paths(classifier())
    assert paths == {"fc_1/kernel": ("fc/1", "Weights"), "fc_1/bias": ("fc/1", "Bias")}
    assert paths.keys() == model_values(classifier().to_keras()).keys()


def test_values_of_another_model_are_refused():
    with pytest.raises(
        NetworkMismatchError, match=r"Weights of the layer 'fc/1' has 12 elements in MATLAB, shape \(3, 4\)"
    ):
        to_matlab(classifier(), {"fc_1/kernel": np.zeros((5, 3))})


def test_the_sidecar_travels_beside_the_file(tmp_path):
    model = classifier().to_keras()
    facts = sidecar(model)
    assert facts == Sidecar(("ja", "nein", "weiß nicht"), "lab.mat", "agent.net", "SeriesNetwork")
    assert save_sidecar(tmp_path / "net.keras", model) == tmp_path / "net.matlab.json"
    assert load_sidecar(tmp_path / "net.keras") == facts


DAMAGED = ["", "[]", "{}", '{"class_names": 5, "untrained": []}', '{"class_names": [], "untrained": [], "x": 1}']


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_facts(tmp_path, text):
    (tmp_path / "net.matlab.json").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidNetworkError, match=r"net\.matlab\.json is damaged"):
        load_sidecar(tmp_path / "net.keras")


def test_a_model_that_never_was_a_matlab_network_has_empty_facts(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert sidecar(model) == load_sidecar(tmp_path / "net.keras") == Sidecar(convention="paper")


def test_a_series_is_what_it_says():
    assert series(["a", "b", "c"]) == (Connection("a", "b"), Connection("b", "c"))


def test_a_layer_without_weights_that_states_any_number_of_units_is_refused():
    network = chain(feature_input(4), fully_connected("fc", 10**12))
    with pytest.raises(InvalidNetworkError, match="has 1000000000000 for OutputSize, more than any layer has"):
        network.to_keras()
