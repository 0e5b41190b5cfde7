"""Shallow networks, MatConvNet's and plain weights in real MATLAB files, against arithmetic and recorded results."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import matlab_bridge as mb
from matlab_bridge.matfile import MatlabObject
from matlab_bridge.read._walk import follow

from . import matconvnet_by_hand, shallow_by_hand
from .test_read_corpus import catalogue
from .test_save_network_corpus import halved, pruned_in_keras

pytestmark = pytest.mark.corpus

NNV = "transafeailab__nnv/examples__"
ARTIFACT = f"{NNV}artifact__"
DAGNN = "devkicks__mnist_dagnn"


def properties_of(path: Path) -> dict[str, Any]:
    """Of the shallow network that `load_network` loads without a name."""
    source = mb.load_network(path).source
    assert source is not None
    found = follow(mb.load(path), source.variable)
    assert isinstance(found, MatlabObject)
    return found.properties


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Models in double precision: controllers of ten layers lose three digits of single precision."""
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="Keras keeps to double precision on TensorFlow only")
@pytest.mark.parametrize("entry", catalogue({"shallow-network"}))
def test_a_shallow_network_gives_what_matlab_gives(corpus: Path, entry: dict[str, Any]) -> None:
    path = corpus / entry["file"]
    net = properties_of(path)
    network = mb.load_network(path)
    ranges = net["inputs"].ravel()[0]["range"]
    low, high = ranges[:, :1], ranges[:, 1:]
    steps = (5, 12) if network.layers[0].kind == "SequenceInputLayer" else (40,)
    columns = np.random.default_rng(0).uniform(size=(len(ranges), *steps))
    inputs = (low + (high - low) * columns.reshape(len(ranges), -1)).reshape(columns.shape)
    (expected,) = shallow_by_hand.simulate(net, inputs)
    with double_precision():
        outputs = keras.ops.convert_to_numpy(network.to_keras()(np.moveaxis(inputs, 0, -1), training=False))
    scale = max(1, np.abs(expected).max())  # Keras keeps the constants of a Rescaling in single precision
    np.testing.assert_allclose(np.moveaxis(outputs, -1, 0), expected, rtol=0, atol=1e-5 * scale)


def test_a_fitted_function_follows_the_targets_beside_it(corpus: Path) -> None:
    path = corpus / f"{NNV}manual__Engine_Toy_Tansig_net.mat"
    file, model = mb.load(path), mb.load_network(path).to_keras()
    outputs, targets = keras.ops.convert_to_numpy(model(file["inputs"].T.astype("f4"))).ravel(), file["output"].ravel()
    # The residue of a fit that was trained on these targets is a small share of their variance.
    assert np.var(outputs - targets) < 0.02 * np.var(targets)


@pytest.mark.parametrize("entry", catalogue({"matconvnet-simplenn"}))
def test_a_denoiser_gives_what_matconvnet_gives(corpus: Path, entry: dict[str, Any]) -> None:
    path = corpus / entry["file"]
    image = np.random.default_rng(0).uniform(size=(9, 7, 1)).astype(np.float32)
    expected = matconvnet_by_hand.simplenn(mb.load(path)["net"], image.astype(float))
    model = mb.load_network(path).to_keras()
    assert model.input_shape == (None, None, None, 1)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(image[None]))[0], expected, rtol=0, atol=1e-5)


def dagnn_blocks(file: Any) -> Iterator[dict[str, Any]]:
    """The layers of a chain, as simplenn would keep them."""
    values = {each["name"]: each["value"] for each in file["params"].ravel()}
    for layer in file["layers"].ravel():
        block = dict(layer["block"])
        kind = {"Conv": "conv", "Pooling": "pool", "ReLU": "relu", "Loss": "softmaxloss"}[layer["type"].split(".")[1]]
        weights = np.empty(np.size(layer["params"]), dtype=object)
        weights[:] = [values[name] for name in np.ravel(layer["params"])]
        yield {**block, "type": kind, "weights": weights, "pool": block.get("poolSize", 1)}


@pytest.mark.parametrize("file", ["new_net.mat", "train_init.mat"])
def test_a_dagnn_gives_what_matconvnet_gives(corpus: Path, file: str) -> None:
    path = corpus / DAGNN / file
    blocks = np.empty(8, dtype=object)
    blocks[:] = list(dagnn_blocks(mb.load(path)))
    image = np.random.default_rng(0).normal(size=(28, 28, 1)).astype(np.float32)
    expected = matconvnet_by_hand.simplenn({"layers": blocks}, image.astype(float))
    model = mb.load_network(path).to_keras()
    assert (model.input_shape, model.output_shape) == ((None, 28, 28, 1), (None, 10))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(image[None]))[0], expected.ravel(), rtol=0, atol=1e-5)


