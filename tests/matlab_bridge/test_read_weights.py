"""Plain matrices read by a description, or recognised by their names and shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import matlab_bridge as mb
from matlab_bridge.read._weights import read_described, recognize

from .layer_tools import assert_round_trip, normal
from .objects_by_hand import cell, row

SOURCE = mb.Source(Path("w.mat"), "*", "weights")


def predicted(network: mb.Network, rows: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(network.to_keras()(rows.astype("f4"), training=False))


def sigmoid(n: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-n))


X = normal(0, 9, 3)
W1, b1, W2, b2 = normal(1, 4, 3), normal(2, 4, 1), normal(3, 2, 4), normal(4, 1, 2)
EXPECTED = np.tanh(X @ W1.T + b1.T) @ W2.T + b2


@pytest.mark.parametrize(
    ("variables", "describe"),
    [
        (
            {"W1": W1, "b1": b1, "W2": W2, "b2": b2},
            [mb.WeightLayer("W1", "b1", "tanh"), mb.WeightLayer("W2", "b2")],
        ),
        (
            {"W1": W1.T, "b1": b1, "W2": W2.T, "b2": b2},
            [
                mb.WeightLayer("W1", "b1", "tansig", orientation="inputs x outputs"),
                mb.WeightLayer("W2", "b2", orientation="inputs x outputs"),
            ],
        ),
        (
            {"h/kernel:0": W1.T, "h/bias:0": b1, "out.0": {"W 2": W2.T, "b": b2}},
            [
                mb.WeightLayer("h/kernel:0", "h/bias:0", "tanh", orientation="inputs x outputs"),
                mb.WeightLayer("out.0.W 2", "out.0.b", orientation="inputs x outputs"),
            ],
        ),
        (
            {"net": {"W": cell(W1, W2, shape=(1, 2)), "b": cell(b1, b2)}},
            [mb.WeightLayer("net.W{1}", "net.b{1}", "tanh"), mb.WeightLayer("net.W{1,2}", "net.b{2}", "linear")],
        ),
        (
            {"T1": np.hstack([b1, W1]), "T2": np.hstack([W2, b2.T])},
            [
                mb.WeightLayer("T1", activation="tanh", bias_column="first"),
                mb.WeightLayer("T2", bias_column="last"),
            ],
        ),
        (
            {"T1": np.hstack([b1, W1]).T, "T2": np.hstack([W2, b2.T]).T},
            [
                mb.WeightLayer("T1", activation="tanh", bias_column="first", orientation="inputs x outputs"),
                mb.WeightLayer("T2", bias_column="last", orientation="inputs x outputs"),
            ],
        ),
    ],
    ids=["outputs x inputs", "inputs x outputs", "no identifiers", "cells", "columns", "rows"],
)
def test_a_description_says_which_matrices_and_how_they_lie(variables: dict[str, Any], describe: list[Any]) -> None:
    network = read_described(variables, describe, SOURCE)
    np.testing.assert_allclose(predicted(network, X), EXPECTED, atol=1e-5)


def test_layers_without_bias() -> None:
    network = read_described({"W": W1}, [mb.WeightLayer("W", activation="relu")], SOURCE)
    np.testing.assert_allclose(predicted(network, X), np.maximum(X @ W1.T, 0), atol=1e-5)


def test_thetas_have_the_bias_in_the_first_column() -> None:
    """As in Andrew Ng's course: h1 = sigmoid([1 x] * Theta1'), h2 = sigmoid([1 h1] * Theta2')."""
    thetas = {"Theta1": normal(1, 5, 4), "Theta2": normal(2, 3, 6)}
    one = np.ones((len(X), 1))
    hidden = sigmoid(np.hstack([one, X]) @ thetas["Theta1"].T)
    expected = sigmoid(np.hstack([one, hidden]) @ thetas["Theta2"].T)
    network = read_described(thetas, recognize(thetas), SOURCE)
    assert [layer.name for layer in network.layers if layer.learnables] == ["Theta1", "Theta2"]
    np.testing.assert_allclose(predicted(network, X), expected, atol=1e-5)


def test_cells_with_activations() -> None:
    fields = {"W": cell(W1, W2), "b": cell(b1, b2), "activation_fcns": np.array(["tanh  ", "linear"])}
    np.testing.assert_allclose(predicted(read_described(fields, recognize(fields), SOURCE), X), EXPECTED, atol=1e-5)


@pytest.mark.parametrize(
    "fields",
    [
        {"Theta1": normal(0, 5, 4)},
        {"Theta1": normal(0, 5, 4), "Theta2": normal(0, 3, 5)},
        {"Theta1": normal(0, 5, 4), "Theta2": "text"},
        {"W": cell(W1, W2), "b": cell(b1, b2)},
        {"W": cell(W1, W2), "b": cell(b1, b2), "activations": cell("tanh")},
        {"W": cell(W2, W1), "b": cell(b2, b1), "activations": cell("tanh", "tanh")},
        {"W": cell(W1, W2), "b": cell(b2, b1), "activations": cell("tanh", "tanh")},
        {"W": cell(W1, "text"), "b": cell(b1, b2), "activations": cell("tanh", "tanh")},
        {"W1": W1, "b1": b1, "W2": W2, "b2": b2},
    ],
)
def test_what_is_ambiguous_is_not_recognised(fields: dict[str, Any]) -> None:
    assert recognize(fields) == ()


@pytest.mark.parametrize(
    ("describe", "message"),
    [
        ([mb.WeightLayer("W2"), mb.WeightLayer("W1")], r"^W1 takes 3 inputs, and the layer before it, 'W2', gives 2"),
        ([mb.WeightLayer("W1", "b2")], r"^b2 holds 2 biases, and W1 is 4x3: as 'outputs x inputs' it has 4 outputs\.$"),
        ([mb.WeightLayer("note")], r"^note is str, and a matrix of weights was expected\.$"),
        ([], r"^A description of a network has at least one WeightLayer\.$"),
    ],
)
def test_descriptions_that_do_not_fit(describe: list[Any], message: str) -> None:
    with pytest.raises(mb.InvalidNetworkError, match=message):
        read_described({"W1": W1, "W2": W2, "b2": b2, "note": "text"}, describe, SOURCE)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("V1", "Nothing is at 'V1': 'the file' has no 'V1'. It has: net."),
        ("net.V", "Nothing is at 'net.V': 'net' has no 'V'. It has: W."),
        ("net.W{3}", "Nothing is at 'net.W{3}': 'net.W' has no '{3}'. It has: none: it is an array of (1, 2)."),
        ("net+1", "'net+1' is no path: a name, then '.field', '{1}' or '(1)'."),
        # Python makes no integer of more than 4,300 digits.
        (f"net.W{{{'9' * 5000}}}", f"'net.W{{{'9' * 5000}}}' is no path: a name, then '.field', '{{1}}' or '(1)'."),
    ],
)
def test_paths_that_lead_nowhere(path: str, message: str) -> None:
    with pytest.raises(mb.VariableNotFoundError) as caught:
        read_described({"net": {"W": cell(W1, W2, shape=(1, 2))}}, [mb.WeightLayer(path)], SOURCE)
    assert str(caught.value) == message


def test_words_that_mean_nothing_are_refused() -> None:
    with pytest.raises(mb.InvalidNetworkError, match="one of 'outputs x inputs', 'inputs x outputs'"):
        mb.WeightLayer("W", orientation="rows")
    with pytest.raises(mb.InvalidNetworkError, match="give one of the two"):
        mb.WeightLayer("W", "b", bias_column="first")
    with pytest.raises(mb.UnsupportedLayerError, match=r"'W_mine' \(mine\)"):
        read_described({"W": W1}, [mb.WeightLayer("W", activation="mine")], SOURCE).to_keras()


def test_weights_and_masks_come_back() -> None:
    variables = {"T1": normal(1, 4, 4).astype("f4"), "W2": W2.T.astype("f4"), "b2": row(1, 2).astype("f4")}
    describe = [
        mb.WeightLayer("T1", bias_column="first"),
        mb.WeightLayer("W2", "b2", orientation="inputs x outputs"),
    ]
    assert_round_trip(read_described(variables, describe, SOURCE))
