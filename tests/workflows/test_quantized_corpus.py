"""Real networks lose less than a point in whole numbers at the sparsity that is chosen, where they can have them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_prunelab as kpl
import matlab_bridge as mb

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not importlib.util.find_spec("ai_edge_litert"), reason="it runs LiteRT files"),
]
MNIST = "transafeailab__nnv/examples__artifact__CAV2020_ImageStar__MNIST_NETS__"
LEVELS = np.linspace(0, 0.95, 20)


def digits(corpus: Path) -> tuple[Any, Any, Any, Any]:
    """A network of MATLAB's and 2,000 images of digits: one half calibrates, the other measures."""
    data = mb.load(corpus / f"{MNIST}Medium__images.mat")
    pictures = np.moveaxis(data["IM_data"], 2, 0)[..., np.newaxis].astype("float32")
    labels = data["IM_labels"].ravel().astype(int) - 1
    model = mb.load_network(corpus / f"{MNIST}Architecture__Medium_ConvNet.mat").to_keras()
    return model, (pictures[1::2], labels[1::2]), pictures[::2], "int8"


def walks(corpus: Path) -> tuple[Any, Any, Any, Any]:
    """An LSTM on windows of 3.4 seconds; recordings for training calibrate."""
    folder = corpus / "kooste2018__Monty_Matlab_SS2021"
    network = mb.load_network(folder / "Model.mat")
    test, train = (_windows(folder, which) for which in ("TestData__*.mat", "TrainingData__Group4_Walk1*.mat"))
    names = list(network.class_names)
    labels = np.array([names.index(name) for name in test[1]])
    return network.to_keras(), (test[0], labels), train[0], "float16"


def _windows(folder: Path, pattern: str) -> tuple[np.ndarray, list[str]]:
    windows, labels = [], []
    for path in sorted(folder.glob(pattern)):
        walk = mb.load(path)
        time = walk["time"].ravel()
        grid = np.arange(time[0], time[-1], 1 / 50)
        signal = np.stack([np.interp(grid, time, channel) for channel in walk["data"]], axis=-1)
        starts = range(0, len(signal) - 170 + 1, 85)
        windows += [signal[start : start + 170] for start in starts]
        labels += ["Normal walk" if path.stem.endswith("_N") else "Silly walk"] * len(starts)
    return np.array(windows, dtype="float32"), labels


@pytest.mark.parametrize("network", [digits, walks], ids=["Medium_ConvNet", "kooste LSTM"])
def test_files_are_within_a_point_of_their_network_at_the_chosen_sparsity(network: Any, corpus: Path) -> None:
    model, data, calibration, numbers = network(corpus)
    choice = kpl.sweep(model, data, LEVELS, convention="matlab").choose(max_drop=0.01)
    options: dict[str, Any] = {"convention": "matlab", "calibration": calibration}
    if numbers != "int8":
        with pytest.raises(kpl.InvalidModelError, match=r"Not in int8: it has a recurrent layer of 170 steps"):
            kpl.sweep(model, data, [choice.sparsity_target], metrics=["int8_accuracy"], **options)
    sizes = [
        "litert_bytes",
        *(["flash_bytes"] if numbers == "int8" and importlib.util.find_spec("tflite_micro") else []),
    ]
    metrics = ["accuracy", f"{numbers}_accuracy", *sizes]
    result = kpl.sweep(model, data, [0.0, choice.sparsity_target], metrics=metrics, **options)
    row = result.table.iloc[-1]
    assert choice.sparsity > 0.1
    assert row["accuracy"] == choice.accuracy
    assert abs(row[f"{numbers}_accuracy"] - row["accuracy"]) <= 0.01
    assert "files_left_out" not in result.metadata
