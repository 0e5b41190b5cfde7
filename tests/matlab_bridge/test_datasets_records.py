"""What MATLAB notes about a training is no data, and what `nftool` and `ntstool` leave in a workspace is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from matlab_bridge import DatasetNotFoundError
from matlab_bridge.datasets._candidates import the_pair
from matlab_bridge.datasets._find import candidates_in
from matlab_bridge.datasets._names import is_training_record, notes_a_training
from matlab_bridge.matfile import StructArray
from tests.matlab_bridge.datasets_by_hand import cell, network

COUNT = 40


def found(variables, net):
    return the_pair(candidates_in(variables, net, "lab.mat"), "lab.mat")


def curve(length=COUNT):
    return np.linspace(1, 0, length)[np.newaxis]


def record(epochs=COUNT):
    """The training record of a shallow network, whose masks are as long as the data."""
    masks = {f"{part}Mask": cell(np.ones((3, COUNT)), as_row=True) for part in ("train", "val", "test")}
    indices = {f"{part}Ind": curve(COUNT // 3) for part in ("train", "val", "test")}
    return (
        masks | indices | {name: curve(epochs) for name in ("epoch", "time", "perf", "vperf", "gradient", "val_fail")}
    )


def training_info():
    return {name: curve() for name in ("TrainingLoss", "TrainingRMSE", "ValidationLoss", "BaseLearnRate")}


PROGRESS = pd.DataFrame({"Iteration": np.arange(40), "Epoch": 1, "TimeElapsed": 2.0, "TrainingLoss": 0.5})
HISTORY = {"loss": curve(), "accuracy": curve(), "val_loss": curve(), "val_accuracy": curve()}


@pytest.mark.parametrize(
    "noted",
    [record(), record(epochs=4), training_info(), PROGRESS, HISTORY, StructArray([[HISTORY, HISTORY]], tuple(HISTORY))],
    ids=["record", "short record", "info", "progress", "history", "histories"],
)
@pytest.mark.parametrize("name", ["tr", "info", "validation", "results.of_testing"])
def test_a_record_of_a_training_is_no_data_whatever_it_is_called(noted, name):
    net = network("Feature", COUNT, outputs=3)
    x, t = np.zeros((COUNT, 50)), np.eye(3)[:, np.arange(50) % 3]
    outer, _, inner = name.partition(".")
    held = {outer: {inner: noted} if inner else noted}
    assert found({**held, "x": x, "t": t}, net) == ("x", "t")
    with pytest.raises(DatasetNotFoundError, match=f"Neither:\n  {name}: notes how a training went"):
        found(held, net)


@pytest.mark.parametrize("name", ["TrainingLoss", "lab.valMask", "validation_accuracy", "trainInd"])
def test_a_part_of_a_record_on_its_own_is_no_data(name):
    assert notes_a_training(name)


@pytest.mark.parametrize("name", ["XTrain", "trainTargets", "epoch", "time", "TestData", "trainingImages", "valid"])
def test_names_of_data_are_no_names_of_records(name):
    assert not notes_a_training(name)


@pytest.mark.parametrize("fields", [["time", "states", "X"], ["epoch", "X", "Y"], ["XTest", "YTest", "epoch", "loss"]])
def test_data_with_a_word_of_a_record_stay_data(fields):
    assert not is_training_record(fields)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("names", [("x", "t", "y"), ("inputs", "targets", "outputs"), ("xTest", "tTest", "yTest")])
def test_targets_go_before_outputs_in_any_order(outputs, names):
    inputs, targets, given = names
    net = network("Feature", 5, outputs=outputs, regression=True)
    values = {
        inputs: np.zeros((5, 20)),
        targets: np.ones((outputs, 20)),
        given: np.full((outputs, 20), 0.9),
        "e": np.full((outputs, 20), 0.1),
    }
    for order in (values, dict(reversed(values.items()))):
        assert found(order, net) == (inputs, targets)


def test_y_is_the_labels_where_there_are_no_targets():
    net = network("Feature", 5, outputs=1, regression=True)
    assert found({"x": np.zeros((5, 20)), "y": np.ones((1, 20))}, net) == ("x", "y")


@pytest.mark.parametrize("empty", [np.zeros((1, 0)), np.zeros((0, 1)), np.zeros((1, 0), bool), np.zeros((0, 0))])
@pytest.mark.parametrize("split", ["", "Validation"])
def test_cells_of_empty_arrays_are_no_labels(empty, split):
    net = network("Feature", 4, outputs=2)
    data = {"XTest": np.zeros((10, 4)), "YTest": np.arange(10.0)[:, np.newaxis] % 2 + 1}
    peaks = {f"peaks{split}": cell(*[empty] * 10)}
    assert found(peaks | data, net) == ("XTest", "YTest")
    hits = StructArray(cell(*({"hits": empty} for _ in range(10))), ("hits",))
    assert found({"s": hits, **data}, net) == ("XTest", "YTest")
    with pytest.raises(DatasetNotFoundError):
        found(peaks, net)


def test_each_variable_that_was_not_taken_has_its_reason():
    net = network("Feature", 4, outputs=2)
    variables = {"rate": np.array([[0.1]]), "none": np.zeros((0, 0)), "wide": np.zeros((3, 7)), "note": "by me"}
    with pytest.raises(DatasetNotFoundError) as error:
        found(variables, net)
    text = str(error.value)
    for line in ("rate: a single value", "none: empty", "wide: 3 x 7 double, which is no 4 features", "note: a single"):
        assert f"\n  {line}" in text
    many = {f"v{index}": np.zeros((3, 7)) for index in range(25)}
    with pytest.raises(DatasetNotFoundError, match="and 5 more"):
        found(many, net)
