"""Cells of pairs, as `readall(combine(arrayDatastore(...), arrayDatastore(...)))` gives them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from matlab_bridge import VariableNotFoundError, load_dataset, matfile
from matlab_bridge.datasets._variables._pairs import column, is_pairs
from tests.matlab_bridge.datasets_by_hand import network, pixels

PETS = ("bird", "cat", "dog")
NAMES = ["cat", "dog", "cat", "bird", "dog"]
INDICES = [1, 2, 1, 0, 2]
IMAGES = [pixels(seed, 8, 6, 1) for seed in range(5)]
SEQUENCES = [np.random.default_rng(seed).normal(size=(3, steps)) for seed, steps in enumerate((9, 4, 7, 5, 6))]


def pairs(observations, labels):
    found = np.empty((len(labels), 2), dtype=object)
    for row, (observation, label) in enumerate(zip(observations, labels, strict=True)):
        found[row, 0], found[row, 1] = observation, label
    return found


LABELS = {
    "names": NAMES,
    "categoricals": [pd.Categorical([name], PETS) for name in NAMES],
    "categoricals of their own": [pd.Categorical([name]) for name in NAMES],
    "numbers": [float(index + 1) for index in INDICES],
    "bytes": [np.array([[index + 1]], np.uint8) for index in INDICES],
}


@pytest.fixture(params=["v7", "v7.3"])
def write(request, tmp_path):
    def written(**variables):
        path = tmp_path / "pairs.mat"
        matfile.save(path, variables, version=request.param)
        return path

    return written


@pytest.mark.parametrize("kind", LABELS)
def test_images_and_labels(write, kind):
    path = write(XY=pairs(IMAGES, LABELS[kind]))
    data = load_dataset(path, network=network("Image", 8, 6, 1, class_names=PETS))
    assert_array_equal(data.inputs, np.stack(IMAGES))
    assert data.labels.tolist() == INDICES
    assert "the inputs are XY(:,1), the labels XY(:,2)" in data.description


def test_sequences_and_labels(write):
    path = write(XY=pairs(SEQUENCES, LABELS["categoricals"]))
    data = load_dataset(path, network=network("Sequence", 3, class_names=PETS))
    for found, expected in zip(data.inputs, SEQUENCES, strict=True):
        np.testing.assert_allclose(found, expected.T, rtol=1e-6)
    assert data.labels.tolist() == INDICES


def test_columns_by_name_in_any_order(write):
    path = write(XY=pairs(SEQUENCES, NAMES)[:, ::-1])
    data = load_dataset(path, "XY(:, 2)", "XY(:,1)", network=network("Sequence", 3, class_names=PETS))
    assert data.labels.tolist() == INDICES
    assert len(data.inputs) == 5


@pytest.mark.parametrize("path_to", ["XY(:,3)", "XY(:,0)", "x(:,1)", "XY(:,1,1)"])
def test_columns_that_are_not_there(write, path_to):
    path = write(XY=pairs(SEQUENCES, NAMES), x=np.ones((5, 2)))
    with pytest.raises(VariableNotFoundError, match="is outside of"):
        load_dataset(path, path_to)


def test_what_is_no_pair():
    assert not is_pairs(pairs(SEQUENCES, SEQUENCES))
    assert not is_pairs(pairs(SEQUENCES[:1], NAMES[:1]))
    assert not is_pairs(pairs(NAMES, NAMES))
    assert not is_pairs(pairs(SEQUENCES, NAMES)[:, :1])


def test_an_undefined_label_stays_undefined():
    labels = [pd.Categorical(["dog"], ["cat", "dog"]), pd.Categorical([None], ["emu"])]
    joined = column(pairs(SEQUENCES[:2], labels), 2)
    assert joined.categories == ("cat", "dog", "emu")
    assert joined.codes.tolist() == [[2], [0]]
