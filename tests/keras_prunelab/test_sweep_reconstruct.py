"""Curves whose weights are solved anew: their names, their networks, what is kept of them and said of their data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import keras_prunelab as kpl
from keras_prunelab._sweep import _bench, _solving

pytestmark = pytest.mark.backends

L = keras.layers
LEVELS = [0.5, 0.8]


class WithoutRule(keras.layers.Layer):
    """A layer that is masked only, as nobody has said what it multiplies."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(x, self.kernel)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@pytest.fixture(scope="module")
def setting() -> tuple[keras.Model, Any, Any]:
    """A trained classifier of three clouds of points, data to measure on and other data to calibrate on."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    labels = np.arange(360) % 3
    x = (random.normal(size=(3, 12))[labels] + random.normal(size=(360, 12))).astype(np.float32)
    model = keras.Sequential([keras.Input((12,)), L.Dense(16, "relu"), L.Dense(3, "softmax")])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x[:240], labels[:240], epochs=20, verbose=0)
    return model, (x[240:], labels[240:]), x[:240]


def accuracy(model: keras.Model, data: Any) -> float:
    return float((np.asarray(model.predict(data[0], verbose=0)).argmax(-1) == data[1]).mean())


def test_curves_have_names_and_networks(setting: Any, tmp_path: Path) -> None:
    model, data, calibration = setting
    before = [np.array(each) for each in model.get_weights()]
    result = kpl.sweep(
        model, data, LEVELS, ["magnitude", "obs"], calibration=calibration, reconstruct=[False, "layers", "sequential"]
    )
    assert result.scores == (
        *("magnitude", "magnitude + reconstruction", "magnitude + sequential reconstruction"),
        *("obs", "obs + reconstruction", "obs + sequential reconstruction"),
    )
    for one, two in zip(before, model.get_weights(), strict=True):
        assert_array_equal(one, two)
    for curve in result.scores:
        choice = result.choose(sparsity=0.8, score=curve)
        assert choice.curve == curve
        network = result.network(choice)
        assert accuracy(network, data) == pytest.approx(choice.accuracy)
        assert kpl.sparsity(network) == choice.sparsity == pytest.approx(0.8, abs=0.01)
        assert_array_equal(
            [mask.sum() for mask in result.masks(choice).values()],
            [np.count_nonzero(each) for each in network.get_weights() if each.ndim == 2],
        )
    choice = result.choose(sparsity=0.8, score="magnitude + reconstruction")
    direct = kpl.prune(model, 0.8, calibration=calibration, reconstruct="layers")
    for one, two in zip(direct.get_weights(), result.network(choice).get_weights(), strict=True):
        assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert result.metadata["calibration"] == "data of its own"
    assert result.metadata["damping"] == 0.01
    assert "exact" in str(result.metadata["traces"])
    assert not [doubt for doubt in result.doubts() if "flatters" in doubt]
    again = kpl.SweepResult.load(result.to_json(tmp_path / "sweep.json"))
    assert again.scores == result.scores
    with pytest.raises(kpl.InvalidModelError, match="not at hand"):
        again.network(choice)


@pytest.mark.parametrize("granularity", ["weight", "channel"])
@pytest.mark.parametrize("room", [None, 1, 500])
def test_levels_that_are_solved_together_are_what_each_is_alone(
    room: int | None, granularity: str, setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if room is not None:
        monkeypatch.setattr(_solving, "_TOGETHER", room)
    _, data, calibration = setting
    keras.utils.set_random_seed(0)
    layers = [L.Dense(16, "relu"), WithoutRule(8), L.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((12,)), *layers])
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    levels = [0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8]
    written: dict[float, list[Any]] = {}
    monkeypatch.setattr(_bench.Bench, "_outcome", _noting(written, levels, _bench.Bench._outcome))
    kpl.sweep(model, data, levels, ["magnitude"], calibration=calibration, reconstruct=True, granularity=granularity)
    for one, two in zip(before, model.get_weights(), strict=True):
        assert_array_equal(one, two)
    for level in levels:
        alone = kpl.prune(model, level, calibration=calibration, reconstruct="layers", granularity=granularity)
        for one, two in zip(alone.get_weights(), written[level], strict=True):
            assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def _noting(written: dict[float, list[Any]], levels: list[float], outcome: Any) -> Any:
    """Note the weights that each level is measured with, in the order of the levels."""

    def note(bench: Any, *args: Any) -> Any:
        written[levels[len(written)]] = [np.array(each) for each in bench._model.get_weights()]
        return outcome(bench, *args)

    return note


def test_obs_alone_is_solved_under_its_own_name(setting: Any, tmp_path: Path) -> None:
    model, data, calibration = setting
    result = kpl.sweep(model, data, LEVELS, ["magnitude", "obs"], calibration=calibration, reconstruct=True)
    assert result.scores == ("magnitude + reconstruction", "obs")
    more = kpl.sweep(model, data, [0.8], "obs", calibration=calibration, reconstruct="sequential")
    both = result.join(more)
    assert both.scores == ("magnitude + reconstruction", "obs", "obs, sequential")
    assert both.choose(sparsity=0.8, score="obs").curve == "obs"
    assert kpl.report(both, both.choose(sparsity=0.8, score="obs"), tmp_path / "report.html").exists()
    assert "reconstruct='layers'" in str(result.metadata["repeat"])


def test_the_same_data_is_named(setting: Any) -> None:
    model, data, _ = setting
    result = kpl.sweep(model, data, LEVELS, reconstruct=True)
    assert result.metadata["calibration"] == "the observations that are measured"
    assert any("flatters" in doubt for doubt in result.doubts())


def test_a_store_goes_with_its_calibration_and_damping(setting: Any, tmp_path: Path) -> None:
    model, data, calibration = setting
    how: dict[str, Any] = {"reconstruct": True, "store": tmp_path / "points.db"}
    first = kpl.sweep(model, data, LEVELS, calibration=calibration, **how)
    again = kpl.sweep(model, data, LEVELS, calibration=calibration, **how)
    assert_array_equal(first.table["accuracy"], again.table["accuracy"])
    for other in ({"calibration": calibration[:100]}, {"calibration": calibration, "damping": 0.1}):
        with pytest.raises(kpl.StoreMismatchError):
            kpl.sweep(model, data, LEVELS, **how, **other)


def test_training_begins_from_the_solved_weights(setting: Any) -> None:
    model, data, calibration = setting
    training = kpl.FineTune(data, epochs=1)
    result = kpl.sweep(
        model, data, [0.8], calibration=calibration, reconstruct=[False, True], finetune=[None, training]
    )
    assert result.scores == (
        *("magnitude, none", "magnitude, 1 epoch"),
        *("magnitude + reconstruction, none", "magnitude + reconstruction, 1 epoch"),
    )
    for curve in result.scores:
        choice = result.choose(sparsity=0.8, score=curve)
        network = result.network(choice)
        assert kpl.sparsity(network) == choice.sparsity
        assert accuracy(network, data) == pytest.approx(choice.accuracy)
    with pytest.raises(kpl.InvalidScheduleError, match="one round"):
        kpl.plan_sweep(model, data, [0.8], reconstruct=True, finetune=kpl.FineTune(data, rounds=2))


def test_bad_input_is_refused_before_anything_runs(setting: Any) -> None:
    model, data, calibration = setting
    with pytest.raises(kpl.UnknownNameError, match="reconstruct"):
        kpl.plan_sweep(model, data, LEVELS, reconstruct="all")
    with pytest.raises(kpl.InvalidDataError, match="damping"):
        kpl.plan_sweep(model, data, LEVELS, reconstruct=True, damping="much")
    with pytest.raises(kpl.InvalidDataError, match="shape"):
        kpl.plan_sweep(model, data, LEVELS, reconstruct=True, calibration=calibration[:, :5])
