"""Seeds, stores, refinement, training and files of a sweep."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.io
from keras import layers

import keras_prunelab as kpl
from keras_prunelab import InvalidMaskError, NoTradeOffError, StoreMismatchError
from keras_prunelab._evaluate._metric import ACCURACY
from keras_prunelab._sweep._bench import Bench

pytestmark = pytest.mark.backends

LEVELS = (0.0, 0.5, 0.8)


def data(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(120, 6)).astype("float32")
    return x, (x[:, :3]).argmax(axis=1)


def learned() -> tuple[np.ndarray, np.ndarray]:
    """Data that the untrained model knows: a choice needs a network that is better than a constant."""
    x, _ = data()
    return x, model().predict(x, verbose=0).argmax(axis=1)


def model(seed: int = 5) -> keras.Model:
    keras.utils.set_random_seed(seed)
    made = keras.Sequential(
        [keras.Input((6,)), layers.Dense(12, "relu", name="fc1"), layers.Dense(3, "softmax", name="fc2")], name="net"
    )
    made.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def test_seeds_make_curves_and_what_does_not_depend_on_them_is_measured_once(monkeypatch):
    measured = []
    original = Bench.measure
    monkeypatch.setattr(Bench, "measure", lambda self, *given: measured.append(given[:2]) or original(self, *given))
    result = kpl.sweep(model(), data(), LEVELS, ["magnitude", "random"], seeds=3, scope=["global", "layer"])
    assert len(result.table) == 2 * 3 * 2 * 3
    assert len(measured) == (1 + 3) * 2 * 3
    assert result.scores == ("magnitude, global", "magnitude, layer", "random, global", "random, layer")
    table = result.table.set_index(["score", "scope", "seed", "sparsity_target"])["accuracy"]
    alone = kpl.sweep(model(), data(), LEVELS, kpl.scores.Random(seed=2)).table["accuracy"]
    assert table["random", "global", 2].tolist() == alone.tolist()
    summary = result.summary().set_index(["score", "scope", "sparsity_target"])
    values = [table["random", "global", seed, 0.5] for seed in range(3)]
    assert summary.loc[("random", "global", 0.5), "accuracy_mean"] == pytest.approx(np.mean(values))
    assert summary.loc[("random", "global", 0.5), "accuracy_std"] == pytest.approx(np.std(values, ddof=1))
    assert summary.loc[("magnitude", "layer", 0.5), "accuracy_std"] == 0
    choice = result.choose(sparsity=0.5, score="random, global")
    assert choice.accuracy == pytest.approx(np.mean(values))
    assert "means over 3 seeds" in choice.reason
    assert result.masks(choice) == kpl.trajectory(model(), [0.5], kpl.scores.Random(seed=0)).masks(0)


def test_storage_and_speed_are_counted_as_the_columns_say():
    result = kpl.sweep(model(), learned(), LEVELS)
    kernels, biases = 6 * 12 + 12 * 3, 15
    assert result.table["speedup"].tolist() == [kernels / (kernels - zeros) for zeros in result.table["zeros"]]
    for _, row in result.table.iterrows():
        masks = result.masks(result.choose(sparsity=row["sparsity"]))
        stored = sum(min(4 * mask.size, 4 * int(mask.sum()) + -(-mask.size // 8)) for mask in masks.values())
        assert row["bytes"] == 4 * biases + stored
    small = result.choose(max_bytes=int(result.table["bytes"].iloc[1]))
    assert small.accuracy == result.table["accuracy"][1:].max()
    assert "bytes, within the" in small.reason
    with pytest.raises(NoTradeOffError, match=r"at most 3 bytes\. The smallest"):
        result.choose(max_bytes=3)


def test_a_plan_lists_what_will_be_measured_and_measures_nothing():
    made = model()
    planned = kpl.plan_sweep(made, data(), LEVELS, ["magnitude", "random"], seeds=[4, 7])
    assert len(planned.plan.points) == 12
    text = str(planned)
    assert "12 points: 4 curves of 3 levels each." in text
    assert "magnitude, global, seed 7 (the same as seed 4: measured once)" in text
    assert "0.00 %, 50.00 %, 80.00 %" in text
    before = [np.array(weight) for weight in made.get_weights()]
    assert planned.seconds() > 0
    assert all(np.array_equal(weight, was) for weight, was in zip(made.get_weights(), before, strict=True))


def test_a_store_goes_on_where_it_was(tmp_path, monkeypatch):
    path = tmp_path / "sweep.db"
    whole = kpl.sweep(model(), data(), LEVELS, ["magnitude", "random"])

    def interrupt(at):
        if at.done == 4:
            raise KeyboardInterrupt

    part = kpl.sweep(model(), data(), LEVELS, ["magnitude", "random"], store=path, progress=interrupt)
    assert not part.complete
    assert len(part.table) == 4
    measured = []
    original = Bench.measure
    monkeypatch.setattr(Bench, "measure", lambda self, *given: measured.append(given[:2]) or original(self, *given))
    again = kpl.sweep(model(), data(), LEVELS, ["magnitude", "random"], store=path)
    assert measured == [(1, 0.5), (1, 0.8)]
    pd.testing.assert_frame_equal(again.table, whole.table)
    assert again.dense == whole.dense
    assert again.masks(again.choose(sparsity=0.5)) == whole.masks(whole.choose(sparsity=0.5))
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.db"]


def test_a_store_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "sweep.db"
    kpl.sweep(model(), data(), LEVELS, store=path)
    before = path.read_bytes()
    for changed, message in [
        ({"model": model(6)}, "the weights of the model"),
        ({"data": data(4)}, "the data"),
        ({"data": (data()[0], (data()[1] + 1) % 3)}, "the data"),  # other labels alone
        ({"data": (data(4)[0], data()[1])}, "the data"),  # other inputs alone
        ({"data": (data()[0][::-1], data()[1])}, "the data"),  # in another order
        ({"granularity": "channel"}, r"the setting granularity \(\"weight\" there, \"channel\" here\)"),
        ({"scope": "layer"}, "the setting curves"),
        ({"sparsities": (0.0, 0.5)}, "the setting sparsities"),
        ({"metrics": ["accuracy"]}, "the setting metrics"),
        ({"exclude": "fc2"}, "the setting variables"),
    ]:
        given = {"model": model(), "data": data(), "sparsities": LEVELS} | changed
        with pytest.raises(StoreMismatchError, match=message):
            kpl.sweep(**given, store=path)
    assert path.read_bytes() == before
    text = tmp_path / "text.db"
    text.write_text("no database at all, but long enough to be looked at " * 9, encoding="utf-8")
    with pytest.raises(StoreMismatchError, match="not a store"):
        kpl.sweep(model(), data(), LEVELS, store=text)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE people (name TEXT)")
    connection.close()
    with pytest.raises(StoreMismatchError, match="not a store"):
        kpl.sweep(model(), data(), LEVELS, store=other)


SCRIPT = """
import sys, time
from tests.keras_prunelab import test_sweep_engine as own
import keras_prunelab as kpl
def slowly(at):
    print(at.done, flush=True)
    time.sleep(0.3)
