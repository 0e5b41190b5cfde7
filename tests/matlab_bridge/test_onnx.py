"""ONNX files, run by onnxruntime and compared with the Keras model and with MATLAB's layers written in NumPy."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl
from scipy.special import erf

from matlab_bridge import (
    Connection,
    InvalidNetworkError,
    Layer,
    MissingPackageError,
    Network,
    UnsupportedLayerError,
    UntrainedNetworkError,
    export_matlab_code,
    export_onnx,
)

from . import numpy_layers
from .layer_tools import assert_close, chain, feature_input, image_input, layer, outputs, sequence_input
from .networks_by_hand import branching, row, single
from .test_matlab_code import residual

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(path: Path, *inputs: np.ndarray) -> list[np.ndarray]:
    """What onnxruntime computes; images and sequences are given channels last."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = [np.moveaxis(each, -1, 1) for each in inputs]
    names = [each.name for each in session.get_inputs()]
    results = session.run(None, dict(zip(names, given, strict=True)))
    return [np.moveaxis(each, 1, -1) for each in results]


def exported(network: Network | keras.Model, folder: Path) -> Path:
    export_onnx(folder / "net.onnx", network)
    return folder / "net.onnx"


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    return {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(str(path)).graph.initializer}


def test_a_keras_model_with_branches(tmp_path: Path) -> None:
    model = residual()
    path = exported(model, tmp_path)
    images = np.random.default_rng(7).uniform(0, 100, size=(4, 12, 10, 2)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    (actual,) = run(path, images)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
    assert np.ptp(expected) > 0.1
    zeros = sum(int(np.sum(keras.ops.convert_to_numpy(each) == 0)) for each in model.trainable_variables)
    learnables = [array for name, array in arrays_of(path).items() if not name.startswith("image.")]
    assert zeros > 100
    assert sum(int(np.sum(array == 0)) for array in learnables) == zeros


def test_names_input_layout_and_classes(tmp_path: Path) -> None:
    model = onnx.load(str(exported(branching(), tmp_path)))
    dimensions = [each.dim_param or each.dim_value for each in model.graph.input[0].type.tensor_type.shape.dim]
    assert (model.graph.input[0].name, dimensions) == ("in", ["N", 2, 8, 6])
    names = [node.name for node in model.graph.node]
    assert [name for name in names if "." not in name] == ["conv", "norm", "relu", "add", "pool", "fc", "softmax"]
    assert {"conv.Weights", "conv.Bias"} < {each.name for each in model.graph.initializer}
    assert model.metadata_props[0].value == "cat\ndog\nfox"
    assert [each.name for each in model.graph.output] == ["softmax"]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidNetworkError, match=r"ends in \.onnx, but got .*net\.mat"):
        export_onnx(tmp_path / "net.mat", branching())
    assert not list(tmp_path.iterdir())


def test_a_network_of_matlab(tmp_path: Path) -> None:
    network, image = branching(), single(0, 8, 6, 2)
    (actual,) = run(exported(network, tmp_path), image[None])
    assert_close(actual[0], numpy_layers.forward(network, image))


