"""MATLAB code of networks: run in Octave with stand-ins that record the calls, rebuilt, and computed in NumPy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from matlab_bridge import (
    Connection,
    InvalidNetworkError,
    Layer,
    Network,
    UnsupportedLayerError,
    UntrainedNetworkError,
    export_matlab_code,
    load_network,
    matfile,
    save_portable,
)
from matlab_bridge.convert._rules import registered
from matlab_bridge.convert.layers.output import Output
from matlab_bridge.write._constructors import CONSTRUCTORS
from matlab_bridge.write._matlab_text import literal

from . import numpy_layers, octave
from .layer_tools import assert_close, chain, feature_input, layer, sequence_input
from .networks_by_hand import NNET, branching, row, single
from .toolbox_in_octave import initialize, load, values_of, write_functions

STAND_INS = {
    "layerGraph": "function g = layerGraph()\ng = struct('Layers', {{}}, 'Connections', {{}});\nend\n",
    "nameOf": "function n = nameOf(l)\nn = l.Arguments{find(strcmp(l.Arguments, 'Name')) + 1};\nend\n",
    "addLayers": (
        "function g = addLayers(g, layers)\nfor i = 1:numel(layers)\ng.Layers{end+1} = layers(i);\n"
        "if i > 1\ng.Connections{end+1} = [nameOf(layers(i-1)) ' -> ' nameOf(layers(i))];\nend\nend\nend\n"
    ),
    "connectLayers": (
        "function g = connectLayers(g, a, b)\nnames = cellfun(@nameOf, g.Layers, 'UniformOutput', false);\n"
        "assert(all(ismember(regexprep({a, b}, '/[^/]*$', ''), names)));\n"
        "g.Connections{end+1} = [a ' -> ' b];\nend\n"
    ),
    "dlarray": "function x = dlarray(x)\nassert(isa(x, 'single'));\nend\n",
    # What MATLAB would initialize lies ready: the sizes are the test's, not the product's.
    "dlnetwork": (
        "function net = dlnetwork(graph, varargin)\n"
        "net = load('initialized.mat');\nnet.Graph = graph;\nnet.Arguments = varargin;\nend\n"
    ),
}

# The arguments that each function of the tested networks takes in order, from its page in MATLAB's documentation.
ORDERED = {
    "imageInputLayer": ("ImageInputLayer", ["InputSize"]),
    "convolution2dLayer": ("Convolution2DLayer", ["FilterSize", "NumFilters"]),
    "groupedConvolution2dLayer": ("GroupedConvolution2DLayer", ["FilterSize", "NumFiltersPerGroup", "NumGroups"]),
    "batchNormalizationLayer": ("BatchNormalizationLayer", []),
    "reluLayer": ("ReLULayer", []),
    "additionLayer": ("AdditionLayer", ["NumInputs"]),
    "maxPooling2dLayer": ("MaxPooling2DLayer", ["PoolSize"]),
    "flattenLayer": ("FlattenLayer", []),
    "dropoutLayer": ("DropoutLayer", ["Probability"]),
    "fullyConnectedLayer": ("FullyConnectedLayer", ["OutputSize"]),
    "softmaxLayer": ("SoftmaxLayer", []),
}


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """A folder with the stand-ins."""
    recording = "function r = {0}(varargin)\nr = struct('Function', '{0}');\nr.Arguments = varargin;\nend\n"
    functions = {constructor.function for constructor in CONSTRUCTORS.values()}
    write_functions(tmp_path, {name: recording.format(name) for name in functions} | STAND_INS)
    return tmp_path


def run(folder: Path, script: str = "[net, classNames] = buildNet();") -> dict[str, Any]:
    octave.run(f"{script} save('-v7', 'built.mat', 'net', 'classNames');", folder)
    return load(folder / "built.mat")


def rebuilt(net: dict[str, Any]) -> Network:
    """The network that the recorded calls describe, in the words that the NumPy layers understand."""
    values: dict[str, dict[str, Any]] = {}
    for table in ("Learnables", "State"):
        for (name, parameter), value in values_of(net[table]).items():
            values.setdefault(name, {})[parameter] = np.asarray(value)
    layers = []
    for call in net["Graph"]["Layers"]:
        class_name, ordered = ORDERED[call["Function"]]
        arguments = list(np.atleast_1d(np.array(call["Arguments"], dtype=object)))
        settings = dict(zip(ordered, arguments, strict=False))
        settings |= dict(zip(arguments[len(ordered) :: 2], arguments[len(ordered) + 1 :: 2], strict=True))
        name = settings.pop("Name")
        layers.append(Layer(name, NNET + class_name, as_saved(settings), values.get(name, {})))
    ends = [connection.split(" -> ") for connection in net["Graph"]["Connections"]]
    return Network(tuple(layers), tuple(Connection.parse(*each) for each in ends))


def as_saved(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with MATLAB's defaults, one number for a pair written as two."""
    padding = settings.pop("Padding", 0)
    is_mode = isinstance(padding, str)
    full = {
        "Epsilon": 1e-5,
        "Stride": 1,
        "DilationFactor": 1,
        **settings,
        "PaddingMode": padding if is_mode else "manual",
        "PaddingSize": np.broadcast_to(0 if is_mode else padding, 4),
    }
    for name in {"FilterSize", "PoolSize", "Stride", "DilationFactor"} & full.keys():
        full[name] = np.broadcast_to(full[name], 2)
    return full


