"""From MAT-files of two versions to data that a Keras model takes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.io

from matlab_bridge import DatasetError, DatasetNotFoundError, LabelMismatchError, load_dataset, matfile
from matlab_bridge.datasets import candidates
from tests.matlab_bridge.datasets_by_hand import cell, network, pixels

PETS = ("bird", "cat", "dog")
NET = network("Image", 8, 6, 1, class_names=PETS)
IMAGES = pixels(0, 8, 6, 1, 5)
NAMES = ["cat", "dog", "cat", "bird", "dog"]
INDICES = [1, 2, 1, 0, 2]


@pytest.fixture(params=["v7", "v7.3"])
def write(request, tmp_path):
    def written(**variables):
        path = tmp_path / "lab.mat"
        matfile.save(path, variables, version=request.param)
        return path

    return written


def test_images_and_names_are_found(write):
    path = write(X=IMAGES, Y=cell(*NAMES), note="lab 5")
    data = load_dataset(path, network=NET)
    assert (data.inputs == np.moveaxis(IMAGES, -1, 0)).all()
    assert data.inputs.dtype == np.uint8
    assert data.labels.tolist() == INDICES
    assert data.class_names == PETS
    assert data.description.splitlines() == [
        "In lab.mat, the inputs are X, the labels Y.",
        "X, 8 x 6 x 1 x 5 uint8, is read as height x width x channels x observations.",
        "The labels are matched to the network's classes by name.",
    ]


@pytest.mark.parametrize(
    "labels",
    [
        pd.Categorical(NAMES),
        np.array(NAMES, dtype=np.dtypes.StringDType())[:, np.newaxis],
        cell(*NAMES),
        np.array([name.ljust(4) for name in NAMES]),
        np.array(INDICES, dtype=float)[:, np.newaxis] + 1,
        np.array(INDICES, dtype=np.uint8)[np.newaxis] + 1,
        np.eye(3)[INDICES],
        np.eye(3, dtype=bool)[INDICES].T,
    ],
    ids=["categorical", "string", "cellstr", "char", "double", "uint8", "one-hot rows", "one-hot columns"],
)
def test_labels_of_every_kind_through_a_file(write, labels):
    data = load_dataset(write(X=IMAGES.astype(float), Y=labels), "X", "Y", network=NET)
    assert data.labels.tolist() == INDICES
    assert data.labels.dtype == np.int64
    assert data.inputs.dtype == np.float32


def test_nested_paths(write):
    path = write(data={"XTest": IMAGES, "YTest": cell(*NAMES)}, c=cell(IMAGES[..., :2]))
    assert len(load_dataset(path, "data.XTest", "data.YTest", network=NET)) == 5
    assert len(load_dataset(path, "c{1}", network=NET)) == 2
    assert load_dataset(path, network=NET).labels.tolist() == INDICES


def test_labels_of_given_inputs_and_inputs_of_given_labels(write):
    path = write(A=IMAGES, B=IMAGES[..., :3], YA=cell(*NAMES), YB=cell(*NAMES[:3]))
    assert load_dataset(path, "B", network=NET).labels.tolist() == INDICES[:3]
    assert len(load_dataset(path, labels="YB", network=NET)) == 3
    path = write(A=IMAGES, YA=cell(*NAMES), YB=cell(*NAMES))
    with pytest.raises(DatasetNotFoundError, match="not clear which labels belong to 'A'; pass labels="):
        load_dataset(path, "A", network=NET)


def test_inputs_without_labels(write):
    data = load_dataset(write(X=IMAGES), "X", network=NET)
    assert data.labels is None
    assert data.class_names == PETS
    assert "There are no labels." in data.description
    with pytest.raises(DatasetNotFoundError, match="not clear which inputs belong to 'Y'"):
        load_dataset(write(Y=cell(*NAMES)), labels="Y", network=NET)


def test_features_of_a_table(write):
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0], "Class": [2.0, 1.0, 3.0]})
    data = load_dataset(write(t=table), "t", "t.Class", network=network("Feature", 2, class_names=PETS))
    assert data.inputs.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert data.labels.tolist() == [1, 0, 2]


def test_sequences(write):
    sequences = [np.random.default_rng(n).normal(size=(4, n + 3)) for n in range(5)]
    net = network("Sequence", 4, class_names=PETS)
    data = load_dataset(write(S=cell(*sequences), Y=cell(*NAMES)), network=net)
    assert [s.shape for s in data.inputs] == [(n + 3, 4) for n in range(5)]
    assert data.labels.tolist() == INDICES


def test_one_sequence_with_responses_at_each_step(write):
    net = network("Sequence", 4, outputs=2, regression=True)
    x, y = np.random.default_rng(0).normal(size=(4, 20)), np.random.default_rng(1).normal(size=(2, 20))
    for variables in ({"X": x, "Y": y}, {"X": x.T, "Y": y.T}, {"X": x, "Y": cell(y)}):
        data = load_dataset(write(**variables, gain=np.array([[2.0]])), network=net)
        assert len(data) == len(data.labels) == 1
        assert (data.inputs[0] == x.T.astype(np.float32)).all()
        assert (data.labels[0] == y.T.astype(np.float32)).all()


def test_one_sequence_with_one_label(write):
    data = load_dataset(
        write(X=np.zeros((4, 20)), Y=pd.Categorical(["cat"])),
        "X",
        "Y",
        network=network("Sequence", 4, class_names=PETS),
    )
    assert data.labels.tolist() == [1]


def test_classes_that_differ(write):
    with pytest.raises(LabelMismatchError, match="'fish'"):
        load_dataset(write(X=IMAGES, Y=cell("fish", *NAMES[1:])), "X", "Y", network=NET)
    with pytest.raises(DatasetError, match="5 observations but 4 labels"):
        load_dataset(write(X=IMAGES, Y=cell(*NAMES[1:])), "X", "Y", network=NET)


def test_numbers_that_could_be_names_are_decided_by_the_network(write):
    # The network gives the observations the classes at 0, 1 and 0.
    net = network("Feature", 4, class_names=("1", "2", "4"))
    x = np.array([[9.0, 0, 0, 0], [0, 9.0, 0, 0], [9.0, 0, 0, 0]])
    by_name = load_dataset(write(X=x, Y=np.array([[1.0], [2.0], [1.0]])), network=net)
    assert by_name.labels.tolist() == [0, 1, 0]
    net = network("Feature", 4, class_names=("2", "1", "0"))
    ambiguous = write(X=x, Y=np.array([[1.0], [2.0], [1.0]]))
    decided = load_dataset(ambiguous, network=net)
    assert decided.labels.tolist() == [0, 1, 0]
    assert "class indices 1 to 3 (1 is '2'); the network agrees with 100.0%" in decided.description
    assert load_dataset(ambiguous, network=net, number_labels="names").labels.tolist() == [1, 0, 1]


def test_a_model_gives_the_same_for_small_integers_as_for_single():
    model = NET.to_keras()
    whole = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 0))
    assert np.array_equal(model.predict(whole, verbose=0), model.predict(whole.astype(np.float32), verbose=0))


def test_candidates_of_a_file(write):
    found = candidates(write(X=IMAGES, Y=cell(*NAMES)), NET)
    assert [c.name for c in found.inputs] == ["X"]
    assert [c.name for c in found.labels] == ["Y"]


def test_reading_data_imports_no_keras():
    code = "import sys, matlab_bridge.datasets; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_that_are_no_identifiers(tmp_path):
    """As SciPy writes them, and as tables may have them from R2019b on."""
    path = tmp_path / "names.mat"
    scipy.io.savemat(path, {"X test": np.zeros((5, 4)), "y-test": np.array(["cat", "dog", "cat", "dog", "dog"])})
    data = load_dataset(path, network=network("Feature", 4, outputs=2, class_names=("cat", "dog")))
    assert data.labels.tolist() == [0, 1, 0, 1, 1]
    table = pd.DataFrame({"Sepal length (cm)": [1.0, 2.0], "Kind of flower": ["a", "b"]})
    matfile.save(tmp_path / "table.mat", {"T": table})
    data = load_dataset(tmp_path / "table.mat")
    assert data.inputs.tolist() == [[1], [2]]
    assert data.class_names == ("a", "b")