WINDOW = {"Stride": row(2, 1), "PaddingMode": "manual", "PaddingSize": row(1, 0, 2, 1)}
CONVOLUTION = {**WINDOW, "FilterSize": row(3, 2), "NumFilters": row(4), "DilationFactor": row(1, 2)}
TRANSPOSED = {"FilterSize": row(3, 4), "NumFilters": row(3), "Stride": row(2, 3), "CroppingSize": row(1, 0, 0, 2)}
GROUPED = {"FilterSize": row(3, 2), "NumGroups": row(2), "NumFiltersPerGroup": row(3), "Stride": row(1, 1)}
LAYERS = [
    ("Convolution2DLayer", CONVOLUTION, {"Weights": (3, 2, 4, 4), "Bias": (1, 1, 4)}),
    ("Convolution2DLayer", {**CONVOLUTION, "PaddingMode": "same"}, {"Weights": (3, 2, 4, 4), "Bias": (1, 1, 4)}),
    ("Convolution2DLayer", {**CONVOLUTION, "NumFilters": row(3, 3)}, {"Weights": (3, 2, 2, 6), "Bias": (1, 1, 6)}),
    (
        "GroupedConvolution2DLayer",
        {**GROUPED, "DilationFactor": row(1, 1), "PaddingMode": "same"},
        {"Weights": (3, 2, 2, 3, 2), "Bias": (1, 1, 3, 2)},
    ),
    ("TransposedConvolution2DLayer", TRANSPOSED, {"Weights": (3, 4, 3, 4), "Bias": (1, 1, 3)}),
    ("MaxPooling2DLayer", {**WINDOW, "PoolSize": row(3, 3)}, {}),
    ("MaxPooling2DLayer", {**WINDOW, "PoolSize": row(2, 3), "PaddingMode": "same"}, {}),
    ("AveragePooling2DLayer", {**WINDOW, "PoolSize": row(3, 3)}, {}),
    ("AveragePooling2DLayer", {**WINDOW, "PoolSize": row(2, 3), "PaddingMode": "same"}, {}),
    ("CrossChannelNormalizationLayer", {name: row(n) for name, n in
     {"WindowChannelSize": 3, "Alpha": 0.5, "Beta": 0.75, "K": 2}.items()}, {}),
    ("FullyConnectedLayer", {"OutputSize": row(1, 1, 3)}, {"Weights": (9, 7, 4, 3), "Bias": (1, 1, 3)}),
    ("FullyConnectedLayer", {"OutputSize": row(1)}, {"Weights": (1, 252), "Bias": (1, 1)}),
    ("LeakyReLULayer", {"Scale": row(0.25)}, {}),
    ("ScalingLayer", {"Scale": single(8, 9, 1, 4), "Offset": single(9, 1, 7)}, {}),
    ("SoftmaxLayer", {}, {}),
    ("DropoutLayer", {"Probability": row(0.5)}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "settings", "shapes"), LAYERS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_layer_computes_what_numpy_does(
    kind: str, settings: dict[str, Any], shapes: dict[str, Any], tmp_path: Path
) -> None:
    learnables = {name: single(seed, *shape) for seed, (name, shape) in enumerate(shapes.items())}
    network = chain(image_input((9, 7, 4)), layer("l", kind, settings, learnables))
    images = single(9, 2, 9, 7, 4)
    (actual,) = run(exported(network, tmp_path), images)
    assert_close(actual, np.stack([numpy_layers.forward(network, each.astype(float)) for each in images]))


@pytest.mark.parametrize(
    ("kind", "settings", "function"),
    [
        ("ELULayer", {"Alpha": row(2)}, lambda x: np.where(x > 0, x, 2 * np.expm1(x))),
        ("TanhLayer", {}, np.tanh),
        ("ScalingLayer", {"Scale": row(0.5, -2, 4, 1), "Bias": row(1)}, lambda x: x * [0.5, -2, 4, 1] + 1),
        ("ScalingLayer", {"Offset": row(0.5, -2, 4, 1).T}, lambda x: x + np.array([0.5, -2, 4, 1])),
        ("SigmoidLayer", {}, lambda x: 1 / (1 + np.exp(-x))),
        ("SwishLayer", {}, lambda x: x / (1 + np.exp(-x))),
        ("SoftplusLayer", {}, lambda x: np.log1p(np.exp(x))),
        ("ClippedReLULayer", {"Ceiling": row(0.5)}, lambda x: np.clip(x, 0, 0.5)),
        ("GELULayer", {}, lambda x: x / 2 * (1 + erf(x / np.sqrt(2)))),
        (
            "GELULayer",
            {"Approximation": "tanh"},
            lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        ),
        ("IdentityLayer", {}, lambda x: x),
    ],
)
def test_activations(kind: str, settings: dict[str, Any], function: Any, tmp_path: Path) -> None:
    x = single(1, 5, 4)
    (actual,) = run(exported(chain(feature_input(4), layer("a", kind, settings)), tmp_path), x)
    assert_close(actual, function(x.astype(float)))


@pytest.mark.parametrize("shape", [(5, 6, 3), (7, 3)])
def test_arithmetic_with_constants(shape: tuple[int, ...], tmp_path: Path) -> None:
    inputs = keras.Input(shape)
    positive = kl.ReLU()(inputs)
    model = keras.Model(inputs, (positive + 0.25 * kl.LeakyReLU(0.5)(inputs)) * np.float32([1, 2, 3]) - 1.0)
    x = single(1, 2, *shape)
    (actual,) = run(exported(model, tmp_path), x)
    expected = np.maximum(x, 0) + 0.25 * np.where(x > 0, x, 0.5 * x)
    assert_close(actual, expected * [1, 2, 3] - 1)


def test_global_pooling_joined_with_features(tmp_path: Path) -> None:
    """Two inputs; vectors count as images of 1x1 pixels, and so does the output of a global pooling."""
    features = Layer("features", feature_input(4).class_name, {"InputSize": row(4)})
    layers = (
        image_input((5, 6, 4)),
        features,
        layer("mean", "GlobalAveragePooling2DLayer"),
        layer("most", "GlobalMaxPooling2DLayer"),
        layer("join", "DepthConcatenationLayer", {"NumInputs": row(3)}),
    )
    joins = [Connection(source, "join", "", f"in{n}") for n, source in enumerate(("mean", "features", "most"), start=1)]
    network = Network(layers, (Connection("input", "mean"), Connection("input", "most"), *joins))
    images, x = single(1, 2, 5, 6, 4), single(2, 2, 4)
    (actual,) = run(exported(network, tmp_path), images, x)
    assert_close(actual, np.concatenate([images.mean((1, 2)), x, images.max((1, 2))], axis=1))


@pytest.mark.parametrize("shape", [(1, 1, 3), (6, 5, 3)])
def test_normalization_is_part_of_the_graph(shape: tuple[int, ...], tmp_path: Path) -> None:
    mean, deviation = single(3, *shape), np.abs(single(4, *shape)) + 1
    statistics = {"Normalization": "zscore", "Mean": mean, "StandardDeviation": deviation}
    network = chain(image_input((6, 5, 3), **statistics), layer("r", "ReLULayer"))
    images = single(5, 2, 6, 5, 3)
    (actual,) = run(exported(network, tmp_path), images)
    assert_close(actual, np.maximum((images.astype(float) - mean) / deviation, 0))
    assert_close(actual, outputs(network, images))


def test_all_layers_without_an_operator_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    attention = layer("l", "SelfAttentionLayer")
    network = chain(sequence_input(3), Layer("a", "my.ReLULayer"), attention, layer("w", "WordEmbeddingLayer"))
    with pytest.raises(UnsupportedLayerError) as caught:
        export_onnx(tmp_path / "net.onnx", network)
    assert str(caught.value).startswith("3 of 4 layers cannot be written as ONNX:")
    assert "'l' (nnet.cnn.layer.SelfAttentionLayer)" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_form_of_a_layer_without_an_operator(tmp_path: Path) -> None:
    pooling = layer("p", "MaxPooling2DLayer", {"PoolSize": row(2), "HasUnpoolingOutputs": row(1)})
    with pytest.raises(UnsupportedLayerError, match=r"'p' .*indices of the maxima"):
        export_onnx(tmp_path / "net.onnx", chain(image_input((4, 4, 1)), pooling))


def test_networks_that_are_not_whole(tmp_path: Path) -> None:
    fc = layer("fc", "FullyConnectedLayer", {"OutputSize": row(2)}, {"Weights": np.zeros((0, 0))})
    with pytest.raises(UntrainedNetworkError, match="'fc'"):
        export_onnx(tmp_path / "net.onnx", chain(feature_input(4), fc))
    with pytest.raises(InvalidNetworkError, match="no input layer"):
        export_onnx(tmp_path / "net.onnx", chain(layer("r", "ReLULayer")))


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "onnx":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"pip install 'keras-prunelab\[onnx\]'"):
        export_onnx(tmp_path / "net.onnx", branching())


