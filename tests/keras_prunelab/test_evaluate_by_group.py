"""The metric of groups of observations, against NumPy."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._evaluate._by_group import MAX_GROUPS

rng = np.random.default_rng(0)
N = 90
X = rng.normal(size=(N, 6)).astype("float32")
Y = rng.integers(0, 3, N)
SNR = rng.choice([-6.0, 0.0, 12.5], N)
WHO = rng.choice(["b", "a"], N)


def classifier():
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, use_bias=False, name="fc")])


def expected(values, right):
    return [float(np.mean(right[values == value])) for value in np.unique(values)]


@pytest.mark.backends
def test_accuracy_by_group_is_that_of_numpy(tmp_path):
    model = classifier()
    store = tmp_path / "sweep.db"
    result = kpl.sweep(model, (X, Y), [0.0, 0.5], groups={"SNR": SNR, "who": WHO}, store=store, batch_size=7)
    kernel = keras.ops.convert_to_numpy(model.layers[0].kernel)
    magnitudes = np.abs(kernel)
    pruned = np.where(magnitudes > np.sort(magnitudes, axis=None)[8], kernel, 0)
    dense, sparse = ((X @ weights).argmax(axis=1) == Y for weights in (kernel, pruned))
    choice = result.choose(sparsity=0.5)
    for found in (result, kpl.SweepResult.load(store), kpl.SweepResult.load(result.to_json(tmp_path / "r.json"))):
        table = found.groups(choice)
        for name, values in (("SNR", SNR), ("who", WHO)):
            rows = table[table["variable"] == name]
            assert rows["value"].tolist() == np.unique(values).tolist()
            assert rows["observations"].tolist() == [int((values == value).sum()) for value in np.unique(values)]
            np.testing.assert_allclose(rows["dense"], expected(values, dense), rtol=1e-12)
            np.testing.assert_allclose(rows["accuracy"], expected(values, sparse), rtol=1e-12)
            np.testing.assert_allclose(rows["change"], rows["accuracy"] - rows["dense"], rtol=1e-12)
    again = kpl.sweep(model, (X, Y), [0.0, 0.5], groups={"SNR": SNR, "who": WHO}, store=store, batch_size=7)
    assert again.groups(choice).equals(result.groups(choice))
    with pytest.raises(kpl.StoreMismatchError, match="the setting groups"):
        kpl.sweep(model, (X, Y), [0.0, 0.5], groups={"SNR": SNR[::-1]}, store=store)


def test_sequences_of_different_lengths_keep_their_groups():
    keras.utils.set_random_seed(0)
    inputs = [rng.normal(size=(length, 2)).astype("float32") for length in rng.integers(3, 7, N)]
    model = keras.Sequential(
        [keras.Input((None, 2)), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3, name="fc")]
    )
    kernel, bias = (rng.normal(size=(2, 3)), np.zeros(3))
    model.layers[-1].set_weights([kernel, bias])
    right = np.array([(each.mean(axis=0) @ kernel).argmax() for each in inputs]) == Y
    result = kpl.sweep(model, (inputs, Y), [0.0], groups={"SNR": SNR})
    table = result.groups(result.choose(sparsity=0.0))
    np.testing.assert_allclose(table["dense"], expected(SNR, right))
    np.testing.assert_allclose(table["accuracy"], expected(SNR, right))


def test_the_error_of_a_regression_and_the_mean_of_seeds(tmp_path):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, use_bias=False)])
    kernel = rng.normal(size=(6, 2)).astype("float32")
    model.layers[0].set_weights([kernel])
    targets = rng.normal(size=(N, 2)).astype("float32")
    result = kpl.sweep(model, (X, targets), [0.5], ["random"], 2, groups={"SNR": SNR})
    errors = [
        [np.sqrt(np.square(X @ (kernel * mask) - targets)[value == SNR].mean()) for value in np.unique(SNR)]
        for seed in (0, 1)
        for mask in [next(iter(kpl.prune(model, 0.5, kpl.scores.Random(seed)).layers[0].get_weights())) != 0]
    ]
    choice = result.choose(sparsity=0.5)
    table = result.groups(choice)
    np.testing.assert_allclose(table["rmse"], np.mean(errors, axis=0), rtol=1e-5)
    page = kpl.report(result, choice, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "RMSE by SNR" in page


def test_joined_sweeps_keep_the_groups_they_share():
    model = classifier()
    one = kpl.sweep(model, (X, Y), [0.5], "magnitude", groups={"SNR": SNR, "who": WHO})
    two = kpl.sweep(model, (X, Y), [0.5], "random", groups={"SNR": SNR})
    both = one.join(two)
    assert [group.name for group in both.by_group] == ["SNR"]
    for score, own in (("magnitude", one), ("random", two)):
        choice = both.choose(sparsity=0.5, score=score)
        rows = own.groups(choice)
        assert both.groups(choice).values.tolist() == rows[rows["variable"] == "SNR"].values.tolist()


def test_without_groups_there_are_no_rows():
    result = kpl.sweep(classifier(), (X, Y), [0.5])
    table = result.groups(result.choose(sparsity=0.5))
    assert list(table.columns) == ["variable", "value", "observations", "dense", "accuracy", "change"]
    assert table.empty


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"SNR": SNR[:-1]}, r"groups\['SNR'\] has one value for each of the 90 observations, but its shape is \(89,\)"),
        ({"SNR": np.where(SNR > 0, np.nan, SNR)}, "missing or infinite"),
        ({"SNR": rng.normal(size=N)} if N > MAX_GROUPS else {"SNR": np.array([None] * N)}, "numbers or texts"),
        ([SNR], "a name for each variable"),
    ],
)
def test_what_is_no_group_is_refused(groups, message):
    with pytest.raises(kpl.InvalidDataError, match=message):
        kpl.sweep(classifier(), (X, Y), [0.5], groups=groups)


def test_too_many_values_are_refused():
    inputs, labels = np.tile(X, (2, 1)), np.tile(Y, 2)
    with pytest.raises(kpl.InvalidDataError, match="has 180 different values, and up to 100 are compared: round them"):
        kpl.sweep(classifier(), (inputs, labels), [0.5], groups={"SNR": np.arange(180.0)})


def test_values_that_are_not_finite_are_missing_in_json(tmp_path):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].set_weights([np.full((6, 1), 3e38, "float32")])
    result = kpl.sweep(model, (X, np.zeros((N, 1), "float32")), [0.5], groups={"SNR": SNR})
    path = result.to_json(tmp_path / "r.json")
    json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda text: pytest.fail(text))
    assert len(kpl.SweepResult.load(path).by_group) == 1