def residual() -> keras.Model:
    """Two branches, a depthwise and a dilated convolution, a padding, and a flatten."""
    keras.utils.set_random_seed(5)
    images = keras.Input((12, 10, 2), name="image")
    x = keras.layers.Rescaling(1 / 50, offset=-1)(images)
    x = keras.layers.ZeroPadding2D(((1, 0), (2, 1)))(x)
    x = keras.layers.Conv2D(6, (3, 2), name="conv1")(x)
    skip = keras.layers.BatchNormalization(name="bn", epsilon=0.01)(x)
    x = keras.layers.Conv2D(6, 3, padding="same", dilation_rate=2, activation="relu", name="conv2")(skip)
    x = keras.layers.Add(name="add")([x, skip])
    x = keras.layers.MaxPooling2D((3, 2), 2, name="pool")(x)
    x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, name="dw")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dropout(0.25, name="drop")(x)
    model = keras.Model(images, keras.layers.Dense(3, activation="softmax", name="fc")(x))
    generator = np.random.default_rng(6)
    for variable in model.weights:
        values = generator.normal(size=variable.shape) * 0.5
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.path else values * (np.abs(values) > 0.2))
    return model


RESIDUAL_LEARNABLES = [
    ("conv1", "Weights", (3, 2, 2, 6)),
    ("conv1", "Bias", (1, 1, 6)),
    ("bn", "Offset", (1, 1, 6)),
    ("bn", "Scale", (1, 1, 6)),
    ("conv2", "Weights", (3, 3, 6, 6)),
    ("conv2", "Bias", (1, 1, 6)),
    ("dw", "Weights", (3, 3, 1, 2, 6)),
    ("dw", "Bias", (1, 1, 2, 6)),
    ("fc", "Weights", (3, 108)),
    ("fc", "Bias", (3, 1)),
]
RESIDUAL_STATE = [("bn", "TrainedMean", (1, 1, 6)), ("bn", "TrainedVariance", (1, 1, 6))]


