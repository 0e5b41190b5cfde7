"""Networks to structs and back by the MATLAB functions, in Octave; stand-ins record what they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matlab_bridge import Layer, Network, load_network, save_portable
from matlab_bridge.network import series

from . import octave
from .networks_by_hand import NNET, branching, row, single
from .toolbox_in_octave import CONSTRUCTORS, STAND_INS, initialize, load, values_of, write_functions

pytestmark = pytest.mark.octave

BRANCHING_LEARNABLES = [
    ("conv", "Weights", (3, 3, 2, 4)),
    ("conv", "Bias", (1, 1, 4)),
    ("norm", "Offset", (1, 1, 4)),
    ("norm", "Scale", (1, 1, 4)),
    ("fc", "Weights", (3, 48)),
    ("fc", "Bias", (3, 1)),
]
BRANCHING_STATE = [("norm", "TrainedMean", (1, 1, 4)), ("norm", "TrainedVariance", (1, 1, 4))]


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """A folder with the stand-ins."""
    recording = "function r = {0}(varargin)\nr = struct('Function', '{0}');\nr.Arguments = varargin;\nend\n"
    write_functions(tmp_path, {name: recording.format(name) for name in CONSTRUCTORS} | STAND_INS)
    return tmp_path


class TestNetworkFromStruct:
    @pytest.fixture
    def built(self, cwd: Path) -> dict[str, Any]:
        save_portable(cwd / "p.mat", branching())
        initialize(cwd, BRANCHING_LEARNABLES, BRANCHING_STATE)
        octave.run(
            "s = load('p.mat'); [net, names] = networkFromStruct(s.net);save('-v7', 'b.mat', 'net', 'names');",
            cwd,
        )
        return load(cwd / "b.mat")

    def test_constructors_and_arguments(self, built: dict[str, Any]) -> None:
        calls = built["net"]["Graph"]["Layers"]
        assert [call["Function"] for call in calls] == [
            "imageInputLayer",
            "convolution2dLayer",
            "batchNormalizationLayer",
            "reluLayer",
            "additionLayer",
            "maxPooling2dLayer",
            "fullyConnectedLayer",
            "softmaxLayer",
        ]
        image, convolution, norm, _, add, pool, fully_connected, _ = (call["Arguments"] for call in calls)
        assert image[0].tolist() == [8, 6, 2]
        assert list(image[1:4]) == ["Normalization", "zerocenter", "Mean"]
        np.testing.assert_array_equal(image[4], single(0, 2))
        assert [np.ravel(value).tolist() for value in convolution[:2]] == [[3, 3], [4]]
        options = dict(zip(convolution[2::2], convolution[3::2], strict=True))
        assert options.pop("Stride").tolist() == [1, 1]
        assert options.pop("DilationFactor").tolist() == [1, 1]
        assert options == {"NumChannels": 2, "Padding": "same", "Name": "conv"}
        assert list(norm) == ["Epsilon", 1e-3, "Name", "norm"]
        assert list(add) == [2, "Name", "add"]
        assert [np.ravel(part).tolist() for part in pool] == [
            [2, 2], ["Stride"], [2, 2], ["Padding"], [0, 0, 0, 0], ["Name"], ["pool"],
        ]  # fmt: skip
        assert list(fully_connected) == [3, "Name", "fc"]

    def test_connections_without_the_output_layer(self, built: dict[str, Any]) -> None:
        assert list(built["net"]["Graph"]["Connections"]) == [
            "in > conv",
            "conv > norm",
            "norm > relu",
            "relu > add/in1",
            "conv > add/in2",
            "add > pool",
            "pool > fc",
            "fc > softmax",
        ]
        assert built["net"]["Arguments"].size == 0

    def test_learnables_and_state(self, built: dict[str, Any]) -> None:
        learnables = values_of(built["net"]["Learnables"])
        stored = branching()
        for layer, parameter in [("conv", "Weights"), ("norm", "Offset"), ("norm", "Scale")]:
            np.testing.assert_array_equal(learnables[layer, parameter], np.squeeze(stored[layer].learnables[parameter]))
        # A fully connected layer multiplies images as MATLAB's x(:) has them.
        image = single(9, 4, 3, 4).astype(float)
        expected = np.einsum("hwc,hwco->o", image, stored["fc"].learnables["Weights"])
        np.testing.assert_allclose(learnables["fc", "Weights"] @ image.ravel(order="F"), expected, rtol=1e-12)
        np.testing.assert_array_equal(learnables["fc", "Bias"], stored["fc"].learnables["Bias"].ravel())
        state = values_of(built["net"]["State"])
        np.testing.assert_array_equal(
            state["norm", "TrainedVariance"], np.squeeze(stored["norm"].state["TrainedVariance"])
        )

    def test_class_names(self, built: dict[str, Any]) -> None:
        assert list(built["names"]) == ["cat", "dog", "fox"]

    def test_all_constructors_get_their_settings(self, cwd: Path) -> None:
        window = {"FilterSize": row(3), "NumFilters": row(4)}
        pool = {"PoolSize": row(2), "Stride": row(2), "PaddingMode": "manual", "PaddingSize": row(0, 1)}
        cases: list[tuple[str, dict[str, Any], list[Any]]] = [
            ("FeatureInput", {"InputSize": row(4), "Normalization": "none"}, [4, "Normalization", "none"]),
            ("SequenceInput", {"InputSize": row(4), "MinLength": row(1)}, [4]),
            ("SequenceInput", {"InputSize": row(4), "MinLength": row(9)}, [4, "MinLength", 9]),
            (
                "WordEmbedding",
                {"Dimension": row(3), "NumWords": row(9), "OOVMode": "error"},
                [3, 9, "OOVMode", "error"],
            ),
            ("Convolution1D", window | {"PaddingMode": "causal"}, [3, 4, "Padding", "causal"]),
            (
                "GroupedConvolution2D",
                {"FilterSize": row(3), "NumFiltersPerGroup": row(2), "NumGroups": "channel-wise"},
                [3, 2, "channel-wise"],
            ),
            ("TransposedConvolution2D", window | {"CroppingMode": "same"}, [3, 4, "Cropping", "same"]),
            (
                "LSTM",
                {"NumHiddenUnits": row(5), "OutputMode": "last", "GateActivationFunction": "hard-sigmoid"},
                [5, "OutputMode", "last", "GateActivationFunction", "hard-sigmoid"],
            ),
            ("BiLSTM", {"NumHiddenUnits": row(5)}, [5]),
            (
                "GRU",
                {"NumHiddenUnits": row(5), "ResetGateMode": "before-multiplication"},
                [5, "ResetGateMode", "before-multiplication"],
            ),
            (
                "LSTMProjected",
                {"NumHiddenUnits": row(9), "InputProjectorSize": row(2), "OutputProjectorSize": row(3)},
                [9, 3, 2],
            ),
            (
                "GRUProjected",
                {
                    "NumHiddenUnits": row(9),
                    "InputProjectorSize": row(2),
                    "OutputProjectorSize": row(3),
                    "ResetGateMode": "before-multiplication",
                },
                [9, 3, 2, "ResetGateMode", "before-multiplication"],
            ),
            ("LayerNormalization", {"Epsilon": row(0.5)}, ["Epsilon", 0.5]),
            ("GroupNormalization", {"NumGroups": row(2)}, [2]),
            ("CrossChannelNormalization", {"WindowChannelSize": row(5), "K": row(1)}, [5, "K", 1]),
            ("LeakyReLU", {"Scale": row(0.25)}, [0.25]),
            ("ClippedReLU", {"Ceiling": row(6)}, [6]),
            ("ELU", {"Alpha": row(2)}, [2]),
            ("GELU", {}, []),
            ("Swish", {}, []),
            ("Tanh", {}, []),
            ("Sigmoid", {}, []),
            ("MaxPooling1D", pool, [2, "Stride", 2, "Padding", [0, 1]]),
            (
                "MaxPooling2D",
                {"PoolSize": row(2), "HasUnpoolingOutputs": row(1)},
                [2, "HasUnpoolingOutputs", 1],
            ),
            ("MaxUnpooling2D", {}, []),
            ("AveragePooling1D", pool, [2, "Stride", 2, "Padding", [0, 1]]),
            ("AveragePooling2D", {"PoolSize": row(2), "PaddingValue": "mean"}, [2, "PaddingValue", "mean"]),
            ("GlobalAveragePooling1D", {}, []),
            ("GlobalAveragePooling2D", {}, []),
            ("GlobalMaxPooling1D", {}, []),
            ("GlobalMaxPooling2D", {}, []),
            ("Resize2D", {"Scale": row(2), "Method": "nearest"}, ["Scale", 2, "Method", "nearest"]),
            ("Dropout", {"Probability": row(0.5)}, [0.5]),
            ("Flatten", {}, []),
            ("Multiplication", {"NumInputs": row(3)}, [3]),
            ("DepthConcatenation", {"NumInputs": row(3)}, [3]),
            ("Concatenation", {"Dim": row(1), "NumInputs": row(2)}, [1, 2]),
            ("Convolution3D", window | {"Stride": row(1, 2, 1)}, [3, 4, "Stride", [1, 2, 1]]),
            ("TransposedConvolution1D", window | {"CroppingSize": row(1, 0)}, [3, 4, "Cropping", [1, 0]]),
            ("TransposedConvolution3D", window | {"CroppingMode": "same"}, [3, 4, "Cropping", "same"]),
            ("MaxPooling3D", {"PoolSize": row(2), "Stride": row(2)}, [2, "Stride", 2]),
            ("AveragePooling3D", {"PoolSize": row(2), "Stride": row(2)}, [2, "Stride", 2]),
            ("AdaptiveAveragePooling2D", {"OutputSize": row(3, 2)}, [[3, 2]]),
            ("GlobalAveragePooling3D", {}, []),
            ("GlobalMaxPooling3D", {}, []),
            ("SequenceFolding", {}, []),
            ("SequenceUnfolding", {}, []),
            ("Indexing1D", {"Index": "last"}, ["last"]),
            ("EmbeddingConcatenation", {}, []),
            ("WordEmbedding", {"Dimension": row(4), "NumWords": row(7)}, [4, 7]),
        ]
        layers = [Layer(f"l{i}", f"{NNET}{kind}Layer", settings) for i, (kind, settings, _) in enumerate(cases)]
        save_portable(cwd / "p.mat", Network(tuple(layers), ()))
        initialize(cwd, [])
        octave.run("s = load('p.mat'); net = networkFromStruct(s.net); save('-v7', 'b.mat', 'net');", cwd)
        calls = load(cwd / "b.mat")["net"]["Graph"]["Layers"]
        assert {call["Function"] for call in calls} < set(CONSTRUCTORS)
        for (kind, _, expected), call in zip(cases, calls, strict=True):
            got = [part.tolist() if isinstance(part, np.ndarray) else part for part in call["Arguments"]]
            assert got == [*expected, "Name", got[-1]], kind

    def test_unknown_layers_are_all_named(self, cwd: Path) -> None:
        layers = (Layer("a", "spikingLayer"), Layer("b", f"{NNET}ReLULayer"), Layer("c", "my.Thing"))
        layers = (*layers, Layer("d", "nnet.onnx.layer.FlattenLayer"))
        save_portable(cwd / "p.mat", Network(layers, ()))
        printed = octave.run("s = load('p.mat'); try, networkFromStruct(s.net); catch e, disp(e.message); end", cwd)
        assert "'a' of class spikingLayer" in printed
        assert "'c' of class my.Thing" in printed
        assert "'d' of class nnet.onnx.layer.FlattenLayer" in printed
        assert "'b'" not in printed

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("s = 3;", "keras-prunelab network"),
            ("s.FormatVersion = 2;", "FormatVersion 2"),
            (
                "s.Layers{2}.Settings = rmfield(s.Layers{2}.Settings, 'NumFilters');",
                "has no setting NumFilters",
            ),
            ("s.Layers{1}.Settings.Normalization = '@(x)x/255';", "function of your own"),
        ],
    )
    def test_errors_say_what_is_wrong(self, change: str, message: str, cwd: Path) -> None:
        save_portable(cwd / "p.mat", branching())
        script = f"s = load('p.mat').net; {change} try, networkFromStruct(s); catch e, disp(e.message); end"
        assert message in octave.run(script, cwd)


LAYER_CLASSES = {
    "Convolution2DLayer": "Name, FilterSize, NumFilters, PaddingMode, Weights, Bias, WeightLearnRateFactor, "
    "BiasLearnRateFactor, WeightsInitializer, BiasL2Factor, Description, Type, NumInputs, InputNames",
    "LeakyReLULayer": "Name, Scale, NumInputs, Helper",
    "BatchNormalizationLayer": "Name, Offset, Scale, OffsetLearnRateFactor, ScaleLearnRateFactor, Epsilon, TrainedMean",
    "AdditionLayer": "Name, NumInputs",
}


def write_class(path: Path, name: str, properties: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = "\n".join(properties.split(", "))
    path.write_text(f"classdef {name}\nproperties\n{listed}\nend\nend\n", encoding="utf-8")


class TestNetworkToStruct:
    """Octave has no arrays of objects: a class with an index of its own stands in for net.Layers."""

    @pytest.fixture
    def cwd(self, tmp_path: Path) -> Path:
        for name, properties in LAYER_CLASSES.items():
            write_class(tmp_path / "+nnet" / "+cnn" / "+layer" / f"{name}.m", name, properties)
        write_class(tmp_path / "dlnetwork.m", "dlnetwork", "Layers, Connections, Learnables, State, OutputNames")
        write_class(tmp_path / "SeriesNetwork.m", "SeriesNetwork", "Layers, OutputNames")
        (tmp_path / "@layerArray").mkdir()
        make = "function a = layerArray(varargin)\na = class(struct('c', {varargin}), 'layerArray');\nend\n"
        subsref = "function v = subsref(a, s)\nv = a.c{s(1).subs{1}};\nend\n"
        numel = "function n = numel(a, varargin)\nn = numel(a.c);\nend\n"
        write_functions(tmp_path / "@layerArray", {"layerArray": make, "subsref": subsref, "numel": numel})
        return tmp_path

    LAYERS = """
        c = nnet.cnn.layer.Convolution2DLayer(); c.Name = 'conv'; c.NumInputs = 1;
        c.FilterSize = [3 3]; c.NumFilters = 2; c.PaddingMode = 'same';
        c.Weights = single(ones(3, 3, 1, 2)); c.WeightLearnRateFactor = 1; c.WeightsInitializer = 'glorot';
        c.Bias = single(zeros(1, 1, 2)); c.BiasLearnRateFactor = 1;
        l = nnet.cnn.layer.LeakyReLULayer(); l.Name = 'leaky'; l.Scale = 0.1; l.NumInputs = 1; l.Helper = {1};
        n = nnet.cnn.layer.BatchNormalizationLayer(); n.Name = 'norm'; n.Epsilon = 1e-5;
        n.Scale = single([2 2]); n.ScaleLearnRateFactor = 1;
        n.Offset = single([1 1]); n.OffsetLearnRateFactor = 1;
        n.TrainedMean = single([3 4]);
        a = nnet.cnn.layer.AdditionLayer(); a.Name = 'add'; a.NumInputs = 2;
    """

    def test_series_network(self, cwd: Path) -> None:
        octave.run(
            self.LAYERS
            + "net = SeriesNetwork(); net.Layers = layerArray(c, l, n, a); net.OutputNames = {'add'};"
            + "s = networkToStruct(net, {'no', 'yes'}); save('-v7', 's.mat', 's');",
            cwd,
        )
        s = load(cwd / "s.mat")["s"]
        assert (s["Format"], s["FormatVersion"], s["Class"]) == ("keras-prunelab network", 1, "SeriesNetwork")
        assert list(s["Connections"]["Source"]) == ["conv", "leaky", "norm"]
        assert list(s["Connections"]["Destination"]) == ["leaky", "norm", "add"]
        assert list(s["ClassNames"]) == ["no", "yes"]
        assert s["OutputNames"] == "add"
        conv, leaky, norm, add = s["Layers"]
        assert conv["Class"] == "nnet.cnn.layer.Convolution2DLayer"
        assert set(conv["Settings"]) == {"FilterSize", "NumFilters", "PaddingMode"}
        assert set(conv["Learnables"]) == {"Weights", "Bias"}
        np.testing.assert_array_equal(conv["Learnables"]["Weights"], np.ones((3, 3, 2)))
        assert conv["Learnables"]["Weights"].dtype == np.float32
        # The scale of a leaky ReLU is a setting; that of a batch normalization is learnt.
        assert leaky["Settings"] == {"Scale": 0.1}
        assert set(norm["Learnables"]) == {"Offset", "Scale"}
        assert list(norm["State"]) == ["TrainedMean"]
        assert norm["Settings"] == {"Epsilon": 1e-5}
        assert add["Settings"] == {"NumInputs": 2}

    def test_python_reads_what_octave_described(self, cwd: Path) -> None:
        octave.run(
            self.LAYERS
            + "net = SeriesNetwork(); net.Layers = layerArray(c, l); net.OutputNames = {'leaky'};"
            + "s = networkToStruct(net, {'no'; 'yes'}); save('-v7', 's.mat', 's');",
            cwd,
        )
        network = load_network(cwd / "s.mat")
        assert network.class_name == "SeriesNetwork"
        assert network.connections == series(["conv", "leaky"])
        assert network.class_names == ("no", "yes")
        assert network.output_names == ("leaky",)
        assert network["conv"].learnables["Weights"].shape == (3, 3, 1, 2)
        assert network["leaky"].settings["Scale"].item() == 0.1

    def test_dlnetwork_takes_the_values_of_its_tables(self, cwd: Path) -> None:
        octave.run(
            self.LAYERS
            + """
            net = dlnetwork(); net.Layers = layerArray(c, n); net.OutputNames = {'norm'};
            net.Connections = struct('Source', {{'conv'}}, 'Destination', {{'norm'}});
            t.Layer = {'conv'}; t.Parameter = {'Bias'}; t.Value = {single(reshape([7 8], 1, 1, 2))};
            net.Learnables = t;
            t.Layer = {'norm'}; t.Parameter = {'TrainedMean'}; t.Value = {single([5 6])};
            net.State = t;
            s = networkToStruct(net); save('-v7', 's.mat', 's');
            """,
            cwd,
        )
        s = load(cwd / "s.mat")["s"]
        conv, norm = s["Layers"]
        assert np.ravel(conv["Learnables"]["Bias"]).tolist() == [7, 8]
        assert norm["State"]["TrainedMean"].tolist() == [5, 6]
        assert s["ClassNames"].size == 0

    def test_what_is_left_out_is_named(self, cwd: Path) -> None:
        printed = octave.run(
            self.LAYERS
            + "net = SeriesNetwork(); net.Layers = layerArray(l);"
            + "warning('on', 'networkToStruct:skippedProperty'); s = networkToStruct(net); disp(lastwarn());",
            cwd,
        )
        assert "Layer 'leaky': property Helper of class cell is left out" in printed

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ("networkToStruct()", "Pass a network"),
            ("networkToStruct(3)", "got a value of class double"),
        ],
    )
    def test_errors_say_what_was_expected(self, call: str, message: str, cwd: Path) -> None:
        assert message in octave.run(f"try, {call}; catch e, disp(e.message); end", cwd)


class TestApplyPrunedWeights:
    @pytest.fixture
    def net(self, cwd: Path) -> Path:
        initialize(cwd, [("fc", "Weights", (2, 3)), ("fc", "Bias", (2, 1))])
        return cwd

    def applied(self, script: str, folder: Path) -> dict[str, Any]:
        octave.run(
            "net = dlnetwork(layerGraph()); net.Learnables.Value{1} = single([1 2 3; 4 5 6]);"
            f"{script} save('-v7', 'r.mat', 'net', 'report');",
            folder,
        )
        return load(folder / "r.mat")

    def test_masks_multiply(self, net: Path) -> None:
        masks = "m.Layer = {'fc'}; m.Parameter = {'Weights'}; m.Value = {logical([1 0 1; 0 0 1])};"
        result = self.applied(f"{masks} [net, report] = applyPrunedWeights(net, m);", net)
        assert values_of(result["net"]["Learnables"])["fc", "Weights"].tolist() == [[1, 0, 3], [0, 0, 6]]
        report = result["report"]
        assert (report["NumApplied"], report["NumZeros"], report["NumElements"]) == (1, 3, 6)
        assert report["Untouched"] == "fc/Bias"

    def test_values_replace_whatever_singleton_dimensions_they_have(self, net: Path) -> None:
        values = "m.Layer = {'fc'}; m.Parameter = {'Bias'}; m.Value = {reshape([8 9], 1, 1, 2)};"
        result = self.applied(f"{values} [net, report] = applyPrunedWeights(net, m);", net)
        bias = values_of(result["net"]["Learnables"])["fc", "Bias"]
        assert bias.tolist() == [8, 9]
        assert bias.dtype == np.float32

    def test_what_does_not_match_is_reported_and_left(self, net: Path) -> None:
        values = "m.Layer = {'fc'; 'gone'}; m.Parameter = {'Weights'; 'Bias'}; m.Value = {ones(3, 2); 1};"
        result = self.applied(f"{values} [net, report] = applyPrunedWeights(net, m);", net)
        assert list(result["report"]["Unmatched"]) == [
            "fc/Weights: size [3 2], but the network expects [2 3]",
            "gone/Bias: the network has no such parameter",
        ]
        assert values_of(result["net"]["Learnables"])["fc", "Weights"].tolist() == [[1, 2, 3], [4, 5, 6]]

    def test_a_network_in_a_file(self, net: Path) -> None:
        weights = single(0, 2, 3)
        layer = Layer("fc", f"{NNET}FullyConnectedLayer", {"OutputSize": row(2)}, {"Weights": weights})
        save_portable(net / "pruned.mat", Network((layer,), series(["fc"])))
        result = self.applied("[net, report] = applyPrunedWeights(net, 'pruned.mat');", net)
        np.testing.assert_array_equal(values_of(result["net"]["Learnables"])["fc", "Weights"], weights)

    def test_an_untrained_network_changes_nothing(self, net: Path) -> None:
        layer = Layer("fc", f"{NNET}FullyConnectedLayer", {"OutputSize": row(2)}, {"Weights": np.zeros((0, 0))})
        save_portable(net / "untrained.mat", Network((layer,), ()))
        report = self.applied("[net, report] = applyPrunedWeights(net, 'untrained.mat');", net)["report"]
        assert report["NumApplied"] == 0
        assert report["Unmatched"].size == 0

    def test_a_warning_in_place_of_the_report(self, net: Path) -> None:
        printed = octave.run(
            "warning('on', 'applyPrunedWeights:unmatched'); net = dlnetwork(layerGraph());"
            "m.Layer = {'fc'}; m.Parameter = {'Bias'}; m.Value = {[8; 9]};"
            "net = applyPrunedWeights(net, m); disp(lastwarn());",
            net,
        )
        assert "fc/Weights: there is no value for it" in printed

    def test_other_things_are_refused(self, net: Path) -> None:
        printed = octave.run(
            "net = dlnetwork(layerGraph()); try, applyPrunedWeights(net, 3); catch e, disp(e.message); end",
            net,
        )
        assert "got a value of class double" in printed