class TestAgainstKeras:
    """What Keras itself computes, of layers with random weights; biases of every gate, too."""

    @staticmethod
    def assert_same(tmp_path: Path, shape: tuple[int | None, ...], *layers: keras.layers.Layer) -> None:
        model = keras.Sequential([keras.Input(shape), *map(_copied, layers)])
        for seed, variable in enumerate(model.variables):
            values = 0.3 * single(seed, *variable.shape)
            variable.assign(np.abs(values) + 0.1 if variable.path.endswith("variance") else values)
        path = exported(model, tmp_path)
        for length in (5, 9) if None in shape else (0,):
            x = single(99, 2, *(length if size is None else size for size in shape))
            (actual,) = run(path, x)
            assert_close(actual, np.asarray(model(x, training=False)))

    @pytest.mark.parametrize("sequences", [True, False])
    @pytest.mark.parametrize(
        "make",
        [
            lambda sequences: kl.LSTM(4, return_sequences=sequences),
            lambda sequences: kl.LSTM(4, return_sequences=sequences, activation="softsign"),
            lambda sequences: kl.Bidirectional(kl.LSTM(4, return_sequences=sequences, activation="relu")),
            lambda sequences: kl.GRU(4, return_sequences=sequences),
            lambda sequences: kl.GRU(4, return_sequences=sequences, reset_after=False, use_bias=False),
        ],
        ids=["LSTM", "another activation", "both ways", "GRU", "reset before"],
    )
    def test_recurrent_layers(self, make: Any, sequences: bool, tmp_path: Path) -> None:
        self.assert_same(tmp_path, (None, 3), make(sequences), kl.Dense(2))

    @pytest.mark.parametrize(
        "layers",
        [
            [kl.Conv1D(4, 3)],
            [kl.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"), kl.Conv1D(3, 2, strides=2)],
            [kl.Conv1D(4, 3, padding="same", strides=2)],
            [kl.Conv1DTranspose(4, 3, strides=2)],
            [kl.MaxPooling1D(3, 2), kl.LSTM(3)],
            [kl.MaxPooling1D(3, 2, padding="same")],
            [kl.AveragePooling1D(2)],
            [kl.GlobalAveragePooling1D(), kl.Dense(2, activation="softmax")],
            [kl.GlobalMaxPooling1D()],
            [kl.Dense(4, activation="gelu"), kl.LayerNormalization()],
            [kl.BatchNormalization(), kl.Activation("silu")],
            [kl.GroupNormalization(3), kl.SpatialDropout1D(0.5)],
        ],
    )
    def test_layers_of_sequences(self, layers: list[keras.layers.Layer], tmp_path: Path) -> None:
        self.assert_same(tmp_path, (None, 6), *layers)

    @pytest.mark.parametrize(
        "layers",
        [
            [kl.Conv3D(4, (3, 2, 1), padding="same"), kl.Flatten(), kl.Dense(3)],
            [kl.Conv3D(4, 2, strides=(1, 2, 1)), kl.GlobalAveragePooling3D()],
            [kl.Conv3DTranspose(3, 2, strides=2)],
            [kl.MaxPooling3D((2, 1, 2)), kl.BatchNormalization(), kl.GlobalMaxPooling3D(), kl.Dense(2)],
            [kl.AveragePooling3D(2, 1)],
            [kl.LayerNormalization()],
            [kl.GroupNormalization(2)],
        ],
    )
    def test_layers_of_volumes(self, layers: list[keras.layers.Layer], tmp_path: Path) -> None:
        self.assert_same(tmp_path, (6, 5, 4, 2), *layers)

    def test_normalization_of_vectors_and_images(self, tmp_path: Path) -> None:
        self.assert_same(tmp_path, (5,), kl.LayerNormalization())
        self.assert_same(tmp_path, (6, 5, 4), kl.LayerNormalization(), kl.GroupNormalization(2))

    def test_branches_of_sequences(self, tmp_path: Path) -> None:
        sequences = keras.Input((None, 4))
        gate = kl.Dense(4, activation="sigmoid")(sequences)
        product = kl.Multiply()([sequences, gate, gate])
        model = keras.Model(sequences, kl.GRU(2)(kl.Add()([product, kl.LSTM(4, return_sequences=True)(sequences)])))
        x = single(1, 2, 7, 4)
        (actual,) = run(exported(model, tmp_path), x)
        assert_close(actual, np.asarray(model(x)))


def _copied(made: keras.layers.Layer) -> keras.layers.Layer:
    """A layer of its own for every test."""
    return type(made).from_config(made.get_config())


@pytest.mark.parametrize("kind", ["LSTMLayer", "BiLSTMLayer", "GRULayer"])
def test_states_and_activations_that_a_layer_was_saved_with(kind: str, tmp_path: Path) -> None:
    ways, gates = (2 if kind == "BiLSTMLayer" else 1), (3 if kind == "GRULayer" else 4)
    learnables = {
        "InputWeights": single(1, ways * gates * 4, 3),
        "RecurrentWeights": single(2, ways * gates * 4, 4),
        "Bias": single(3, ways * gates * 4, 1),
    }
    state = {"HiddenState": single(4, ways * 4, 1)} | ({} if gates == 3 else {"CellState": single(5, ways * 4, 1)})
    settings = {"NumHiddenUnits": row(4), "OutputMode": "sequence", "GateActivationFunction": "hard-sigmoid"}
    network, x = chain(sequence_input(3), layer("l", kind, settings, learnables, state)), single(6, 2, 5, 3)
    (actual,) = run(exported(network, tmp_path), x)
    assert_close(actual, outputs(network, x))


def test_a_model_of_a_file_with_a_flatten(tmp_path: Path) -> None:
    weights = {"Weights": single(1, 3, 24), "Bias": single(2, 3, 1)}
    dense = layer("fc", "FullyConnectedLayer", {"OutputSize": row(3)}, weights)
    network = chain(image_input((4, 3, 2)), layer("flat", "FlattenLayer"), dense)
    network.to_keras().save(tmp_path / "net.keras")
    model, images = keras.saving.load_model(tmp_path / "net.keras"), single(3, 2, 4, 3, 2)
    (actual,) = run(exported(model, tmp_path), images)
    assert_close(actual, outputs(network, images))
    flat = images.transpose(0, 3, 2, 1).reshape(2, -1)  # column-major, as MATLAB's x(:)
    assert_close(actual, flat @ weights["Weights"].T + weights["Bias"].ravel())
    export_matlab_code(tmp_path / "net.m", model, tmp_path / "net.mat")
    assert "flattenLayer" in (tmp_path / "net.m").read_text()
