"""Inputs in another scale or layout than the network's are found out by its labels, and what was tried is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import matlab_bridge as mb
from keras_prunelab.cli._trials import apply_changes, fit_inputs, readings

SPOILS = {
    "times 255": lambda x: x.astype(np.float32) / 255,
    "with rows and columns exchanged": lambda x: x.swapaxes(0, 1),
    "times 255 and with rows and columns exchanged": lambda x: x.swapaxes(0, 1).astype(np.float32) / 255,
}


@pytest.mark.parametrize("remedy", [None, *SPOILS])
def test_what_was_spoiled_is_undone(
    remedy: str | None, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.asarray(mb.load(workspace)["XValidation"])
    network = mb.load_network(workspace)
    model = network.to_keras()
    right = mb.load_dataset(workspace, network=network)
    spoiled = images if remedy is None else SPOILS[remedy](images)
    names = [str(index) for index in range(10)]
    labels = pd.Categorical.from_codes(right.labels, categories=names)
    mb.save(tmp_path / "data.mat", {"X": spoiled, "Y": labels})
    given = mb.load_dataset(tmp_path / "data.mat", "X", "Y", network=network)
    capsys.readouterr()
    found, code = fit_inputs(model, given)
    shown = " ".join(capsys.readouterr().out.split())
    before, after = (
        float((model.predict(data.inputs.astype(np.float32), verbose=0).argmax(1) == data.labels).mean())
        for data in (given, found)
    )
    if remedy is None:
        assert found is given
        assert not code
        assert before > 0.5
        return
    assert before < 0.5 < after
    assert f"The inputs are taken {remedy}" in shown
    assert "Tried on 300 observations: as read" in shown
    there = {"data": given}
    exec(code, there)  # noqa: S102  # what the report prints
    np.testing.assert_array_equal(there["data"].inputs, found.inputs)


def test_labels_that_fit_nothing_leave_the_inputs_alone(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = mb.load_network(workspace)
    data = mb.load_dataset(workspace, network=network)
    shuffled = mb.Dataset(
        data.inputs, np.random.default_rng(0).permutation(data.labels), data.class_names, data.description
    )
    found, code = fit_inputs(network.to_keras(), shuffled)
    assert found is shuffled
    assert not code
    assert "No other scale or layout of the inputs makes it agree clearly more" in " ".join(
        capsys.readouterr().out.split()
    )


class _Colours(keras.layers.Layer):
    """Names the channel with the largest sum: the answers depend on the order of channels alone."""

    def call(self, inputs: Any) -> Any:
        return keras.ops.sum(inputs, axis=(1, 2))


def test_channels_in_reverse_order_are_found_out(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 300)
    images = rng.integers(0, 100, (300, 4, 4, 3)).astype(np.uint8)
    images[np.arange(300), :, :, labels] += 120
    model = keras.Sequential([keras.Input((4, 4, 3)), _Colours()])
    found, code = fit_inputs(model, mb.Dataset(images[..., ::-1], labels, ("r", "g", "b"), ""))
    assert "The inputs are taken with channels in reverse order (BGR)" in " ".join(capsys.readouterr().out.split())
    assert "x[..., ::-1]" in code
    np.testing.assert_array_equal(found.inputs, images)


@pytest.mark.parametrize("observations", [3, 400])
def test_luck_is_no_reason_to_change_inputs(observations: int, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(6)
    images = rng.integers(0, 255, (observations, 4, 4, 3)).astype(np.uint8)
    labels = np.arange(observations) % 2
    data = mb.Dataset(images, labels, ("a", "b"), "")
    dense = keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), dense])
    dense.set_weights([np.random.default_rng(0).normal(size=(48, 2)), np.zeros(2)])
    answers = [model.predict(apply_changes(images, its), verbose=0).argmax(1) == labels for its in readings(images)]
    assert max(each.mean() for each in answers[1:]) > answers[0].mean()  # by luck
    assert fit_inputs(model, data) == (data, "")
    assert "they are taken as they are" in " ".join(capsys.readouterr().out.split())


RANGES = {"0 to 1": (0.0, 1.0), "-1 to 1": (-1.0, 1.0), "0 to 255": (0.0, 255.0)}


@pytest.mark.parametrize("trained", RANGES)
@pytest.mark.parametrize("given", RANGES)
def test_every_scale_is_undone(trained: str, given: str) -> None:
    """A network that tells bright from dark knows where the middle of its own range is."""
    rng = np.random.default_rng(8)
    brightness = rng.uniform(0.1, 0.9, (300, 1))
    shares = np.clip(brightness + rng.uniform(-0.1, 0.1, (300, 20)), 0, 1)
    shares[0] = np.linspace(0, 1, 20)
    low, high = RANGES[trained]
    dense = keras.layers.Dense(1, "sigmoid")
    model = keras.Sequential([keras.Input((20,)), dense])
    dense.set_weights([np.full((20, 1), 1 / (high - low)), np.array([-20 * (low + high) / 2 / (high - low)])])
    start, end = RANGES[given]
    inputs = (shares * (end - start) + start).astype(np.float32)
    data = mb.Dataset(inputs, (shares.mean(axis=1) > 0.5).astype(int), ("dark", "bright"), "")
    found, code = fit_inputs(model, data)
    assert bool(code) == (trained != given)
    np.testing.assert_allclose(found.inputs, shares * (high - low) + low, atol=1e-4 * (high - low))
