"""Where several variables fit by their size, a trained network tells which of them are its data."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import matlab_bridge as mb

RNG = np.random.default_rng(11)
WEIGHTS = RNG.normal(size=(6, 3))
X = RNG.normal(size=(200, 6)).astype(np.float32)
RIGHT = (X @ WEIGHTS).argmax(axis=1)
Y = RIGHT[:, None] + 1.0
OTHER = RNG.normal(size=(200, 6)).astype(np.float32)


@pytest.fixture
def network() -> mb.Network:
    """A network that names the largest of three sums of six features."""
    dense = keras.layers.Dense(3, "softmax", use_bias=False, name="fc")
    model = keras.Sequential([keras.Input((6,)), dense])
    dense.set_weights([WEIGHTS])
    return mb.from_keras(model)


@pytest.mark.parametrize("given", [{}, {"labels": "C"}])
def test_of_several_inputs_those_are_taken_that_the_labels_belong_to(
    given: dict[str, str], network: mb.Network, tmp_path: Path
) -> None:
    mb.save(tmp_path / "data.mat", {"A": OTHER, "B": X, "C": Y})
    data = mb.load_dataset(tmp_path / "data.mat", **given, network=network)
    np.testing.assert_array_equal(data.inputs, X)
    np.testing.assert_array_equal(data.labels, RIGHT)
    assert "agreement with the pairs that fit, on a sample: A with C" in data.description
    assert "B with C 100.0%" in data.description


@pytest.mark.parametrize("given", [{}, {"inputs": "A"}])
def test_of_several_labels_those_are_taken_that_belong_to_the_inputs(
    given: dict[str, str], network: mb.Network, tmp_path: Path
) -> None:
    mb.save(tmp_path / "data.mat", {"A": X, "B": RNG.permutation(Y), "C": Y})
    data = mb.load_dataset(tmp_path / "data.mat", **given, network=network)
    np.testing.assert_array_equal(data.labels, RIGHT)


@pytest.mark.parametrize("others", [{"B": X[::-1].copy(), "C": Y}, {"A": OTHER, "B": RNG.permutation(X), "C": Y}])
def test_where_the_network_agrees_with_none_or_both_the_user_is_asked(
    others: dict[str, object], network: mb.Network, tmp_path: Path
) -> None:
    variables = {"A": X, "D": Y[::-1].copy(), **others}
    if variables["A"] is not X:
        del variables["D"]
    mb.save(tmp_path / "data.mat", variables)
    with pytest.raises(mb.DatasetNotFoundError, match=r"(?s)holds several pairs.*agreement with the pairs that fit"):
        mb.load_dataset(tmp_path / "data.mat", network=network)


def test_without_a_network_nothing_is_tried(tmp_path: Path) -> None:
    variables = {"X1": X, "X2": OTHER, "Y": np.array([["a"], ["b"]] * 100, dtype=object)}
    mb.save(tmp_path / "data.mat", variables)
    with pytest.raises(mb.DatasetNotFoundError, match="several pairs") as raised:
        mb.load_dataset(tmp_path / "data.mat")
    assert "agreement" not in str(raised.value)
