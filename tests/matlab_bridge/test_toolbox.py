"""The MATLAB functions run in Octave; stand-ins record what they ask the Deep Learning Toolbox for."""

from __future__ import annotations

import itertools
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import scipy.io

from matlab_bridge import Layer, Network, load_network, save_portable, toolbox_path
from matlab_bridge.network import series

from . import octave
from .networks_by_hand import NNET, branching, row, single

pytestmark = pytest.mark.octave

FILES = sorted(path for path in toolbox_path().rglob("*.m") if path.name != "Contents.m")

# The documented functions that make a layer; each stand-in records its name and its arguments.
CONSTRUCTORS = [
    *(
        "imageInputLayer",
        "featureInputLayer",
        "sequenceInputLayer",
        "convolution1dLayer",
        "convolution2dLayer",
    ),
    *(
        "groupedConvolution2dLayer",
        "transposedConv2dLayer",
        "fullyConnectedLayer",
        "lstmLayer",
        "bilstmLayer",
    ),
    *("gruLayer", "batchNormalizationLayer", "layerNormalizationLayer", "groupNormalizationLayer"),
    *("crossChannelNormalizationLayer", "reluLayer", "leakyReluLayer", "clippedReluLayer", "eluLayer"),
    *("geluLayer", "swishLayer", "tanhLayer", "sigmoidLayer", "softmaxLayer", "maxPooling1dLayer"),
    *("maxPooling2dLayer", "maxUnpooling2dLayer", "averagePooling1dLayer", "averagePooling2dLayer"),
    *("globalAveragePooling1dLayer", "globalAveragePooling2dLayer", "globalMaxPooling1dLayer"),
    *("globalMaxPooling2dLayer", "resize2dLayer", "dropoutLayer", "flattenLayer", "additionLayer"),
    *("multiplicationLayer", "depthConcatenationLayer", "concatenationLayer", "image3dInputLayer", "inputLayer"),
    *("convolution3dLayer", "transposedConv1dLayer", "transposedConv3dLayer", "lstmProjectedLayer"),
    *("gruProjectedLayer", "maxPooling3dLayer", "averagePooling3dLayer", "adaptiveAveragePooling2dLayer"),
    *("globalAveragePooling3dLayer", "globalMaxPooling3dLayer", "sequenceFoldingLayer"),
    *("sequenceUnfoldingLayer", "indexing1dLayer", "embeddingConcatenationLayer", "wordEmbeddingLayer"),
]

STAND_INS = {
    "layerGraph": "function g = layerGraph()\ng = struct('Layers', {{}}, 'Connections', {{}});\nend\n",
    "addLayers": "function g = addLayers(g, layer)\ng.Layers{end+1} = layer;\nend\n",
    "connectLayers": "function g = connectLayers(g, a, b)\ng.Connections{end+1} = [a ' > ' b];\nend\n",
    "dlarray": "function x = dlarray(x)\nend\n",
    # What MATLAB would initialize lies ready: the sizes are the test's, not the product's.
    "dlnetwork": (
        "function net = dlnetwork(graph, varargin)\n"
        "net = load('initialized.mat');\nnet.Graph = graph;\nnet.Arguments = varargin;\nend\n"
    ),
}


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """A folder with the stand-ins."""
    recording = "function r = {0}(varargin)\nr = struct('Function', '{0}');\nr.Arguments = varargin;\nend\n"
    write_functions(tmp_path, {name: recording.format(name) for name in CONSTRUCTORS} | STAND_INS)
    return tmp_path


def write_functions(folder: Path, code: dict[str, str]) -> None:
    for name, text in code.items():
        (folder / f"{name}.m").write_text(text, encoding="utf-8")


def parameter_table(*rows: tuple[str, str, tuple[int, ...]]) -> dict[str, Any]:
    """A stand-in for the table Learnables or State of a dlnetwork that was just initialized."""
    values = np.empty((len(rows), 1), dtype=object)
    for index, (_, _, shape) in enumerate(rows):
        values[index, 0] = np.zeros(shape, dtype=np.float32)
    column = lambda place: np.array([[r[place]] for r in rows], dtype=object)  # noqa: E731
    return {"Layer": column(0), "Parameter": column(1), "Value": values}


