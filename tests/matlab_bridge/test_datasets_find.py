"""What is found when nothing is named, and what is said when it is not clear."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from matlab_bridge import DatasetNotFoundError
from matlab_bridge.datasets._candidates import the_pair
from matlab_bridge.datasets._find import candidates_in
from matlab_bridge.datasets._names import SPLITS, is_prediction, names_inputs, names_labels, split_of
from matlab_bridge.matfile import MatlabObject, StructArray
from matlab_bridge.network import Source
from tests.matlab_bridge.datasets_by_hand import cell, network

PETS = ("bird", "cat", "dog")
NET = network("Image", 8, 6, 1, class_names=PETS)


def images(count):
    return np.zeros((8, 6, 1, count))


def names(count):
    return cell(*(PETS[index % 3] for index in range(count)))


def pair(variables, net=NET, path="lab.mat"):
    return the_pair(candidates_in(variables, net, path), path)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("XValidation", "validation"),
        ("imdsVal", "validation"),
        ("x_val", "validation"),
        ("xval", "validation"),
        ("data.valid", "validation"),
        ("XTest", "test"),
        ("testLabels", "test"),
        ("testlabels", "test"),
        ("imTest2", "test"),
        ("Xte", "test"),
        ("y_te", "test"),
        ("yts", "test"),
        ("YTrain", "training"),
        ("Xtr", "training"),
        ("y_tr", "training"),
        ("ts", ""),
        ("site", ""),
        ("ytrain", "training"),
        ("XTrainValidation", "validation"),
        ("X", ""),
        ("latest", ""),
        ("values", ""),
        ("interval", ""),
        ("valve", ""),
    ],
)
def test_the_words_of_names(name, split):
    assert SPLITS[split_of(name)] == split


def test_the_words_for_inputs_labels_and_predictions():
    assert names_inputs("Xtr")
    assert names_labels("yte")
    assert all(map(names_inputs, ["X", "XTest", "xtrain", "IM_data", "images.data", "testImgs"]))
    assert all(map(names_labels, ["Y", "YTest", "ytest", "im_labels", "T", "TTrain"]))
    assert all(map(is_prediction, ["YPred", "ypred", "predictedLabels", "scores", "output"]))
    assert not any(map(is_prediction, ["YTest", "spread", "labels"]))
    assert not names_inputs("mask")
    assert not names_labels("year")


def test_the_only_pair_is_taken():
    other = {
        "accuracy": np.array([[0.98]]),
        "options": MatlabObject("nnet.cnn.TrainingOptionsSGDM", {}),
        "n": "text",
    }
    assert pair({"pictures": images(9), "animals": names(9), **other}) == ("pictures", "animals")


def test_validation_goes_before_test_before_unnamed_before_training():
    counts = {"Validation": 4, "Test": 5, "": 6, "Train": 7}
    variables = {f"X{s}": images(n) for s, n in counts.items()} | {f"Y{s}": names(n) for s, n in counts.items()}
    for split in counts:
        assert pair(variables) == (f"X{split}", f"Y{split}")
        del variables[f"X{split}"], variables[f"Y{split}"]


def test_inputs_and_labels_are_of_the_same_part_of_the_data():
    with pytest.raises(DatasetNotFoundError, match="no inputs with labels"):
        pair({"XTest": images(5), "YTrain": names(5)})


def test_predictions_are_no_labels():
    assert pair({"X": images(9), "YPred": names(9), "Y": names(9), "scores": np.eye(3)[[0] * 9]}) == (
        "X",
        "Y",
    )
    with pytest.raises(DatasetNotFoundError, match="YPred"):
        pair({"X": images(9), "YPred": names(9)})


def test_names_of_classes_go_before_numbers():
    assert pair({"X": images(9), "order": np.arange(9.0) % 3 + 1, "Y": names(9)}) == ("X", "Y")


def test_the_class_names_decide():
    assert pair({"X": images(9), "where": cell(*"abcabcabc"), "what": names(9)}) == ("X", "what")


def test_the_input_size_decides():
    features = network("Feature", 4, class_names=PETS)
    assert pair({"A": np.zeros((9, 5)), "B": np.zeros((9, 4)), "y": names(9)}, features) == ("B", "y")
    assert pair({"B": np.zeros((4, 9)), "y": names(9)}, features) == ("B", "y")


def test_structs_struct_arrays_and_tables_are_looked_into():
    assert pair({"imdb": {"images": {"data": images(9), "labels": names(9)}}}) == (
        "imdb.images.data",
        "imdb.images.labels",
    )
    sets = StructArray([{"x": images(5), "y": names(5)}, {"x": images(7), "y": names(6)}], ("x", "y"))
    assert pair({"sets": sets}) == ("sets(1).x", "sets(1).y")
    table = pd.DataFrame({**{c: np.arange(9.0) for c in "abcd"}, "Species": pd.Categorical(list(PETS) * 3)})
    assert pair({"t": table}, network("Feature", 4, class_names=PETS)) == ("t", "t.Species")


def test_sequences_and_their_labels():
    value = cell(*(np.zeros((3, n + 4)) for n in range(6)))
    assert pair({"S": value, "y": names(6)}, network("Sequence", 3, class_names=PETS)) == ("S", "y")


def test_responses_of_a_regression():
    net = network("Feature", 4, outputs=2, regression=True)
    assert pair({"X": np.zeros((9, 4)), "Y": np.ones((9, 2))}, net) == ("X", "Y")


def test_the_network_is_no_candidate():
    struct = {"Layers": cell(1), "X": images(9), "Y": names(9)}
    assert candidates_in({"net": struct}, NET, "lab.mat").inputs == ()
    weights = images(9)
    net = network("Image", 8, 6, 1, class_names=PETS)
    object.__setattr__(net, "source", Source("lab.mat", "weights", "struct"))
    assert pair({"weights": weights, "X": images(9), "Y": names(9)}, net) == ("X", "Y")


def test_a_variable_that_cannot_be_read_keeps_nobody_from_the_others():
    from matlab_bridge import LostObjectError

    class Lost(dict):
        def __getitem__(self, name):
            if name == "broken":
                raise LostObjectError("lost")
            return super().__getitem__(name)

    assert pair(Lost(broken=0, X=images(9), Y=names(9))) == ("X", "Y")


def test_a_field_called_labels_belongs_to_its_struct():
    # As ECGData.mat of MathWorks' examples has them.
    data = {"Data": np.zeros((9, 48)), "Labels": names(9)}
    assert pair({"ECGData": data}) == ("ECGData.Data", "ECGData.Labels")


def test_several_pairs_are_listed_with_the_arguments_to_pass():
    variables = {"XA": images(4), "YA": names(4), "XB": images(5), "YB": names(5)}
    with pytest.raises(DatasetNotFoundError) as caught:
        pair(variables)
    text = str(caught.value)
    assert "inputs='XA', labels='YA'" in text
    assert "inputs='XB', labels='YB'" in text
    assert "XA (8 x 6 x 1 x 4 double): height x width x channels x observations" in text
    assert "YA (4 x 1 cell)" in text


def test_nothing_that_fits_is_said_with_what_there_is():
    with pytest.raises(DatasetNotFoundError, match=r"Could be inputs:\n  X .*\nCould be labels:\n  nothing"):
        pair({"X": images(9), "Y": names(8)})


def test_candidates_say_what_they_are():
    found = candidates_in({"X": images(9), "Y": np.array([["a"]] * 9)}, None, "lab.mat")
    assert [(c.name, c.class_name, c.size, c.observations) for c in found.inputs] == [
        ("X", "double", (8, 6, 1, 9), (9,))
    ]
    assert [(c.name, c.class_name) for c in found.labels] == [("Y", "char")]
