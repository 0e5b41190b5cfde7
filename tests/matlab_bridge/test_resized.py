"""Networks of MATLAB's that were cut down in Keras: the sizes are those of the arrays, which NumPy cuts here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl

from matlab_bridge import (
    Layer,
    LayerRule,
    Network,
    NetworkMismatchError,
    Parameter,
    Sidecar,
    Site,
    UnsupportedLayerError,
    export_matlab_code,
    export_onnx,
    from_keras,
    load_network,
    register_layer,
    save_network,
    save_portable,
)
from matlab_bridge.convert import _rules
from matlab_bridge.convert._sidecar import attach

from .layer_tools import assert_close, chain, dropped, feature_input, image_input, layer, normal, sequence_input
from .networks_by_hand import row

CONVOLUTION = {"FilterSize": row(3, 2), "Stride": row(1, 1), "PaddingMode": "same"}
FIRST = {"Weights": normal(1, 3, 2, 2, 4), "Bias": normal(2, 1, 1, 4)}
SECOND = {"Weights": normal(3, 3, 2, 4, 3), "Bias": normal(4, 1, 1, 3)}
KEPT = [0, 2, 3]  # of the four channels between the layers


def convolution(name: str, channels: int, filters: int, learnables: dict[str, np.ndarray]) -> Layer:
    settings = {**CONVOLUTION, "NumChannels": row(channels), "NumFilters": row(filters)}
    return layer(name, "Convolution2DLayer", settings, learnables)


def between(middle: Layer, kept: int = 4) -> Network:
    """A layer between two convolutions, with all channels or those that are kept."""
    places = KEPT if kept < 4 else [0, 1, 2, 3]
    first = {"Weights": FIRST["Weights"][..., places], "Bias": FIRST["Bias"][..., places]}
    second = {**SECOND, "Weights": SECOND["Weights"][:, :, places]}
    return chain(
        image_input((5, 6, 2), Normalization="none"),
        convolution("first", 2, kept, first),
        middle,
        convolution("second", kept, 3, second),
    )


def in_sequence(middle: Layer, kept: int = 4) -> Network:
    places = KEPT if kept < 4 else [0, 1, 2, 3]
    weights = normal(1, 4, 3)[places]
    first = {"Weights": weights, "Bias": normal(2, 4, 1)[places]}
    second = {"Weights": normal(3, 2, 4)[:, places], "Bias": normal(4, 2, 1)}
    return chain(
        sequence_input(3, Normalization="none"),
        layer("first", "FullyConnectedLayer", {"InputSize": row(3), "OutputSize": row(kept)}, first),
        middle,
        layer("last", "FullyConnectedLayer", {"InputSize": row(kept), "OutputSize": row(2)}, second),
    )


def cut_down(whole: Network, small: Network) -> keras.Model:
    """The small network's model, as a copy of the whole one's that lost channels."""
    model, whole = small.to_keras(), replace(whole, class_name="SeriesNetwork")
    attach(model, Sidecar.of(whole), whole)
    return model


def untrained(network: Network) -> Network:
    """As MATLAB saves it before training."""
    return replace(
        network,
        layers=tuple(
            replace(
                each,
                learnables={name: np.empty((0, 0)) for name in each.learnables},
                state={name: np.empty((0, 0)) for name in each.state},
            )
            for each in network.layers
        ),
    )


def assert_becomes(model: keras.Model, small: Network) -> None:
    found = from_keras(model)
    assert found.class_name == "SeriesNetwork"  # it is the whole network with other sizes, and no new one
    assert [each.class_name for each in found.layers] == [each.class_name for each in small.layers]
    assert found.connections == small.connections
    for actual, expected in zip(found.layers, small.layers, strict=True):
        for name, value in expected.settings.items():
            np.testing.assert_array_equal(actual.settings[name], value, err_msg=f"{expected.name}.{name}")
        assert actual.parameters.keys() == expected.parameters.keys()
        for name, array in expected.parameters.items():
            np.testing.assert_array_equal(np.squeeze(actual.parameters[name]), np.squeeze(array))
    x = normal(9, 2, *(size or 7 for size in model.inputs[0].shape[1:]))
    np.testing.assert_array_equal(np.asarray(found.to_keras()(x)), np.asarray(model(x)))


def per_channel(names: str, kept: int, *shape: int) -> dict[str, np.ndarray]:
    places = KEPT if kept < 4 else [0, 1, 2, 3]
    return {name: np.abs(normal(seed, 4))[places].reshape(*shape, kept) for seed, name in enumerate(names.split())}


def batch_normalization(kept: int) -> Layer:
    learnables, state = per_channel("Offset Scale", kept, 1, 1), per_channel("TrainedMean TrainedVariance", kept, 1, 1)
    return layer(
        "middle", "BatchNormalizationLayer", {"NumChannels": row(kept), "Epsilon": row(1e-3)}, learnables, state
    )


def normalization(kind: str) -> Any:
    return lambda kept: layer(
        "middle", kind, {"NumChannels": row(kept), "Epsilon": row(1e-3)}, per_channel("Offset Scale", kept, 1, 1)
    )


def scaling(kept: int) -> Layer:
    places = KEPT if kept < 4 else [0, 1, 2, 3]
    scale = np.array([1.5, 2.5, 3.5, 4.5])[places].reshape(1, 1, kept)
    return Layer("middle", "rl.layer.ScalingLayer", {"Scale": scale, "Bias": row(0.5)})


def slopes(kept: int) -> Layer:
    places = KEPT if kept < 4 else [0, 1, 2, 3]
    return layer("middle", "PReLULayer", {"NumChannels": row(kept)}, {"Alpha": normal(5, 4, 1)[places]})


def channel_wise(kept: int) -> Layer:
    places = KEPT if kept < 4 else [0, 1, 2, 3]
    settings = {**CONVOLUTION, "NumGroups": "channel-wise", "NumFiltersPerGroup": row(1), "NumChannelsPerGroup": row(1)}
    weights = {"Weights": normal(5, 3, 2, 1, 1, 4)[..., places], "Bias": normal(6, 1, 1, 1, 4)[..., places]}
    return layer("middle", "GroupedConvolution2DLayer", settings, weights)


def depthwise(kept: int) -> Layer:
    changed = channel_wise(kept)
    return replace(changed, settings={**changed.settings, "NumGroups": row(kept)})


def transposed(kept: int) -> Layer:
    places = KEPT if kept < 4 else [0, 1, 2, 3]
    settings = {"FilterSize": row(2, 2), "Stride": row(2, 2), "NumChannels": row(kept), "NumFilters": row(kept)}
    weights = {"Weights": normal(5, 2, 2, 4, 4)[:, :, places][..., places], "Bias": normal(6, 1, 1, 4)[..., places]}
    return layer("middle", "TransposedConvolution2DLayer", settings, weights)


IMAGES = {
    "batch": batch_normalization,
    "instance": normalization("InstanceNormalizationLayer"),
    "layer": normalization("LayerNormalizationLayer"),
    "scaling": scaling,
    "slopes": slopes,
    "channel-wise": channel_wise,
    "depthwise": depthwise,
    "transposed": transposed,
}


@pytest.mark.parametrize("make", IMAGES.values(), ids=IMAGES)
class TestLayersOfImages:
    def test_take_their_sizes_from_the_model(self, make: Any) -> None:
        assert_becomes(cut_down(between(make(4)), between(make(3), 3)), between(make(3), 3))

    def test_also_where_the_network_was_never_trained(self, make: Any) -> None:
        assert_becomes(cut_down(untrained(between(make(4))), between(make(3), 3)), between(make(3), 3))


def recurrent(kind: str, gates: int, directions: int) -> Any:
    """A recurrent layer of D = 4 or 3 features; of its five units the last is lost."""

    def make(kept: int) -> Layer:
        features, units = (KEPT, 4) if kept < 4 else ([0, 1, 2, 3], 5)
        rows = np.concatenate([np.arange(units) + 5 * block for block in range(gates * directions)])
        weights = {
            "InputWeights": normal(5, 5 * gates * directions, 4)[rows][:, features],
            "RecurrentWeights": normal(6, 5 * gates * directions, 5)[rows][:, :units],
            "Bias": normal(7, 5 * gates * directions, 1)[rows],
        }
        zeros = {"HiddenState": np.zeros((directions * units, 1))} if kept == 4 else {}
        settings = {"InputSize": row(kept), "NumHiddenUnits": row(units), "OutputMode": "sequence"}
        settings |= {"ReturnSequence": np.array([[True]])}
        return layer("middle", kind, settings, weights, zeros)

    return make


def attention(kept: int) -> Layer:
    """Two heads of two channels, of which the smaller one has the first only; the other sizes are the sequence's."""
    features, inside = (KEPT, [0, 1]) if kept < 4 else ([0, 1, 2, 3], [0, 1, 2, 3])
    sizes = {"NumKeyChannels": len(inside), "NumValueChannels": len(inside), "OutputSize": 4, "InputSize": kept}
    sizes["NumHeads"] = len(inside) // 2
    weights: dict[str, np.ndarray] = {}
    for seed, word in enumerate(("Query", "Key", "Value")):
        weights[f"{word}Weights"] = normal(seed, 4, 4)[inside][:, features]
        weights[f"{word}Bias"] = normal(seed, 4, 1)[inside]
    weights |= {"OutputWeights": normal(8, 4, 4)[:, inside], "OutputBias": normal(9, 4, 1)}
    return layer("middle", "SelfAttentionLayer", {name: row(size) for name, size in sizes.items()}, weights)


