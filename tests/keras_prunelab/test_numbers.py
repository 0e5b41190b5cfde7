"""Numbers of every kind, wherever a number is meant; flags and texts nowhere."""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab import schedules, scores
from keras_prunelab._model._numbers import real_number, real_numbers, whole_number

L = keras.layers


def kinds(number: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        "float": number,
        "float16": np.float16(number),
        "float32": np.float32(number),
        "float64": np.float64(number),
        "array": np.array(number),
        "tensor": keras.ops.convert_to_tensor(number, "float32"),
        "variable": keras.Variable(number, dtype="float32"),
        "Fraction": Fraction(str(number)),
        "Decimal": Decimal(str(number)),
    }
    return found


def whole_kinds(number: int) -> dict[str, Any]:
    return {
        "int": number,
        "int64": np.int64(number),
        "uint8": np.uint8(number),
        "array": np.array(number),
        "tensor": keras.ops.convert_to_tensor(number, "int32"),
        "float": float(number),
        "Fraction": Fraction(number),
        "Decimal": Decimal(number),
    }


def make_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,)), L.Dense(20, "relu", name="a"), L.Dense(3, "softmax", name="b")])


X, Y = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32), np.arange(20) % 3


@functools.cache
def swept() -> kpl.SweepResult:
    """A sweep of a network that names the classes by its first three inputs: it is always right."""
    model = keras.Sequential([keras.Input((6,)), L.Dense(3, use_bias=False)])
    model.layers[0].set_weights([np.eye(6, 3) + 0.01 * np.eye(6, 3, -3)])
    return kpl.sweep(model, (np.eye(6, dtype="float32")[Y], Y), [0.2, 0.6])


SHARES: dict[str, Callable[[Any], Any]] = {
    "Constant": lambda n: schedules.Constant(n).get_config(),
    "OneShot": lambda n: schedules.OneShot(n, step=1).get_config(),
    "Polynomial": lambda n: schedules.Polynomial(n, 0.9, end_step=10).get_config(),
    "Polynomial, last": lambda n: schedules.Polynomial(0.0, n, end_step=10).get_config(),
    "power": lambda n: schedules.Polynomial(0.0, 0.9, end_step=10, power=n).get_config(),
    "Iterative": lambda n: schedules.Iterative(n, rounds=3, frequency=10).get_config(),
    "Piecewise": lambda n: schedules.Piecewise({0: n}).get_config(),
    "get": lambda n: schedules.get(n).get_config(),
    "Prune": lambda n: kpl.callbacks.Prune(n).schedule.get_config(),
    "SET": lambda n: kpl.callbacks.SET(n, fraction=n).sparsity,
    "RigL": lambda n: kpl.callbacks.RigL(n, (X, Y), fraction=n).fraction,
    "wrap": lambda n: kpl.layers.wrap(make_model(), n).layers[0].schedule.get_config(),
    "prune": lambda n: kpl.sparsity(kpl.prune(make_model(), n)),
    "trajectory": lambda n: kpl.trajectory(make_model(), [0.0, n]).sparsities,
    "sweep": lambda n: kpl.sweep(make_model(), (X, Y), [0.0, n]).table["sparsity_target"].tolist(),
    "remove_filters": lambda n: kpl.remove_filters(make_model(), n).count_params(),
    "budget": lambda n: kpl.remove_filters(make_model(), budget={"macs": n}).count_params(),
    "Allocation": lambda n: kpl.sparsity(kpl.prune(make_model(), 0.6, scope=kpl.Allocation(max_sparsity=n))),
    "max_drop": lambda n: swept().choose(max_drop=n).reason,
    "min_metric": lambda n: swept().choose(min_metric=n).reason,
    "choose": lambda n: swept().choose(sparsity=n).reason,
    "AutoLevels": lambda n: kpl.AutoLevels(n, 0.9).coarse,
}

