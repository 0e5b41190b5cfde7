"""Right answers by class, against counts made from the pruned network's own predictions."""

from __future__ import annotations

import dataclasses
import sqlite3

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._evaluate._by_class import MAX_CLASSES, ByClass, counts_by_class

LEVELS = [0.2, 0.5, 0.8]


@pytest.fixture(scope="module")
def data():
    inputs = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    return inputs, inputs[:, :3].argmax(axis=1)


@pytest.fixture(scope="module")
def model(data):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*data, epochs=5, verbose=0)
    return model


def _by_hand(model, data):
    inputs, labels = data
    answers = np.asarray(model.predict(inputs, verbose=0)).argmax(axis=1)
    return [float((answers[labels == label] == label).mean()) for label in range(3)]


@pytest.mark.backends
def test_counts_are_those_of_the_pruned_network(model, data):
    swept = kpl.sweep(model, data, LEVELS, ["magnitude"])
    choice = swept.choose(sparsity=0.5)
    classes = swept.classes(choice)
    assert list(classes.columns) == ["class", "observations", "dense", "accuracy", "change"]
    assert list(classes["class"]) == ["0", "1", "2"]
    assert list(classes["observations"]) == np.bincount(data[1]).tolist()
    np.testing.assert_allclose(classes["dense"], _by_hand(model, data))
    dense = model.get_weights()
    try:
        swept.masks(choice).apply(model)
        np.testing.assert_allclose(classes["accuracy"], _by_hand(model, data))
    finally:
        model.set_weights(dense)
    np.testing.assert_allclose(classes["change"], classes["accuracy"] - classes["dense"])
    assert (classes["accuracy"] * classes["observations"]).sum() / 300 == pytest.approx(choice.accuracy)


def test_several_seeds_are_averaged(model, data):
    swept = kpl.sweep(model, data, LEVELS, ["random"], seeds=3)
    choice = swept.choose(sparsity=0.5)
    classes = swept.classes(choice)
    assert (classes["accuracy"] * classes["observations"]).sum() / 300 == pytest.approx(choice.accuracy)


def test_a_store_and_files_keep_them(model, data, tmp_path):
    swept = kpl.sweep(model, data, LEVELS, ["magnitude"], store=tmp_path / "s.db")
    again = kpl.sweep(model, data, LEVELS, ["magnitude"], store=tmp_path / "s.db")
    assert swept.by_class is not None
    assert again.by_class == swept.by_class
    swept.to_json(tmp_path / "r.json")
    assert kpl.SweepResult.load(tmp_path / "r.json").by_class == swept.by_class
    pytest.importorskip("pyarrow")
    swept.to_parquet(tmp_path / "r.parquet")
    assert kpl.SweepResult.load(tmp_path / "r.parquet").by_class == swept.by_class


def test_a_store_of_an_earlier_version_has_none_and_works(model, data, tmp_path):
    path = tmp_path / "s.db"
    kpl.sweep(model, data, LEVELS, ["magnitude"], store=path)
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE points DROP COLUMN right")
    connection.close()
    swept = kpl.sweep(model, data, LEVELS, ["magnitude"], store=path)
    assert swept.classes(swept.choose(sparsity=0.5)).empty


def test_worker_processes_send_them(model, data):
    pytest.importorskip("joblib")
    swept = kpl.sweep(model, data, LEVELS, ["magnitude"], workers=2)
    assert swept.by_class == kpl.sweep(model, data, LEVELS, ["magnitude"]).by_class


def test_joined_sweeps_have_the_points_of_both(model, data):
    one, other = (kpl.sweep(model, data, LEVELS, [name]) for name in ("magnitude", "random"))
    both = one.join(other)
    for score in ("magnitude", "random"):
        assert len(both.classes(both.choose(sparsity=0.5, score=score))) == 3
    assert one.join(dataclasses.replace(other, by_class=None)).by_class is None


def test_responses_have_no_classes(data):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    swept = kpl.sweep(model, (data[0], data[0][:, :2]), LEVELS, ["magnitude"])
    assert swept.by_class is None
    assert swept.classes(swept.choose(sparsity=0.5)).empty


def test_labels_without_a_class_and_vocabularies_are_left_out():
    labels, right = np.array([2, -1, 0, 2]), np.array([True, True, False, False])
    assert counts_by_class(labels, right) == ((1, 0, 2), (0, 0, 1))
    assert counts_by_class(np.array([MAX_CLASSES]), np.array([True])) == ((), ())
    assert counts_by_class(np.array([-1]), np.array([True])) == ((), ())


@pytest.mark.parametrize("counts", ["text", [1.5], [-1], [[1]], {"a": 1}])
def test_counts_of_a_file_are_checked(counts):
    with pytest.raises(TypeError, match="are no counts"):
        ByClass.from_json({"observations": counts, "dense": [1], "points": []})