SEQUENCES = {
    "lstm": (recurrent("LSTMLayer", 4, 1), 5, 4),
    "bilstm": (recurrent("BiLSTMLayer", 4, 2), 10, 8),
    "gru": (recurrent("GRULayer", 3, 1), 5, 4),
    "attention": (attention, 4, 4),
}


def with_last(middle: Layer, kept: int, width: int) -> Network:
    network = in_sequence(middle, kept)
    last = {"Weights": normal(11, 2, width), "Bias": normal(12, 2, 1)}
    after = layer("last", "FullyConnectedLayer", {"InputSize": row(width), "OutputSize": row(2)}, last)
    return replace(network, layers=(*network.layers[:-1], after))


@pytest.mark.parametrize(("make", "before", "after"), SEQUENCES.values(), ids=SEQUENCES)
class TestLayersOfSequences:
    def test_take_their_sizes_from_the_model(self, make: Any, before: int, after: int) -> None:
        small = with_last(make(3), 3, after)
        assert_becomes(cut_down(with_last(make(4), 4, before), small), small)

    def test_also_where_the_network_was_never_trained(self, make: Any, before: int, after: int) -> None:
        small = with_last(make(3), 3, after)
        assert_becomes(cut_down(untrained(with_last(make(4), 4, before)), small), small)