def initialize(folder: Path, learnables: list[Any], state: list[Any] | None = None) -> None:
    tables = {"Learnables": parameter_table(*learnables), "State": parameter_table(*(state or []))}
    scipy.io.savemat(folder / "initialized.mat", tables)


def load(path: Path) -> dict[str, Any]:
    return scipy.io.loadmat(path, simplify_cells=True)


def values_of(table: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (layer, parameter): value
        for layer, parameter, value in zip(
            np.atleast_1d(table["Layer"]), np.atleast_1d(table["Parameter"]), table["Value"], strict=True
        )
    }


BRANCHING_LEARNABLES = [
    ("conv", "Weights", (3, 3, 2, 4)),
    ("conv", "Bias", (1, 1, 4)),
    ("norm", "Offset", (1, 1, 4)),
    ("norm", "Scale", (1, 1, 4)),
    ("fc", "Weights", (3, 48)),
    ("fc", "Bias", (3, 1)),
]
BRANCHING_STATE = [("norm", "TrainedMean", (1, 1, 4)), ("norm", "TrainedVariance", (1, 1, 4))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_parses(file: Path, tmp_path: Path) -> None:
    octave.run(f"__parse_file__('{file.as_posix()}');", tmp_path)


def help_of(file: Path) -> list[str]:
    """The lines of a function's help, without their percent signs."""
    _, *lines = file.read_text(encoding="utf-8").splitlines()
    return [line[1:] for line in itertools.takewhile(lambda line: line.startswith("%"), lines)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_help_has_matlabs_form(file: Path) -> None:
    first, *rest = help_of(file)
    name = file.stem.upper()
    assert re.fullmatch(rf"{name} [A-Z][^.]*\.", first)
    assert rest[0].startswith("   "), "the syntax follows the first line"
    assert re.match(rf"\s+(\[?[A-Z, ]+\]? = )?{name}\(", rest[0])
    example, also = rest.index("   Example:"), len(rest) - 1
    assert f"{file.stem}(" in "".join(rest[example:also])
    related = re.fullmatch(r"   See also ([A-Z, ]+)\.", rest[also])
    assert related is not None
    assert set(related[1].split(", ")) <= {other.stem.upper() for other in FILES} - {name}
    assert max(map(len, rest)) <= 90


def test_contents_lists_every_function_with_its_first_line() -> None:
    lines = (toolbox_path() / "Contents.m").read_text(encoding="utf-8").splitlines()
    listed = dict(found.groups() for line in lines if (found := re.fullmatch(r"%   (\w+) +- (.*)", line)))
    public = [file for file in FILES if file.parent == toolbox_path()]
    assert listed == {file.stem: help_of(file)[0].partition(" ")[2] for file in public}
    # `ver` reads the second line.
    assert re.fullmatch(rf"% Version {re.escape(version('keras-prunelab'))} \d\d-[A-Z][a-z][a-z]-\d{{4}}", lines[1])


def test_octave_shows_the_help(tmp_path: Path) -> None:
    printed = octave.run("help plotBlocks; help networkToStruct", tmp_path)
    assert "Plot what pruning leaves of each block or layer." in printed
    assert "Describe a deep learning network as a plain struct." in printed


def test_no_double_quotes_and_no_argument_blocks() -> None:
    for file in FILES:
        code = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("%")]
        assert not any('"' in line or line.strip() == "arguments" for line in code), file.name


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
        save_portable(cwd / "p.mat", Network(layers, ()))
        printed = octave.run("s = load('p.mat'); try, networkFromStruct(s.net); catch e, disp(e.message); end", cwd)
        assert "'a' of class spikingLayer" in printed
        assert "'c' of class my.Thing" in printed
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


RESULTS = """
    sweep.Score = {'magnitude'; 'synflow'; 'magnitude'; 'synflow'};
    sweep.Sparsity = [0.5; 0.5; 0.25; 0.9]; sweep.Accuracy = [0.75; 0.5; 1; 0.25];
    about.Dense = 0.96875; about.Convention = 'matlab'; about.Details.Model = 'net_1';
    choice.Score = 'magnitude'; choice.Sparsity = 0.5; choice.Accuracy = 0.75; choice.Row = 1;
    blockStats.Block = {'conv_1'; 'conv^2'; 'fc'}; blockStats.Sparsity = [0.25; 0.5; 0.75];
    blockStats.Macs = [4000; 6000; NaN]; blockStats.MacsKept = [3000; 2000; NaN];
    layerStats.Layer = {'conv'}; layerStats.Sparsity = 0.625; layerStats.Macs = 2e6; layerStats.MacsKept = 5e5;
"""
SAVE_RESULTS = "save('-v7', 'results.mat', 'sweep', 'choice', 'about', 'blockStats', 'layerStats');"
DRAWN = [
    *("figure", "hold", "plot", "grid", "box", "xlabel", "ylabel", "title", "legend"),
    *("axes", "barh", "set", "text"),
]


@pytest.fixture
def canvas(tmp_path: Path) -> Path:
    """A folder in which drawing is recorded: Octave draws only where a display or gnuplot is."""
    code = (
        "function varargout = {0}(varargin)\nglobal CALLS\nCALLS{{end+1}} = [{{'{0}'}} varargin];\n"
        "varargout = num2cell(ones(1, nargout));\nend\n"
    )
    write_functions(
        tmp_path, {name: code.format(name) for name in DRAWN} | {"gca": "function h = gca()\nh = 1;\nend\n"}
    )
    return tmp_path


def calls_of(script: str, folder: Path) -> dict[str, list[Any]]:
    """The arguments of what was drawn, by the function; the results are in the file and in variables."""
    octave.run(
        f"global CALLS; CALLS = {{}}; {RESULTS} {SAVE_RESULTS} {script} save('-v7', 'calls.mat', 'CALLS');", folder
    )
    found: dict[str, list[Any]] = {}
    for call in load(folder / "calls.mat")["CALLS"]:
        if isinstance(call, np.ndarray):  # a call without arguments is a text
            found.setdefault(call[0], []).append(list(call[1:]))
    return found


class TestPlotSweep:
    def drawn(self, script: str, folder: Path) -> tuple[list[Any], dict[str, str]]:
        """The lines by their names in the legend, and what was written beside them."""
        calls = calls_of(script, folder)
        lines = [tuple(np.ravel(part).tolist() for part in call[:2]) for call in calls["plot"]]
        texts = {name: calls[name][0][0] for name in ("xlabel", "ylabel", "title")}
        return [(name, *line) for name, line in zip(calls["legend"][0][0], lines, strict=True)], texts

    def test_a_line_a_score_the_dense_network_and_the_choice(self, canvas: Path) -> None:
        lines, texts = self.drawn("plotSweep('results.mat');", canvas)
        assert lines == [
            ("magnitude", [25, 50], [100, 75]),
            ("synflow", [50, 90], [50, 25]),
            ("dense network, 96.88 %", [25, 90], [96.875, 96.875]),
            ("choice: magnitude at 50.0 %, 75.00 %", [50], [75]),
        ]
        assert texts["xlabel"] == "Sparsity (%)"
        assert texts["ylabel"] == "Accuracy (%)"
        assert texts["title"] == "Accuracy against sparsity of net_1, convention matlab"

    def test_a_regression_shows_its_error(self, canvas: Path) -> None:
        script = (
            "results.sweep = rmfield(sweep, 'Accuracy'); results.sweep.Rmse = [3; 4; 2; 5];"
            "results.about = about; results.about.Dense = 1.5; plotSweep(results);"
        )
        lines, texts = self.drawn(script, canvas)
        assert [y for _, _, y in lines] == [[2, 3], [4, 5], [1.5, 1.5]]
        assert lines[-1][0] == "dense network, 1.5"
        assert texts["ylabel"] == "Root-mean-square error"

    def test_a_metric_of_keras_follows_the_sparsity(self, canvas: Path) -> None:
        script = (
            "results.sweep = struct('Score', {sweep.Score}, 'Sparsity', sweep.Sparsity, 'MeanAbsoluteError',"
            "[3; 4; 2; 5], 'Loss', [9; 9; 9; 9]); results.about = about; plotSweep(results);"
        )
        lines, texts = self.drawn(script, canvas)
        assert [y for _, _, y in lines][:2] == [[2, 3], [4, 5]]
        assert texts["ylabel"] == "Mean absolute error"

    def test_scopes_are_curves_and_seeds_are_not(self, canvas: Path) -> None:
        script = """
            sweep = struct('Score', {repmat({'random'}, 6, 1)}, 'Seed', [0; 0; 1; 1; 0; 1]);
            sweep.Scope = {'layer'; 'layer'; 'layer'; 'layer'; 'global'; 'global'};
            sweep.SparsityTarget = [0.5; 0.75; 0.5; 0.75; 0.5; 0.5];
            sweep.Sparsity = [0.5; 0.75; 0.5; 0.75; 0.25; 0.75]; sweep.Accuracy = [1; 0.5; 0.5; 0.25; 0.75; 0.25];
            plotSweep(struct('sweep', sweep, 'about', about));
        """
        lines, _ = self.drawn(script, canvas)
        assert lines[:2] == [("random, layer", [50, 75], [75, 37.5]), ("random, global", [50], [50])]


class TestPlotBlocks:
    def test_sparsity_and_multiply_adds_of_blocks(self, canvas: Path) -> None:
        calls = calls_of("plotBlocks('results.mat');", canvas)
        sparsity, whole, kept = (np.ravel(call[1]).tolist() for call in calls["barh"])
        assert sparsity == [25, 50, 75]
        assert whole == [4, 6, pytest.approx(np.nan, nan_ok=True)]
        assert kept == [3, 2, pytest.approx(np.nan, nan_ok=True)]
        (line,) = calls["plot"]
        assert line[0].tolist() == [50, 50]
        assert [call[0] for call in calls["xlabel"]] == [
            "Sparsity (%)",
            "Multiply-adds for one observation (thousands)",
        ]
        assert [call[0] for call in calls["title"]] == [
            "magnitude, 50.0 % sparse in all",
            "50.0 % of multiply-adds kept (dark)",
        ]
        assert [call[2] for call in calls["text"]] == ["25.0", "50.0", "75.0"]

    def test_layers(self, canvas: Path) -> None:
        calls = calls_of("plotBlocks(load('results.mat'), 'layers');", canvas)
        assert [np.ravel(call[1]).tolist() for call in calls["barh"]] == [[62.5], [2], [0.5]]
        assert calls["xlabel"][1][0].endswith("(millions)")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("plotSweep()", "results file"),
        ("plotSweep(3)", "class double"),
        ("plotSweep('none.mat')", "no file 'none.mat'"),
        ("plotSweep(struct('sweep', 1))", "missing: about"),
        ("plotBlocks()", "results file"),
        ("plotBlocks({})", "class cell"),
        ("plotBlocks('results.mat', 'filters')", "'blocks' or 'layers', but got 'filters'"),
        ("plotBlocks(rmfield(load('results.mat'), 'choice'))", "choice=result.choose"),
        ("plotBlocks(rmfield(load('results.mat'), 'blockStats'))", "missing: blockStats"),
    ],
)
def test_plots_say_what_they_cannot_read(call: str, message: str, tmp_path: Path) -> None:
    printed = octave.run(f"{RESULTS} {SAVE_RESULTS} try, {call}; catch e, disp(e.message); end", tmp_path)
    assert message in printed


