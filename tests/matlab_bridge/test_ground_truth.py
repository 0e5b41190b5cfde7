"""Converted networks of real MATLAB files give the results that their owners' data says they must."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import matlab_bridge as mb
from matlab_bridge.network import series

from .numpy_layers import forward

pytestmark = pytest.mark.corpus

NNV = "transafeailab__nnv"
MNIST = "examples__artifact__CAV2020_ImageStar__MNIST_NETS__"


@pytest.mark.parametrize(
    ("network", "images", "correct"),
    [
        (f"{MNIST}Architecture__Small_ConvNet.mat", f"{MNIST}Small__images.mat", 1976),
        (f"{MNIST}Architecture__Medium_ConvNet.mat", f"{MNIST}Medium__images.mat", 1999),
        (f"{MNIST}Architecture__Large_ConvNet.mat", f"{MNIST}Large__images.mat", 2000),
        ("examples__nn__cnn__TEST_NET__TEST_NET.mat", "examples__nn__cnn__TEST_NET__test_images.mat", 1986),
    ],
)
def test_digits_are_told_apart_as_in_matlab(corpus: Path, network: str, images: str, correct: int) -> None:
    data = mb.load(corpus / NNV / images)
    pictures = np.moveaxis(data["IM_data"], 2, 0)[..., np.newaxis].astype("float32")
    scores = mb.load_network(corpus / NNV / network).to_keras().predict(pictures, verbose=0)
    # MATLAB counts the classes from 1.
    assert np.sum(scores.argmax(axis=-1) + 1 == data["IM_labels"].ravel()) == correct
    assert len(pictures) == 2000


def test_a_network_that_matlab_imported_gives_the_outputs_of_the_original(corpus: Path) -> None:
    folder = corpus / "KantikaAscendas__Workshop-EmbeddedAI-with-MBD"
    with np.load(folder / "TF_model_reference.npz") as reference:
        inputs, outputs = reference["x"], reference["y"]
    model = mb.load_network(folder / "Part_2_AI_import__models__TF_model.mat").to_keras()
    np.testing.assert_allclose(model.predict(inputs, verbose=0), outputs, rtol=0, atol=1e-6)


def test_walks_are_told_apart_by_an_lstm(corpus: Path) -> None:
    rate, length = 50, 170  # 3.4 seconds
    folder = corpus / "kooste2018__Monty_Matlab_SS2021"
    windows, labels = [], []
    for path in sorted(folder.glob("TestData__*.mat")):
        walk = mb.load(path)
        time = walk["time"].ravel()
        grid = np.arange(time[0], time[-1], 1 / rate)
        signal = np.stack([np.interp(grid, time, channel) for channel in walk["data"]], axis=-1)
        starts = range(0, len(signal) - length + 1, length // 2)
        windows += [signal[start : start + length] for start in starts]
        labels += ["Normal walk" if path.stem.endswith("_N") else "Silly walk"] * len(starts)
    network = mb.load_network(folder / "Model.mat")
    scores = network.to_keras().predict(np.array(windows, dtype="float32"), verbose=0)
    predicted = np.array(network.class_names)[scores.argmax(axis=-1)]
    assert len(labels) == 241
    assert np.sum(predicted == np.array(labels)) == 237


PROJECTED = "Part_1_AI_modeling__models__DLmodel_ref_stackedLSTM_Projected.mat"


@pytest.mark.parametrize(
    ("file", "length"),
    [
        ("AgoroAkorede__LSTM/gru_ph_model.mat", 20),
        ("AgoroAkorede__LSTM/lstm_ph_model.mat", 20),
        ("DuRen1126__ECG_DeepClassfication/net.mat", 9),
        ("Elonisme__EAPSystem/LSTMNet.mat", 12),
        ("Ennio28__Detection-and-prediction-of-epilepsy/lstm.mat", 7),
        (f"KantikaAscendas__Workshop-EmbeddedAI-with-MBD/{PROJECTED}", 15),
        ("St3699__ML-for-JV-curve-prediction/LSTM.mat", 11),
        ("St3699__ML-for-JV-curve-prediction/biLSTM.mat", 11),
        ("Suhani92__Defuse-Simulink/net.mat", 14),
    ],
)
def test_recurrent_networks_give_what_the_equations_say(corpus: Path, file: str, length: int) -> None:
    saved = mb.load_network(corpus / file)
    # Without the scores, which are all 1 where a network has one class.
    layers = tuple(layer for layer in saved.layers if layer.kind not in ("SoftmaxLayer", "ClassificationOutputLayer"))
    network = mb.Network(layers, series(layer.name for layer in layers))
    settings = network.layers[0].settings
    sequences = np.random.default_rng(0).normal(size=(2, length, int(settings["InputSize"].item())))
    if "Min" in (settings["Normalization"] if isinstance(settings.get("Normalization"), dict) else {}):
        # One of the features ends at 1e-37: larger numbers would overflow, and backends take smaller ones for zero.
        low, high = (np.ravel(settings["Normalization"][end]).astype(float) for end in ("Min", "Max"))
        sequences = low + (high - low) * np.random.default_rng(0).uniform(0.2, 1, size=sequences.shape)
    sequences = sequences.astype("float32")
    expected = np.array([forward(network, sequence) for sequence in sequences])
    actual = network.to_keras().predict(sequences, verbose=0)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))