COUNTS: dict[str, Callable[[Any], Any]] = {
    "step": lambda n: schedules.Polynomial(0.0, 0.9, end_step=100, begin_step=n, frequency=n).get_config(),
    "rounds": lambda n: schedules.Iterative(0.5, rounds=n, frequency=n).get_config(),
    "seed": lambda n: scores.Random(n).get_config(),
    "SET": lambda n: kpl.callbacks.SET(0.5, seed=n, frequency=n).seed,
    "batch_size": lambda n: scores.SNIP(n).get_config(),
    "Wanda": lambda n: scores.Wanda(n).get_config(),
    "RigL": lambda n: kpl.callbacks.RigL(0.5, (X, Y), batch_size=n).batch_size,
    "SynFlow": lambda n: scores.SynFlow(n).get_config(),
    "latency": lambda n: len(kpl.latency([make_model()], n, seconds=0)),
    "FineTune": lambda n: str(kpl.FineTune((X, Y), epochs=n, rounds=n, batch_size=n)),
    "remove_filters": lambda n: kpl.remove_filters(make_model(), 0.5, rounds=n, multiple_of=n).count_params(),
    "granularity": lambda n: kpl.sparsity(kpl.prune(make_model(), 0.5, granularity=(n, 1))),
    "seeds": lambda n: len(kpl.sweep(make_model(), (X, Y), [0.5], "random", seeds=n).table),
    "recalibrate": lambda n: [
        weight.tolist()
        for weight in kpl.recalibrate(
            keras.Sequential([keras.Input((6,)), L.BatchNormalization()]), X, batch_size=n
        ).get_weights()
    ],
}

NO_NUMBERS: list[Any] = [True, np.True_, np.array([0.5]), "0.5", b"0.5", None, float("nan"), 0.5j]


@pytest.mark.backends
@pytest.mark.parametrize("name", SHARES)
def test_a_share_is_a_number_of_any_kind(name: str) -> None:
    expected = SHARES[name](0.6)
    for kind, number in kinds(0.6).items():
        if kind != "float16":  # means 0.6, too
            assert SHARES[name](number) == expected, kind
    assert real_number(np.float16(0.6)) == 0.6


@pytest.mark.backends
@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_a_whole_number_of_any_kind(name: str) -> None:
    expected = COUNTS[name](2)
    for kind, number in whole_kinds(2).items():
        assert COUNTS[name](number) == expected, kind


@pytest.mark.parametrize("name", SHARES)
def test_what_is_no_number_is_no_share(name: str) -> None:
    for value in NO_NUMBERS:
        if value is None and name in ("Allocation", "remove_filters", "max_drop", "min_metric", "choose"):
            continue  # no limit, no fraction beside a budget, or another condition
        if isinstance(value, np.ndarray) and name in ("trajectory", "sweep"):
            continue  # a list of levels may have arrays in it
        with pytest.raises(kpl.PruneLabError):
            SHARES[name](value)


@pytest.mark.parametrize("name", COUNTS)
def test_what_is_no_number_is_no_count(name: str) -> None:
    for value in (True, np.True_, np.array([2]), 2.5, float("nan"), float("inf"), 2j):
        if isinstance(value, np.ndarray) and name == "seeds":
            continue  # the seeds themselves
        with pytest.raises(kpl.PruneLabError):
            COUNTS[name](value)


def test_several_numbers_keep_their_order_and_precision() -> None:
    given = [np.float32(0.3), (Decimal("0.1"), Fraction(1, 5)), np.float32([0.7, 0.6]), range(2)]
    assert real_numbers(given) == [0.3, 0.1, 0.2, 0.7, 0.6, 0.0, 1.0]
    assert real_numbers(keras.ops.convert_to_tensor([0.7, 0.6], "float32")) == [0.7, 0.6]
    assert real_numbers([0.5, "0.6"]) is None
    assert real_numbers(np.array([True])) is None


def test_large_whole_numbers_are_exact() -> None:
    assert whole_number(2**60 + 1) == whole_number(np.int64(2**60 + 1)) == 2**60 + 1