@pytest.mark.skipif(shutil.which("gnuplot") is None, reason="Octave prints without a display by gnuplot")
@pytest.mark.parametrize("call", ["plotSweep('results.mat')", "plotBlocks('results.mat')"])
def test_octave_prints_the_figure(call: str, tmp_path: Path) -> None:
    octave.run(
        f"{RESULTS} {SAVE_RESULTS} graphics_toolkit('gnuplot'); set(0, 'defaultfigurevisible', 'off');"
        f"ax = {call}; print('plot.png', '-dpng', '-r100'); assert(all(isaxes(ax)));",
        tmp_path,
    )
    pixels = keras.utils.img_to_array(keras.utils.load_img(tmp_path / "plot.png")).astype(int)
    blue = np.abs(pixels - [0, 114, 178]).max(axis=-1) < 30  # the first curve, or the bars of the sparsity
    assert blue.any()
    ink = pixels.min(axis=-1) < 128
    edges = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    assert not edges.any(), "something is cut off"


DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", ["portable-form.md", "matlab-side.md"])
def test_the_matlab_code_of_the_documentation_parses(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```matlab\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        path = tmp_path / f"block{number}.m"
        path.write_text(f"function block{number}()\n{block}\nend\n", encoding="utf-8")
        octave.run(f"__parse_file__('{path.as_posix()}');", tmp_path)