@pytest.mark.parametrize("is_spatial", [True, False])
def test_a_fully_connected_layer_after_an_image_loses_channels(is_spatial: bool) -> None:
    """Stored H x W x C x O, or O x N with N in MATLAB's order, in which the channels run slowest."""
    weights = normal(5, 5, 6, 4, 3)

    def classifier(places: list[int]) -> Network:
        array = weights[:, :, places]
        if not is_spatial:
            array = array.reshape(-1, 3, order="F").T
        first = {"Weights": FIRST["Weights"][..., places], "Bias": FIRST["Bias"][..., places]}
        size = row(5, 6, len(places)) if is_spatial else row(30 * len(places))
        settings = {"InputSize": size, "OutputSize": row(1, 1, 3)}
        fc = layer("fc", "FullyConnectedLayer", settings, {"Weights": array, "Bias": normal(6, 3, 1)})
        return chain(image_input((5, 6, 2), Normalization="none"), convolution("first", 2, len(places), first), fc)

    small = classifier(KEPT)
    assert_becomes(cut_down(classifier([0, 1, 2, 3]), small), small)


def test_two_groups_of_an_old_release() -> None:
    """Networks of R2016 have two numbers of channels and of filters; here each group loses one of two filters."""

    def grouped(filters: int) -> Network:
        places = [0, 1, 2, 3] if filters == 2 else [0, 2]
        settings = {**CONVOLUTION, "NumChannels": row(1, 1), "NumFilters": row(filters, filters)}
        weights = {"Weights": normal(1, 3, 2, 1, 4)[..., places], "Bias": normal(2, 1, 1, 4)[..., places]}
        return chain(
            image_input((5, 6, 2), Normalization="none"), layer("conv", "Convolution2DLayer", settings, weights)
        )

    assert_becomes(cut_down(grouped(2), grouped(1)), grouped(1))


