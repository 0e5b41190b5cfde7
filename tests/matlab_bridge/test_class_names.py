"""Names of classes in the forms that libraries keep them in, and those that no network can have."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest

from matlab_bridge import InvalidNetworkError, export_matlab_code, from_keras, load_network, save_portable

NAMES = ("b", "a", "c")


def model(outputs=3, activation="softmax"):
    layers = [keras.Input((4,)), keras.layers.Dense(outputs, name="fc")]
    return keras.Sequential([*layers, keras.layers.Activation(activation)] if activation else layers)


@pytest.mark.parametrize(
    "given",
    [
        list(NAMES),
        np.array(NAMES),
        np.array(NAMES, dtype=object),
        np.array(NAMES, dtype=np.dtypes.StringDType()),
        pd.Index(NAMES),
        pd.Series(NAMES),
        pd.Categorical(NAMES, NAMES).categories,
        iter(NAMES),
    ],
    ids=lambda given: type(given).__name__,
)
def test_any_row_of_names(tmp_path, given):
    path = tmp_path / "net.mat"
    save_portable(path, from_keras(model(), class_names=given))
    assert load_network(path).class_names == NAMES


@pytest.mark.parametrize("write", [save_portable, lambda path, net, **names: export_matlab_code(path, net, **names)])
@pytest.mark.parametrize("given", [np.array(NAMES), pd.Series(NAMES)])
def test_every_writer_takes_them(tmp_path, write, given):
    write(tmp_path / ("net.mat" if write is save_portable else "net.m"), model(), class_names=given)
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["a", "b"], "2 class names were given, and the network has 3 scores"),
        (["a", "b", "a"], "'a' are there more than once"),
        ([1, "1", 2], "'1' are there more than once"),
        (["two\nlines", "b", "c"], "control characters"),
        (["", "b", "c"], "empty"),
        ("abc", "Pass a list"),
    ],
)
def test_names_that_no_network_can_have(tmp_path, given, complaint):
    with pytest.raises(InvalidNetworkError, match=complaint):
        from_keras(model(), class_names=given)
    for write in (save_portable, lambda path, net, **names: export_matlab_code(path, net, **names)):
        with pytest.raises(InvalidNetworkError, match=complaint):
            write(tmp_path / "net.m", model(), class_names=given)
    assert list(tmp_path.iterdir()) == []


def test_a_single_score_has_two_names():
    assert from_keras(model(1, "sigmoid"), class_names=["no", "yes"]).class_names == ("no", "yes")


def test_names_stay_without_new_ones():
    named = from_keras(model(), class_names=NAMES)
    assert from_keras(named.to_keras()).class_names == NAMES
