"""Tables with a numeric response, and cells of images, with a network and without."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from matlab_bridge import load_dataset
from matlab_bridge.matfile import save
from tests.matlab_bridge.datasets_by_hand import cell, network, pixels

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(size=(9, 3)).astype(np.float32)
REGRESSION = network("Feature", 2, outputs=1, regression=True)


def check(path, variables, response, net=None, **names):
    save(path, variables)
    data = load_dataset(path, network=net, **names)
    others = [column for column in range(3) if column != response]
    np.testing.assert_array_equal(data.inputs, VALUES[:, others])
    np.testing.assert_array_equal(data.labels, VALUES[:, [response]])


def table(*names):
    return {"T": pd.DataFrame(dict(zip(names, VALUES.T, strict=True)))}


@pytest.mark.parametrize("net", [REGRESSION, None], ids=["network", "no network"])
@pytest.mark.parametrize("name", ["Y", "response", "target"])
def test_the_last_variable_whose_name_says_labels(tmp_path, net, name):
    check(tmp_path / "x.mat", table("a", "b", name), 2, net)


@pytest.mark.parametrize(("names", "response"), [(("a", "b", "MPG"), 2), (("a", "Y", "b"), 1)])
def test_with_a_network_the_last_or_the_one_that_says_labels(tmp_path, names, response):
    check(tmp_path / "x.mat", table(*names), response, REGRESSION)
    check(tmp_path / "x.mat", table(*names), response, REGRESSION, inputs="T")


@pytest.mark.parametrize("net", [REGRESSION, None], ids=["network", "no network"])
def test_any_variable_by_its_name(tmp_path, net):
    check(tmp_path / "x.mat", table("a", "b", "MPG"), 2, net, labels="T.MPG")


@pytest.mark.parametrize("names", [("x", "z", "y"), ("a", "Y", "b"), ("a", "b", "c")])
def test_without_a_network_positions_and_unclear_names_are_no_response(tmp_path, names):
    save(tmp_path / "x.mat", table(*names))
    data = load_dataset(tmp_path / "x.mat")
    assert data.labels is None
    np.testing.assert_array_equal(data.inputs, VALUES)


def test_a_numeric_class_in_a_table(tmp_path):
    frame = pd.DataFrame({"a": VALUES[:, 0], "b": VALUES[:, 1], "species": np.arange(9.0) % 3 + 1})
    save(tmp_path / "x.mat", {"T": frame})
    data = load_dataset(tmp_path / "x.mat", network=network("Feature", 2, outputs=3, class_names=("u", "v", "w")))
    assert data.labels.tolist() == [0, 1, 2] * 3


@pytest.mark.parametrize("channels", [(3,), ()], ids=["colour", "gray"])
def test_a_cell_of_images_without_a_network(tmp_path, channels):
    images = [pixels(seed, 8, 6, *channels) for seed in range(4)]
    save(tmp_path / "x.mat", {"X": cell(*images), "Y": ["a", "b", "a", "b"]})
    data = load_dataset(tmp_path / "x.mat")
    np.testing.assert_array_equal(data.inputs, np.stack(images).reshape(4, 8, 6, -1))
    assert data.labels.tolist() == [0, 1, 0, 1]


def test_a_cell_of_signals_without_a_network_stays_sequences(tmp_path):
    signals = [RANDOM.normal(size=(3, 20)) for _ in range(4)]
    save(tmp_path / "x.mat", {"X": cell(*signals), "Y": ["a", "b", "a", "b"]})
    assert [part.shape for part in load_dataset(tmp_path / "x.mat").inputs] == [(20, 3)] * 4
