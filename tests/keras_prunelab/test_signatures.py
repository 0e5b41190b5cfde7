"""Public functions show all their options, and name the nearest one where a name is wrong."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

FUNCTIONS = [kpl.sweep, kpl.plan_sweep, kpl.remove_filters, kpl.prune, kpl.trajectory]
X, Y = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32), np.arange(20) % 3


def make_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(20, "relu"), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_option_is_in_the_signature_and_in_the_docstring(function: Any) -> None:
    parameters = inspect.signature(function).parameters
    assert not [each for each in parameters.values() if each.kind is inspect.Parameter.VAR_KEYWORD]
    undocumented = [name for name in parameters if f"\n        {name}: " not in function.__doc__]
    assert undocumented == []


@pytest.mark.parametrize(
    ("function", "wrong", "right"),
    [
        (kpl.sweep, "batchsize", "batch_size"),
        (kpl.sweep, "finetuning", "finetune"),
        (kpl.plan_sweep, "granularty", "granularity"),
        (kpl.remove_filters, "round", "rounds"),
        (kpl.prune, "scores", "score"),
        (kpl.trajectory, "prunable", "prunables"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(function: Any, wrong: str, right: str) -> None:
    with pytest.raises(TypeError, match=rf"^{function.__name__} has no option '{wrong}'\. Did you mean '{right}'\?"):
        function(make_model(), **{wrong: 1})


CALLS = {
    "prune": (lambda **data: kpl.prune(make_model(), 0.5, "snip", **data), "data"),
    "trajectory": (lambda **data: kpl.trajectory(make_model(), 0.5, "snip", **data), "data"),
    "remove_filters": (lambda **data: kpl.remove_filters(make_model(), 0.5, "taylor", **data), "data"),
    "sweep": (lambda **data: kpl.sweep(make_model(), (X, Y), [0.5], "snip", **data), "score_data"),
}


@pytest.mark.parametrize("name", CALLS)
def test_calibration_data_has_one_name_and_an_alias(name: str) -> None:
    call, alias = CALLS[name]
    given = X[:10], Y[:10]
    one, other = call(calibration=given), call(**{alias: given})
    if isinstance(one, keras.Model):
        assert [weight.tolist() for weight in one.get_weights()] == [weight.tolist() for weight in other.get_weights()]
    with pytest.raises(kpl.InvalidDataError, match=f"calibration= and {alias}= mean the same"):
        call(calibration=given, **{alias: given})


def test_a_sweep_takes_the_size_of_its_batches() -> None:
    result = kpl.sweep(make_model(), (X, Y), [0.5], batch_size=7)
    assert result.metadata["batch_size"] == 7
    assert "batch_size=7" in str(result.metadata["repeat"])
    assert result.table["accuracy"].tolist() == kpl.sweep(make_model(), (X, Y), [0.5]).table["accuracy"].tolist()
    with pytest.raises(kpl.InvalidDataError, match="batch_size=0"):
        kpl.sweep(make_model(), (X, Y), [0.5], batch_size=0)
