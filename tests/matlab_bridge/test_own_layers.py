"""Layers that users wrote, converted by rules that users register: settings, weights, and files of real MATLAB."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest

import matlab_bridge as mb
from matlab_bridge.convert import _rules
from matlab_bridge.convert.layers import activation

from .layer_tools import assert_close, assert_round_trip, chain, feature_input, normal, outputs
from .networks_by_hand import row


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """The rules that a test registers go with it."""
    before = dict(_rules._RULES)
    yield
    _rules._RULES.clear()
    _rules._RULES.update(before)


def test_a_layer_with_a_setting_and_weights() -> None:
    @mb.register_layer("signals.layers.gainLayer")
    class Gain(mb.LayerRule):
        """y = Gains .* tanh(Steepness * x), a gain for each feature."""

        keras_classes = ("DepthwiseConv1D",)

        def build(self, site: mb.Site) -> object:
            """A step for the setting, and a Keras layer of the layer's name for the weights."""
            steepness = float(site.layer.settings["Steepness"].item())
            bent = keras.ops.tanh(keras.ops.multiply(site.input, steepness))
            steps = keras.layers.Reshape((1, bent.shape[-1]), name=site.helper("step"))(bent)
            scaled = keras.layers.DepthwiseConv1D(1, use_bias=False, name=site.name)(steps)
            return keras.layers.Flatten(name=site.helper("vector"))(scaled)

        def parameters(self, layer: mb.Layer) -> tuple[mb.Parameter, ...]:
            """A column in MATLAB."""
            return (mb.Parameter("Gains", "kernel", to_matlab=lambda kernel: kernel.reshape(-1, 1)),)

    gains = normal(1, 4, 1).astype(np.float32)
    own = mb.Layer("gain", "signals.layers.gainLayer", {"Steepness": row(2)}, {"Gains": gains})
    network, data = chain(feature_input(4), own), normal(2, 3, 4)
    assert_close(outputs(network, data), gains.T * np.tanh(2 * data))
    assert_round_trip(network)
    model = network.to_keras()
    model.get_layer("gain").kernel.assign(np.zeros((1, 4, 1)))
    np.testing.assert_array_equal(mb.from_keras(model)["gain"].learnables["Gains"], np.zeros((4, 1)))


def test_without_a_rule_the_error_says_what_to_do() -> None:
    with pytest.raises(mb.UnsupportedLayerError) as caught:
        chain(feature_input(4), mb.Layer("own", "signals.layers.spikes"), mb.Layer("last", "reluLayer2")).to_keras()
    assert "'own' (signals.layers.spikes), layer 2 of 3, after 'input'" in str(caught.value)
    assert "not one of MathWorks' own, and what it computes is not in the file" in str(caught.value)
    assert "register a conversion with matlab_bridge.register_layer" in str(caught.value)


@pytest.mark.corpus
def test_a_spiking_network_of_real_matlab(corpus) -> None:
    @mb.register_layer("SpikeConversionLayer")
    class SpikeConversion(mb.LayerRule):
        """Negative values are no spikes."""

        def build(self, site: mb.Site) -> object:
            return keras.layers.ReLU(name=site.name)(site.input)

    @mb.register_layer("SpikingLayer")
    class Spiking(mb.LayerRule):
        """A spike where the input reaches the layer's threshold."""

        def build(self, site: mb.Site) -> object:
            threshold = float(site.layer.settings["Threshold"].item())
            return keras.layers.Identity(name=site.name)(
                keras.ops.cast(keras.ops.greater_equal(site.input, threshold), "float32")
            )

    network = mb.load_network(corpus / "rogon666__CNN_to_SNN" / "snn.mat")
    model = network.to_keras()
    images = normal(1, 2, *model.input_shape[1:])
    probe = keras.Model(model.input, [model.get_layer(name).output for name in ("conv_1", "SpikingLayer1")])
    convolved, spikes = map(np.asarray, probe(images))
    np.testing.assert_array_equal(spikes, convolved >= 0.5)
    assert 0 < spikes.mean() < 1
    assert np.asarray(model(images)).shape[:3] == images.shape[:3]


def test_a_defect_of_a_conversion_is_not_blamed_on_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(activation, "keras")
    with pytest.raises(NameError):
        chain(feature_input(4), mb.Layer("relu", "nnet.cnn.layer.ReLULayer")).to_keras()


def test_a_network_that_does_not_fit_is_not_reported_as_a_defect() -> None:
    @mb.register_layer("signals.layers.image")
    class Image(mb.LayerRule):
        def build(self, site: mb.Site) -> object:
            return keras.layers.Conv2D(1, 3)(site.input)  # Keras refuses vectors

    with pytest.raises(mb.InvalidNetworkError, match="cannot be built on inputs of shape") as caught:
        chain(feature_input(4), mb.Layer("conv", "signals.layers.image")).to_keras()
    assert "please report" not in str(caught.value)