kpl.sweep(own.model(), own.data(), own.LEVELS, ["magnitude", "random"], store=sys.argv[1], progress=slowly)
"""


@pytest.mark.slow
def test_a_killed_sweep_ends_with_the_same_table(tmp_path):
    path = tmp_path / "sweep.db"
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE, text=True, cwd=root, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "3":
                time.sleep(0.05)
                process.send_signal(signal.SIGKILL)
                break
    with sqlite3.connect(path) as connection:
        kept = connection.execute("SELECT count(*) FROM points").fetchone()[0]
    connection.close()
    assert kept == 3
    result = kpl.sweep(model(), data(), LEVELS, ["magnitude", "random"], store=path)
    pd.testing.assert_frame_equal(result.table, kpl.sweep(model(), data(), LEVELS, ["magnitude", "random"]).table)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bend", [0.7, 0.9, 0.97])
def test_refined_levels_find_the_trade_off_of_the_whole_grid(bend, seed):
    levels = kpl.AutoLevels()
    grid = np.array(levels.grid)
    noise = np.random.default_rng(seed).normal(scale=0.0008, size=grid.size)
    curve = 0.98 - 0.01 * grid - 0.85 / (1 + np.exp(-(grid - bend) * 120)) + noise
    values = dict(zip(levels.grid, np.round(curve, 4).tolist(), strict=True))
    measured = {level: values[level] for level in levels.coarse}
    while new := levels.next(measured, 0.98, ACCURACY):
        assert not set(new) & measured.keys()
        measured |= {level: values[level] for level in new}
    assert len(measured) * 3 <= len(grid)
    known = sorted(measured)
    for left, right in pairwise(known):
        assert right - left < 0.0021 or abs(measured[left] - measured[right]) <= 0.005
    best = max(level for level in known if ACCURACY.meets(measured[level], 0.97))
    expected = max(level for level in levels.grid if ACCURACY.meets(values[level], 0.97))
    assert abs(best - expected) <= 0.0021


def test_auto_measures_what_it_asks_for(tmp_path):
    levels = kpl.AutoLevels(0.0, 0.9, step=0.02, tolerance=0.03)
    result = kpl.sweep(model(), data(), levels, ["magnitude", "random"], store=tmp_path / "s.db")
    assert set(levels.coarse) <= set(result.table["sparsity_target"]) <= set(levels.grid)
    curve = result.table[result.table["score"] == "random"].set_index("sparsity_target")["accuracy"]
    fixed = kpl.sweep(model(), data(), list(curve.index), "random").table
    assert fixed["accuracy"].tolist() == curve.tolist()
    again = kpl.sweep(model(), data(), levels, ["magnitude", "random"], store=tmp_path / "s.db")
    pd.testing.assert_frame_equal(again.table, result.table)


@pytest.mark.parametrize("rewind", [None, "learning_rate", "weights"])
def test_training_starts_from_the_same_weights_at_every_point(rewind):
    made = model()
    before = [np.array(weight) for weight in made.get_weights()]
    how = kpl.FineTune(data(9), epochs=1, rounds=2, rewind=rewind)
    result = kpl.sweep(made, data(), [0.5, 0.8], finetune=[None, how], seeds=2)
    for weight, was in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, was)
    table = result.table.set_index(["training", "seed", "sparsity_target"])
    assert table["zeros"].tolist() == [54, 86] * 4
    alone = kpl.sweep(made, data(), [0.8], finetune=how, seeds=[1]).table.iloc[0]
    assert table.loc[(str(how), 1, 0.8), "loss"] == pytest.approx(alone["loss"], abs=1e-6)
    assert table.loc[(str(how), 0, 0.8), "loss"] != table.loc[(str(how), 1, 0.8), "loss"]
    choice = result.choose(sparsity=0.8, score=f"magnitude, {how}")
    assert result.masks(choice).zeros == 86
    assert choice.training == str(how)


def test_one_shot_and_training_is_what_a_user_would_write():
    made = model()
    x, y = data(9)
    row = kpl.sweep(made, data(), [0.8], finetune=kpl.FineTune((x, y), epochs=2), seeds=[3]).table.iloc[0]
    pruned = kpl.prune(made, 0.8)
    fresh = keras.models.clone_model(pruned)
    fresh.set_weights([np.array(weight) for weight in pruned.get_weights()])
    fresh.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    masks = kpl.MaskSet.from_zeros(fresh)
    fresh.evaluate(*data(), verbose=0)  # else `fit` builds the metrics, for which it draws one more order of the data
    keras.utils.set_random_seed(3)
    fresh.fit(
        x,
        y,
        batch_size=32,
        epochs=2,
        verbose=0,
        callbacks=[kpl.callbacks.Prune(kpl.schedules.Constant(masks.sparsity), masks=masks)],
    )
    expected = fresh.evaluate(*data(), verbose=0, return_dict=True)
    assert row["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert row["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)


@pytest.mark.parametrize("metrics", [None, ["accuracy"]])
def test_training_does_not_depend_on_the_points_before(metrics):
    finetune = kpl.FineTune(data(9), epochs=2, callbacks=lambda: [losses])
    seen = []
    for levels in ([0.8], [0.5, 0.8]):
        losses = keras.callbacks.History()
        kpl.sweep(model(), data(), levels, finetune=finetune, metrics=metrics, seeds=[3])
        seen.append(losses.history["loss"][-2:])
    assert seen[0] == seen[1]


def test_files_say_the_same_and_load(tmp_path):
    result = kpl.sweep(model(), learned(), LEVELS, ["magnitude", "random"], seeds=2)
    infinite = result.table.assign(speedup=[np.inf, np.nan, *result.table["speedup"][2:]])
    object.__setattr__(result, "table", infinite)
    pd.testing.assert_frame_equal(pd.read_csv(result.to_csv(tmp_path / "s.csv")), infinite)
    loaded = [kpl.SweepResult.load(result.to_json(tmp_path / "s.json"))]
    json.loads((tmp_path / "s.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    if importlib.util.find_spec("pyarrow"):
        loaded.append(kpl.SweepResult.load(result.to_parquet(tmp_path / "s.parquet")))
    for other in loaded:
        pd.testing.assert_frame_equal(other.table, infinite)
        assert (other.dense, other.metric, other.complete) == (result.dense, result.metric, True)
        assert other.metadata == result.metadata
        assert other.outline == result.outline
        assert other.choose(max_drop=0.1) == result.choose(max_drop=0.1)
        with pytest.raises(InvalidMaskError, match="not the masks"):
            other.masks(other.choose(max_drop=0.1))
    saved = scipy.io.loadmat(result.to_mat(tmp_path / "s.mat"), simplify_cells=True)
    assert saved["sweep"]["Score"].tolist() == result.table["score"].tolist()
    np.testing.assert_array_equal(saved["sweep"]["Accuracy"], result.table["accuracy"])
    assert saved["about"]["Dense"] == result.dense
    (tmp_path / "no.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StoreMismatchError, match="no result"):
        kpl.SweepResult.load(tmp_path / "no.json")
    with pytest.raises(FileNotFoundError):
        kpl.SweepResult.load(tmp_path / "missing.json")