def with_state() -> tuple[Network, Network]:
    """An LSTM that goes on from a state, before a dense layer that loses an output."""
    middle = recurrent("LSTMLayer", 4, 1)(4)
    lstm = replace(middle, state={"HiddenState": normal(3, 5, 1), "CellState": normal(4, 5, 1)})
    weights = {"Weights": normal(5, 4, 5), "Bias": normal(6, 4, 1)}
    last = {"Weights": normal(7, 2, 4), "Bias": normal(8, 2, 1)}

    def network(places: list[int]) -> Network:
        count = row(len(places))
        dense = {name: array[places] for name, array in weights.items()}
        return chain(
            *in_sequence(lstm).layers[:3],
            layer("fc", "FullyConnectedLayer", {"InputSize": row(5), "OutputSize": count}, dense),
            layer(
                "last",
                "FullyConnectedLayer",
                {"InputSize": count, "OutputSize": row(2)},
                {**last, "Weights": last["Weights"][:, places]},
            ),
        )

    return network([0, 1, 2, 3]), network(KEPT)


class TestWhatKerasBuildsOfSeveralOperations:
    """Layers that become more than one of Keras', which the smaller model has too."""

    def test_saved_states(self) -> None:
        whole, small = with_state()
        assert_becomes(cut_down(whole, small), small)

    def test_a_normalization_of_each_pixel(self) -> None:
        pixels = {"Type": "zerocenter", "AverageImage": normal(1, 5, 6, 2)}

        def normalized(network: Network) -> Network:
            return replace(network, layers=(image_input((5, 6, 2), Normalization=pixels), *network.layers[1:]))

        relu = layer("middle", "ReLULayer")
        small = normalized(between(relu, 3))
        found = from_keras(cut_down(normalized(between(relu)), small))
        assert found["first"].settings["NumFilters"] == 3
        np.testing.assert_array_equal(found["input"].settings["Normalization"]["AverageImage"], pixels["AverageImage"])

    def test_local_response_normalization(self) -> None:
        lrn = layer("middle", "CrossChannelNormalizationLayer", {"WindowChannelSize": row(3)})
        assert_becomes(cut_down(between(lrn), between(lrn, 3)), between(lrn, 3))


class TestFiles:
    def test_the_code_and_its_weights_agree(self, tmp_path: Path) -> None:
        small = with_last(SEQUENCES["lstm"][0](3), 3, 4)
        model = cut_down(untrained(with_last(SEQUENCES["lstm"][0](4), 4, 5)), small)
        export_matlab_code(tmp_path / "net.m", model)
        code = (tmp_path / "net.m").read_text(encoding="utf-8")
        assert "lstmLayer(4, 'Name', 'middle'" in code
        assert "fullyConnectedLayer(3, 'Name', 'first'" in code

    def test_the_portable_form(self, tmp_path: Path) -> None:
        whole, small = with_state()
        model = cut_down(whole, small)
        save_portable(tmp_path / "net.mat", model)
        x = normal(1, 2, 7, 3)
        assert_close(np.asarray(load_network(tmp_path / "net.mat").to_keras()(x)), np.asarray(model(x)))

    def test_the_file_of_the_whole_network_is_refused(self, tmp_path: Path) -> None:
        whole, small = with_state()
        save_portable(tmp_path / "net.mat", whole)
        model = cut_down(load_network(tmp_path / "net.mat"), small)
        with pytest.raises(NetworkMismatchError, match="elements in MATLAB"):
            save_network(tmp_path / "out.mat", model, like=tmp_path / "net.mat")