@pytest.mark.octave
class TestWhatOctaveBuilds:
    def test_the_outputs_are_those_of_the_model(self, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = residual()
        export_matlab_code(cwd / "buildNet.m", model, cwd / "weights.mat", class_names=["cat", "it's", "fox"])
        initialize(cwd, RESIDUAL_LEARNABLES, RESIDUAL_STATE)
        built = run(cwd)
        assert list(built["classNames"]) == ["cat", "it's", "fox"]
        network = rebuilt(built["net"])
        normalization = network.layers[0].settings
        assert normalization["Normalization"] == "zscore"
        monkeypatch.setitem(numpy_layers.COMPUTE, "FlattenLayer", lambda layer, image: image.ravel(order="F"))
        images = np.random.default_rng(7).uniform(0, 100, size=(4, 12, 10, 2)).astype(np.float32)
        inputs = (images - normalization["Mean"]) / normalization["StandardDeviation"]
        expected = keras.ops.convert_to_numpy(model(images, training=False))
        actual = np.stack([numpy_layers.forward(network, each) for each in inputs])
        assert_close(actual, expected)
        assert np.ptp(expected) > 0.1

    def test_zeros_are_kept_and_counted(self, cwd: Path) -> None:
        model = residual()
        export_matlab_code(cwd / "buildNet.m", model, cwd / "weights.mat")
        initialize(cwd, RESIDUAL_LEARNABLES, RESIDUAL_STATE)
        learnables = values_of(run(cwd)["net"]["Learnables"])
        zeros = sum(int(np.sum(variable.numpy() == 0)) for variable in model.trainable_variables)
        assert zeros > 100
        assert sum(int(np.sum(value == 0)) for value in learnables.values()) == zeros
        assert f"{zeros:,} are zero" in (cwd / "buildNet.m").read_text(encoding="utf-8")

    def test_a_network_of_matlab_without_its_output_layer(self, cwd: Path) -> None:
        network = branching()
        export_matlab_code(cwd / "buildNet.m", network, cwd / "weights.mat")
        parameters = [(each, name, array) for each in network.layers for name, array in each.learnables.items()]
        sizes = {"fc": {"Weights": (3, 48), "Bias": (3, 1)}}
        initialize(
            cwd,
            [(each.name, name, sizes.get(each.name, {}).get(name, array.shape)) for each, name, array in parameters],
            [("norm", name, array.shape) for name, array in network["norm"].state.items()],
        )
        built = run(cwd)
        assert built["net"]["Arguments"].size == 0
        assert list(built["classNames"]) == ["cat", "dog", "fox"]
        image = single(0, 8, 6, 2).astype(float)
        again = rebuilt(built["net"])
        mean = again.layers[0].settings["Mean"]
        np.testing.assert_allclose(
            numpy_layers.forward(again, image - mean), numpy_layers.forward(network, image), rtol=1e-6
        )

    def test_the_weights_may_lie_elsewhere(self, cwd: Path) -> None:
        (cwd / "data").mkdir()
        export_matlab_code(cwd / "buildNet.m", small(), cwd / "data" / "numbers.mat")
        initialize(cwd, [("fc", "Weights", (2, 4)), ("fc", "Bias", (2, 1))])
        weights = values_of(run(cwd)["net"]["Learnables"])["fc", "Weights"]
        (cwd / "data" / "numbers.mat").rename(cwd / "moved.mat")
        again = values_of(run(cwd, "[net, classNames] = buildNet('moved.mat');")["net"]["Learnables"])
        np.testing.assert_array_equal(again["fc", "Weights"], weights)

    def test_large_statistics_come_from_the_file(self, cwd: Path) -> None:
        mean = single(1, 5, 4, 2)
        image = layer("5 in", "ImageInputLayer", {"InputSize": row(5, 4, 2), "Normalization": "zerocenter"})
        image = Layer(image.name, image.class_name, {**image.settings, "Mean": mean})
        export_matlab_code(cwd / "buildNet.m", chain(image, layer("r", "ReLULayer")))
        initialize(cwd, [])
        call = run(cwd)["net"]["Graph"]["Layers"][0]
        assert list(call["Arguments"][1:4]) == ["Name", "5 in", "Mean"]
        np.testing.assert_array_equal(call["Arguments"][4], mean)

    def test_recurrent_states_stay_at_zero(self, cwd: Path) -> None:
        export_matlab_code(cwd / "buildNet.m", recurrent())
        initialize(cwd, LSTM_LEARNABLES, [("lstm", "HiddenState", (5, 1)), ("lstm", "CellState", (5, 1))])
        net = run(cwd)["net"]
        _, lstm, _ = net["Graph"]["Layers"]
        assert list(lstm["Arguments"]) == [5, "Name", "lstm", "OutputMode", "last"]
        np.testing.assert_array_equal(
            values_of(net["Learnables"])["lstm", "InputWeights"], recurrent()["lstm"].learnables["InputWeights"]
        )
        assert not values_of(net["State"])["lstm", "CellState"].any()

    @pytest.mark.parametrize(
        ("learnables", "message"),
        [
            ([("fc", "Weights", (4, 2))], "fc/Weights is of size [2 4] in the file of weights, and [4 2] in"),
            ([("new", "Weights", (2, 4))], "has no value for new/Weights"),
        ],
    )
    def test_weights_that_do_not_fit_are_refused(self, learnables: list[Any], message: str, cwd: Path) -> None:
        export_matlab_code(cwd / "buildNet.m", small())
        initialize(cwd, learnables)
        assert message in octave.run("try, buildNet(); catch e, disp(e.message); end", cwd)

    def test_the_file_of_weights_suits_apply_pruned_weights(self, cwd: Path) -> None:
        export_matlab_code(cwd / "buildNet.m", small(), cwd / "weights.mat")
        initialize(cwd, [("fc", "Weights", (2, 4)), ("fc", "Bias", (2, 1))])
        printed = octave.run(
            "[~, report] = applyPrunedWeights(dlnetwork(layerGraph()), 'weights.mat'); disp(report.NumApplied);", cwd
        )
        assert printed.split() == ["2"]


def small() -> Network:
    fc = layer("fc", "FullyConnectedLayer", {"OutputSize": row(2)}, {"Weights": single(0, 2, 4), "Bias": single(1, 2)})
    return chain(feature_input(4), fc)


LSTM_LEARNABLES = [
    ("lstm", "InputWeights", (20, 3)),
    ("lstm", "RecurrentWeights", (20, 5)),
    ("lstm", "Bias", (20, 1)),
    ("fc", "Weights", (2, 5)),
    ("fc", "Bias", (2, 1)),
]


def recurrent() -> Network:
    arrays = {(name, parameter): single(seed, *shape) for seed, (name, parameter, shape) in enumerate(LSTM_LEARNABLES)}

    def of(name: str) -> dict[str, Any]:
        return {parameter: array for (owner, parameter), array in arrays.items() if owner == name}

    settings = {"NumHiddenUnits": row(5), "ReturnSequence": np.array([[False]]), "StateActivationFunction": "tanh"}
    return chain(
        sequence_input(3, Normalization=np.zeros((0, 0))),
        layer("lstm", "LSTMLayer", settings, of("lstm")),
        layer("fc", "FullyConnectedLayer", {"OutputSize": row(2)}, of("fc")),
    )


class TestTheText:
    def test_lines_are_short_and_settings_at_their_default_are_not_there(self, tmp_path: Path) -> None:
        export_matlab_code(tmp_path / "buildNet.m", residual())
        text = (tmp_path / "buildNet.m").read_text(encoding="utf-8")
        assert max(map(len, text.splitlines())) <= 90
        assert "    convolution2dLayer([3 2], 6, 'Name', 'conv1', 'Padding', [1 0 2 1])\n" in text
        assert "    reluLayer('Name', 'conv2_relu')\n" in text
        for default in ("PaddingValue", "HasUnpoolingOutputs", "NumChannels"):
            assert default not in text

    def test_constants_are_scaling_layers(self, tmp_path: Path) -> None:
        inputs = keras.Input((4, 4, 2))
        sum_ = keras.layers.ReLU(name="relu")(inputs) * 0.1 + np.float32([1, 2])
        export_matlab_code(tmp_path / "net.m", keras.Model(inputs, sum_))
        code = (tmp_path / "net.m").read_text(encoding="utf-8")
        assert "'Scale', 0.1)" in code
        assert "'Bias', reshape([1 2], [1 1 2]))" in code
        assert "Reinforcement Learning Toolbox" in code

    def test_the_offset_of_a_scaling_layer_has_its_name_of_the_release(self, tmp_path: Path) -> None:
        scaling = Layer("scaling", "nnet.cnn.layer.ScalingLayer", {"Scale": row(1), "Offset": row(3)})
        export_matlab_code(tmp_path / "net.m", chain(feature_input(2), scaling))
        assert "'Name', 'scaling', 'Offset', 3)" in (tmp_path / "net.m").read_text(encoding="utf-8")

    def test_help_comes_first_and_says_how_to_predict(self, tmp_path: Path) -> None:
        export_matlab_code(tmp_path / "makeIt.m", recurrent())
        signature, first, *rest = (tmp_path / "makeIt.m").read_text(encoding="utf-8").splitlines()
        assert signature == "function [net, classNames] = makeIt(weightsFile)"
        assert first == "%MAKEIT Build a dlnetwork, with its weights."
        assert "%      % X is 3-by-numSteps-by-numObservations, for input" in rest
        assert "%      scores = predict(net, dlarray(single(X), 'CTB'));" in rest

    def test_the_release_is_that_of_the_newest_layer(self, tmp_path: Path) -> None:
        layers = [feature_input(4), layer("id", "IdentityLayer"), layer("sq", "QuadraticLayer")]
        export_matlab_code(tmp_path / "a.m", chain(*layers))
        text = (tmp_path / "a.m").read_text(encoding="utf-8")
        assert "Needs MATLAB R2024b or newer, with Deep Learning Toolbox and Reinforcement Learning" in text
        export_matlab_code(tmp_path / "a.m", small())
        assert "Needs MATLAB R2021a or newer, with Deep Learning Toolbox." in (tmp_path / "a.m").read_text("utf-8")

    def test_outputs_are_named_where_they_are_not_the_last_layers(self, tmp_path: Path) -> None:
        network = small()
        names = Network(network.layers, network.connections, output_names=("fc", "input"))
        export_matlab_code(tmp_path / "a.m", names)
        assert "net = dlnetwork(graph, 'OutputNames', {'fc', 'input'});" in (tmp_path / "a.m").read_text("utf-8")

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (np.float32(0.1), "0.1"),
            (1 - 0.99, "0.01"),
            (1 / 3, "0.333333333333333"),
            (-0.0, "0"),
            (True, "true"),
            ("it's", "'it''s'"),
            (np.array([[1.5], [2]]), "[1.5; 2]"),
            (np.array([[[1.0, 2.0]]]), "reshape([1 2], [1 1 2])"),
            (np.array([[np.inf, -np.inf, np.nan]]), "[Inf -Inf NaN]"),
        ],
    )
    def test_literals(self, value: Any, text: str) -> None:
        assert literal(value) == text


