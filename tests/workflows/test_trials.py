"""Inputs in another scale or layout than the network's are found out by its labels, and what was tried is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import matlab_bridge as mb
from keras_prunelab.cli._trials import fitting

SPOILS = {
    "divided by 255": lambda x: x.astype(np.float32) * 255,
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
    found, code = fitting(model, given)
    shown = " ".join(capsys.readouterr().out.split())
    before, after = (
        float((model.predict(data.inputs.astype(np.float32), verbose=0).argmax(1) == data.labels).mean())
        for data in (given, found)
    )
    if not code:  # the network copes with this, and the labels say so
        assert found is given
        assert before > 0.5
        return
    assert before < 0.5 < after
    assert remedy is not None
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
    found, code = fitting(network.to_keras(), shuffled)
    assert found is shuffled
    assert not code
    assert "No other scale or layout of the inputs makes it agree clearly more" in " ".join(
        capsys.readouterr().out.split()
    )