def test_an_input_without_statistics_does_not_normalize(tmp_path: Path) -> None:
    """As the model computes; a normalization without statistics could not be written."""
    pytest.importorskip("onnx")
    network = between(layer("middle", "ReLULayer"))
    inputs = image_input((5, 6, 2), Normalization={"Type": "zerocenter", "AverageImage": np.empty((0, 0))})
    network = untrained(replace(network, layers=(inputs, *network.layers[1:])))
    with pytest.warns(UserWarning, match="before it was trained"):
        model = network.to_keras()
    assert from_keras(model)["input"].settings["Normalization"] == "none"
    export_matlab_code(tmp_path / "net.m", model)
    with pytest.raises(UnsupportedLayerError, match="no statistics yet"):
        export_onnx(tmp_path / "n.onnx", replace(from_keras(model), layers=(inputs, *from_keras(model).layers[1:])))


def test_a_layer_by_hand_without_arrays_gets_them() -> None:
    fc = layer("fc", "FullyConnectedLayer", {"OutputSize": row(2)})
    with pytest.warns(UserWarning, match="before it was trained"):
        model = chain(feature_input(3), fc).to_keras()
    learnables = from_keras(model)["fc"].learnables
    np.testing.assert_array_equal(learnables["Weights"], np.asarray(model.get_layer("fc").kernel).T)


class TestWhatIsRefused:
    def test_a_layer_of_ones_own_whose_sizes_are_not_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_rules, "_RULES", dict(_rules.registered()))

        @register_layer("waves")
        class Waves(LayerRule):
            def build(self, site: Site) -> Any:
                count = int(site.layer.settings["Count"].item())
                return keras.ops.sin(kl.Dense(count, use_bias=False, name=site.name)(site.input))

            def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
                return (Parameter("Weights", "kernel", np.transpose, np.transpose),)

        def network(count: int) -> Network:
            waves = Layer("waves", "waves", {"Count": row(count)}, {"Weights": dropped(normal(1, 5, 3)[:count])})
            return chain(feature_input(3), waves, layer("act", "TanhLayer"))

        with pytest.raises(UnsupportedLayerError) as caught:
            from_keras(cut_down(network(5), network(4)))
        text = str(caught.value)
        assert text.startswith("The model is smaller than the network that it was converted from")
        assert "'waves'" in text
        assert "(Sin) has no form in MATLAB" in text
        assert "exclude=" in text

    @pytest.mark.parametrize("settings", [{"Scale": row(3)}, {"Bias": row(1), "Scale": row(2)}])
    def test_other_constants_are_not_taken_for_the_networks(self, settings: dict[str, Any]) -> None:
        """Then the model is described by itself."""

        def scaled(**constants: Any) -> Layer:
            return Layer("middle", "rl.layer.ScalingLayer", constants)

        model = cut_down(between(scaled(Scale=row(2))), between(scaled(**settings), 3))
        found = from_keras(model)
        for name, value in settings.items():
            np.testing.assert_array_equal(found["middle"].settings[name], value)

    def test_other_layers_are_not_taken_for_the_networks(self) -> None:
        whole = between(layer("middle", "ReLULayer"))
        found = from_keras(cut_down(whole, between(layer("middle", "TanhLayer"), 3)))
        assert found["middle"].kind == "TanhLayer"
        shorter = between(layer("middle", "ReLULayer"), 3)
        shorter = chain(*(each for each in shorter.layers if each.name != "middle"))
        assert [each.name for each in from_keras(cut_down(whole, shorter)).layers] == ["input", "first", "second"]

    def test_a_convolution_in_the_place_of_a_fully_connected_layer(self) -> None:
        fc = {"Weights": normal(1, 4, 3), "Bias": normal(2, 4, 1)}
        whole = chain(feature_input(3), layer("fc", "FullyConnectedLayer", {"OutputSize": row(4)}, fc))
        small = chain(feature_input(3), layer("fc", "TanhLayer"))
        assert [each.kind for each in from_keras(cut_down(whole, small)).layers] == ["FeatureInputLayer", "TanhLayer"]