class TestErrors:
    def test_all_layers_without_a_function_are_named_and_nothing_is_written(self, tmp_path: Path) -> None:
        network = chain(
            feature_input(4, Normalization="@(x)x/2"),
            Layer("a", "spikingLayer"),
            Layer("b", "my.ReLULayer"),
            layer("lstm", "LSTMLayer"),
            layer("r", "ReLULayer"),
        )
        with pytest.raises(UnsupportedLayerError) as caught:
            export_matlab_code(tmp_path / "a.m", network)
        message = str(caught.value)
        assert message.startswith("4 of 5 layers have no MATLAB code:")
        assert "'input' (nnet.cnn.layer.FeatureInputLayer): its Normalization is '@(x)x/2'" in message
        assert "'a' (spikingLayer)" in message
        assert "'b' (my.ReLULayer)" in message
        assert "lstmLayer needs NumHiddenUnits" in message
        assert list(tmp_path.iterdir()) == []

    def test_untrained_layers(self, tmp_path: Path) -> None:
        fc = layer("fc", "FullyConnectedLayer", {"OutputSize": row(2)}, {"Weights": np.zeros((0, 0))})
        with pytest.raises(UntrainedNetworkError, match="'fc' have no weights"):
            export_matlab_code(tmp_path / "a.m", chain(feature_input(4), fc))

    def test_no_input_layer(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidNetworkError, match="no input layer"):
            export_matlab_code(tmp_path / "a.m", chain(layer("r", "ReLULayer")))

    @pytest.mark.parametrize("name", ["2nd.m", "my-net.m", "end.m", "a" * 64 + ".m", "net.txt"])
    def test_names_that_matlab_does_not_take(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(InvalidNetworkError, match=re.escape(name)):
            export_matlab_code(tmp_path / name, small())

    def test_both_files_or_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(matfile, "save", fail)
        with pytest.raises(OSError, match="disk full"):
            export_matlab_code(tmp_path / "a.m", small())
        assert list(tmp_path.iterdir()) == []


def test_every_class_with_a_rule_has_a_function() -> None:
    rules = {name: rule for name, rule in registered().items() if name.startswith(("nnet.cnn.", "rl."))}
    without = {name.rpartition(".")[2] for name, rule in rules.items() if not isinstance(rule, Output)}
    # A function layer's function is code of the user's, which is in no file.
    assert without - CONSTRUCTORS.keys() <= {"FunctionLayer"}


def test_the_toolbox_and_this_module_know_the_same_functions() -> None:
    source = (octave.toolbox_path() / "networkFromStruct.m").read_text(encoding="utf-8")
    rows = re.findall(r"^ +'(\w+)', +'(\w+)', +\{", source, re.MULTILINE)
    assert len(rows) > 30
    assert [(kind, function) for kind, function in rows if CONSTRUCTORS[kind].function != function] == []


def test_a_network_read_from_a_file(tmp_path: Path) -> None:
    save_portable(tmp_path / "net.mat", small())
    export_matlab_code(tmp_path / "build.m", load_network(tmp_path / "net.mat"))
    weights = matfile.load(tmp_path / "buildWeights.mat")["weights"]
    assert weights["Layer"].ravel().tolist() == ["fc", "fc"]
