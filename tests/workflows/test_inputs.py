"""What the commands are told of networks and data: plain matrices by a description, files of many kinds."""

from __future__ import annotations

import numpy as np
import pytest

from keras_prunelab import InvalidModelError
from keras_prunelab.cli import main
from keras_prunelab.cli._calibration import open_calibration
from keras_prunelab.cli._inputs import open_data, open_model
from keras_prunelab.cli._words import in_options
from matlab_bridge import DatasetNotFoundError, NetworkNotFoundError, load, load_network, save, save_network

W1, B1 = np.arange(12.0).reshape(3, 4) / 10, np.array([[0.1], [-0.2], [0.3]])
W2, B2 = np.array([[1.0, -1, 0.5], [-0.5, 1, 1]]), np.array([[0.0], [0.2]])
X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)


def scores():
    sums = np.tanh(X @ W1.T + B1.T) @ W2.T + B2.T
    powers = np.exp(sums)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("variables", "described"),
    [
        ({"P": W1, "p": B1, "Q": W2, "q": B2}, "P p tanh; Q q softmax"),
        ({"P": W1.T, "p": B1.T, "Q": W2.T, "q": B2.T}, "P' p tanh;Q' q softmax"),
        ({"P": np.hstack([B1, W1]), "Q": np.hstack([W2, B2])}, "P first tanh; Q last softmax"),
        ({"n": {"P": W1, "p": B1, "Q": W2, "q": B2}}, "n.P n.p tanh; n.Q n.q softmax"),
    ],
)
def test_matrices_are_a_network_by_their_description(tmp_path, variables, described):
    path = tmp_path / "weights.mat"
    save(path, variables)
    opened = open_model(path, described)
    np.testing.assert_allclose(np.asarray(opened.model(X)), scores(), rtol=1e-5)
    save_network(tmp_path / "same.mat", opened.model, like=path)
    assert set(load(tmp_path / "same.mat")) == set(variables)


def test_matrices_are_pruned_in_their_own_file(tmp_path):
    save(tmp_path / "weights.mat", {"P": W1, "p": B1, "Q": W2, "q": B2})
    arguments = [
        "prune",
        "weights.mat",
        "--network",
        "P p tanh; Q q softmax",
        "--sparsity",
        "0.5",
        "--out",
        "small.mat",
    ]
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / part) if part.endswith(".mat") else part for part in arguments])
    assert not end.value.code
    pruned = load(tmp_path / "small.mat")
    assert list(pruned) == ["P", "p", "Q", "q"]
    whole = load(tmp_path / "weights.mat")
    assert sum(np.count_nonzero(whole[name] != pruned[name]) for name in whole) > 0
    assert all(np.all((pruned[name] == whole[name]) | (pruned[name] == 0)) for name in whole)


def test_a_layer_of_too_many_words_is_an_error(tmp_path):
    save(tmp_path / "weights.mat", {"P": W1})
    with pytest.raises(InvalidModelError, match="'P p tanh relu'; a layer is its weights, its bias"):
        open_model(tmp_path / "weights.mat", "P p tanh relu")


def test_data_of_numpy_and_of_a_second_file(tmp_path):
    save(tmp_path / "net.mat", {"Theta1": np.hstack([B1, W1]), "Theta2": np.hstack([B2, W2])})
    opened = open_model(tmp_path / "net.mat", None)
    assert load_network(tmp_path / "net.mat").class_names == opened.class_names
    np.savez(tmp_path / "data.npz", x_test=X, y_test=np.array([1, 2, 1, 2, 1, 2]))
    data = open_data(opened, tmp_path / "data.npz", None, None, None)
    np.testing.assert_array_equal(data.inputs, X)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", np.array([1, 2, 1, 2, 1, 2]))
    data = open_data(opened, tmp_path / "x.npy", None, str(tmp_path / "y.npy"), None)
    assert data.labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_what_was_not_found_is_told_in_options(tmp_path):
    save(tmp_path / "net.mat", {"Theta1": np.hstack([B1, W1]), "Theta2": np.hstack([B2, W2])})
    opened = open_model(tmp_path / "net.mat", None)
    names = {"a": X, "b": X, "y": np.array([[1.0, 2, 1, 2, 1, 2]]), "rate": 0.1}
    save(tmp_path / "data.mat", names)
    with pytest.raises(DatasetNotFoundError) as error:
        open_data(opened, tmp_path / "data.mat", None, None, None)
    text = in_options(str(error.value))
    assert "--inputs a, --labels y" in text
    assert "rate: a single value" in text
    assert "inputs=" not in text
    assert "labels=" not in text


def test_networks_are_named_by_the_option(tmp_path):
    save(tmp_path / "plain.mat", {"P": W1, "p": B1})
    with pytest.raises(NetworkNotFoundError) as error:
        open_model(tmp_path / "plain.mat", None)
    assert '--network "W1 b1 tanh; W2 b2".' in in_options(str(error.value))
    listed = (
        "  load_network(path, 'net')       a\n"
        "  load_network(path, 's{2}.x')    b\n"
        "  load_network(path, \"f('a b')\")  c"
    )
    assert in_options(listed).splitlines() == [
        "  --network net                   a",
        '  --network "s{2}.x"              b',
        "  --network \"f('a b')\"            c",
    ]


def test_calibration_data_is_found_by_short_names_and_what_is_measured_is_not_tried_again(tmp_path, capsys):
    wrong = 2 - scores().argmax(axis=1)[:, None]  # classes from 1, each the other one
    variables = {"Theta1": np.hstack([B1, W1]), "Theta2": np.hstack([B2, W2]), "XTest": X, "YTest": wrong}
    save(tmp_path / "test.mat", variables)
    opened = open_model(tmp_path / "test.mat", None)
    data = open_data(opened, tmp_path / "test.mat", None, None, None)
    capsys.readouterr()
    assert open_calibration(opened, data, tmp_path / "test.mat", None, None) is None
    assert "agrees" not in capsys.readouterr().out
    save(tmp_path / "both.mat", {**variables, "Xtr": 2 * X[::-1], "ytr": wrong})
    found = open_calibration(opened, data, tmp_path / "both.mat", None, None)
    assert found.what == "6 observations, Xtr of both.mat"
    np.testing.assert_array_equal(found.inputs, 2 * X[::-1])