def test_a_dagnn_knows_the_digits_that_it_was_trained_on(corpus: Path) -> None:
    images = mb.load(corpus / DAGNN / "imdb.mat")["images"]
    labels = images["labels"].ravel()
    some = np.arange(0, labels.size, 20)
    data = np.moveaxis(images["data"][..., some], -1, 0)
    model = mb.load_network(corpus / DAGNN / "new_net.mat").to_keras()
    predicted = keras.ops.convert_to_numpy(model(data, training=False)).argmax(axis=1) + 1
    assert np.mean(predicted == labels[some]) > 0.97


def test_thetas_predict_what_the_course_work_recorded(corpus: Path) -> None:
    path = corpus / "gkeesh7__Heart_Disease_Classifier" / "ex4weights.mat"
    file = mb.load(path)
    scaled, one = file["S"], np.ones((190, 1))
    hidden = 1 / (1 + np.exp(-np.hstack([one, scaled]) @ file["Theta1"].T))
    expected = 1 / (1 + np.exp(-np.hstack([one, hidden]) @ file["Theta2"].T))
    outputs = keras.ops.convert_to_numpy(mb.load_network(path).to_keras()(scaled.astype("f4")))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(outputs.argmax(axis=1) + 1, file["pred"].ravel())


RECOGNISED = {
    f"{ARTIFACT}ARCH2019__ACC__controller_3_20.mat": "*",
    f"{ARTIFACT}ARCH2019__ACC__controller_3_20_tanh.mat": "network",
    f"{ARTIFACT}ARCH2019__ACC__controller_5_20.mat": "network",
    f"{ARTIFACT}FM2019__MNIST__mnist_1_140__mnist_model.mat": "mnist_model",
    f"{ARTIFACT}FM2019__MNIST__mnist_1_140__result.mat": "mnist_model",
    f"{ARTIFACT}FM2019__MNIST__mnist_2_250__mnist5x50.mat": "mnist_5x50",
}
FUNCTIONS = {"relu": lambda n: np.maximum(n, 0), "tanh": np.tanh, "linear": lambda n: n}


@pytest.mark.parametrize("file", RECOGNISED)
def test_cells_of_weights_with_activations(corpus: Path, file: str) -> None:
    path = corpus / file
    network = mb.load_network(path)
    assert network.source is not None
    assert network.source.variable == RECOGNISED[file]
    variables = mb.load(path)
    fields = variables if RECOGNISED[file] == "*" else variables[RECOGNISED[file]]
    inputs = np.random.default_rng(0).normal(size=(20, fields["W"].ravel()[0].shape[1])).astype(np.float32)
    expected = inputs.astype(float)
    for weights, bias, name in zip(fields["W"].ravel(), fields["b"].ravel(), fields["activation_fcns"], strict=True):
        expected = FUNCTIONS[name.strip()](expected @ weights.T + bias.reshape(1, -1))
    found = keras.ops.convert_to_numpy(network.to_keras()(inputs))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", ["N_2_0", "N_2_2", "N_4_0", "N_4_2", "N_4_4", "N_8_0", "small_RNN"])
def test_cells_of_weights_alone_need_a_description_and_go_back_by_it(corpus: Path, tmp_path: Path, name: str) -> None:
    path = corpus / f"{ARTIFACT}HSCC2023__{name}__dense.mat"
    before = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(mb.NetworkNotFoundError, match="need a description"):
        mb.load_network(path)
    file = mb.load(path)
    one = file["W"].dtype != object
    matrices, biases = ([file["W"]], [file["b"]]) if one else (file["W"].ravel(), file["b"].ravel())
    paths = [("W", "b")] if one else [(f"W{{{k}}}", f"b{{{k}}}") for k in range(1, len(matrices) + 1)]
    describe = [mb.WeightLayer(*each, "relu") for each in paths]
    network = mb.load_network(path, describe=describe)
    inputs = np.random.default_rng(0).normal(size=(20, matrices[0].shape[1])).astype(np.float32)
    expected = inputs.astype(float)
    for weights, bias in zip(matrices, biases, strict=True):
        expected = np.maximum(expected @ weights.T.astype(float) + bias.reshape(1, -1), 0)
    found = keras.ops.convert_to_numpy(network.to_keras()(inputs))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))

    mb.save_network(tmp_path / "pruned.mat", pruned_in_keras(network), like=path)
    written = mb.load_network(tmp_path / "pruned.mat", describe=describe)
    for layer in network.layers:
        for parameter, array in layer.learnables.items():
            np.testing.assert_array_equal(written[layer.name].learnables[parameter], halved(array))
    assert hashlib.sha256(path.read_bytes()).digest() == before
