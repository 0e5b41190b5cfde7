"""The call in a report makes the same sweep when it is run as it is printed."""

from __future__ import annotations

from html import unescape

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

import keras_prunelab as kpl
from keras_prunelab._report._findings import Findings
from keras_prunelab._report._questions import questions


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, "relu", name="one"),
            layers.Dense(16, "relu", name="two"),
            layers.Dense(3, name="three"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


X = np.random.default_rng(1).normal(size=(90, 8)).astype("float32")
Y = network().predict(X, verbose=0).argmax(axis=1)
TRAIN, OTHER = (X[:32], Y[:32]), (X[32:64], Y[32:64])


def own(context):
    return {path: np.abs(value) % 0.1 for path, value in context.values.items()}  # noqa: PD011  # a mapping


def answer_spread(y_true, y_pred):
    return keras.ops.max(y_pred, axis=-1)


CALLS = {
    "plain": ({}, {}),
    "several of each": (
        {"scores": ["magnitude", "random"], "seeds": 2, "scope": ["global", "layer"]},
        {},
    ),
    "one seed that is not the first": ({"scores": ["random"], "seeds": [7]}, {}),
    "a score with options": ({"scores": [kpl.scores.get({"name": "random", "config": {"seed": 5}})]}, {}),
    "granularity": ({"granularity": (4, 4)}, {}),
    "n of m": ({"granularity": "2:4", "exclude": ["one"]}, {}),
    "channels": ({"granularity": "channel", "exclude": "th*"}, {}),
    "filters that are functions": ({"include": lambda item: "/two/" in item.path}, {}),
    "filters that are classes": ({"exclude": [layers.Conv2D]}, {}),
    "a score of ones own": ({"scores": ["magnitude", own]}, {"own": own}),
    "convention": ({"convention": "matlab", "scores": ("magnitude", "synflow")}, {}),
    "allocation": ({"scope": kpl.Allocation("layer", protect="first")}, {}),
    "calibration data": ({"scores": "snip", "calibration": TRAIN}, {"calibration": TRAIN}),
    "metrics": ({"metrics": ["accuracy", answer_spread]}, {"answer_spread": answer_spread}),
    "training": (
        {
            "finetune": [None, kpl.FineTune(TRAIN, epochs=2), kpl.FineTune(OTHER, rounds=2, rewind="weights")],
            "seeds": [3, 4],
        },
        {"train": TRAIN, "train_2": OTHER},
    ),
    "levels that are found": ({"sparsities": kpl.AutoLevels(0.5, 0.9, step=0.02)}, {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_call_makes_the_same_sweep(name, tmp_path):
    options, provided = CALLS[name]
    options = {"sparsities": [0.1, 1 / 3, 0.5], **options}
    result = kpl.sweep(network(), (X, Y), **options)
    page = kpl.report(result, result.choose(sparsity=0.3), tmp_path / "r.html").read_text(encoding="utf-8")
    printed = unescape(page.split("In Python:")[1].split("<code>")[1].split("</code>")[0])
    there = {"model": network(), "data": (X, Y), **provided}
    for needed in provided:
        assert needed in printed.splitlines()[2]
    exec(printed, there)  # noqa: S102  # what a reader would do
    pd.testing.assert_frame_equal(there["result"].table, result.table)
    assert there["result"].metadata["repeat"] == result.metadata["repeat"]


def test_it_says_whether_anything_was_trained():
    trained = kpl.sweep(network(), (X, Y), [0.5], finetune=[None, kpl.FineTune(TRAIN, epochs=2)])

    def said(score):
        choice = trained.choose(sparsity=0.5, score=score)
        return " ".join(question.known for question in questions(Findings.of(trained, choice)))

    assert "was trained after pruning, 2 epochs" in said("magnitude, 2 epochs")
    assert "Other curves of this sweep were trained after pruning (2 epochs); the choice was not" in said(
        "magnitude, none"
    )
    plain = kpl.sweep(network(), (X, Y), [0.5])
    assert "Nothing was trained" in questions(Findings.of(plain, plain.choose(sparsity=0.5)))[-2].known
