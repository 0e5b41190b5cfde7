"""The paired standard error, against arithmetic from the definition."""

from __future__ import annotations

import math
import sqlite3

import keras
import numpy as np
import pytest
from keras import layers

import keras_prunelab as kpl
from keras_prunelab import NoTradeOffError
from keras_prunelab._evaluate._metric import ACCURACY, RMSE
from keras_prunelab._evaluate._paired import PAIRED, AnswerLog, Answers

pytestmark = pytest.mark.backends


def noted(metric, answers, labels, cuts=(7, 30)) -> Answers:
    log = AnswerLog(metric)
    for part, its in zip(np.split(answers, cuts), np.split(labels, cuts), strict=True):
        log.add(part, its)
    found = log.result()
    assert found is not None
    return found


def jackknife(metric_of, count: int) -> float:
    """The standard error of a statistic from leaving out one observation at a time, Efron 1982."""
    left_out = np.array([metric_of(np.delete(np.arange(count), index)) for index in range(count)])
    return math.sqrt((count - 1) / count * np.square(left_out - left_out.mean()).sum())


def test_accuracy_from_the_counts_of_mcnemar():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    before = np.where(random.random(200) < 0.8, labels, (labels + 1) % 3)
    after = np.where(random.random(200) < 0.6, before, random.integers(0, 3, 200))
    lost = sum(b == y != a for a, b, y in zip(after, before, labels, strict=True))
    gained = sum(a == y != b for a, b, y in zip(after, before, labels, strict=True))
    found = noted(ACCURACY, after, labels).against(noted(ACCURACY, before, labels))
    assert (found["lost"], found["gained"], found["answers"]) == (lost, gained, len(set(after)))
    variance = (lost + gained - (gained - lost) ** 2 / 200) / 199
    assert found["loss_error"] == pytest.approx(math.sqrt(variance / 200), rel=1e-12)


def test_rmse_agrees_with_a_jackknife():
    random = np.random.default_rng(1)
    labels = random.normal(size=(400, 2))
    before = labels + 0.3 * random.normal(size=labels.shape)
    after = before + 0.1 * random.normal(size=labels.shape)

    def difference(chosen):
        new, old = (np.sqrt(np.square(x[chosen] - labels[chosen]).mean()) for x in (after, before))
        return new - old

    found = noted(RMSE, after, labels).against(noted(RMSE, before, labels))
    assert found["loss_error"] == pytest.approx(jackknife(difference, 400), rel=0.01)
    assert "lost" not in found


def test_labels_of_one_sequence_are_one_observation():
    random = np.random.default_rng(2)
    log, base, rows = AnswerLog(ACCURACY), AnswerLog(ACCURACY), []
    for _ in range(60):
        length = int(random.integers(2, 9))
        labels = random.integers(0, 2, (1, length))
        before = labels.copy()
        after = labels ^ (random.random((1, 1)) < 0.3)  # all steps of a sequence fail together
        log.add(after, labels)
        base.add(before, labels)
        rows.append(((after == labels).sum(), length))
    right, sizes = np.array(rows, float).T

    def difference(chosen):
        return right[chosen].sum() / sizes[chosen].sum() - 1

    found = log.result().against(base.result())
    assert found["loss_error"] == pytest.approx(jackknife(difference, 60), rel=0.03)


def test_data_in_another_order_is_not_paired():
    labels = np.arange(50) % 2
    found = noted(ACCURACY, labels, labels).against(noted(ACCURACY, labels[::-1], labels[::-1]))
    assert found == {"answers": 2.0}


def test_the_best_constant():
    labels = np.array([0, 0, 0, 1, 2, -1] * 10)
    assert noted(ACCURACY, labels, labels).trivial().value == 0.5
    responses = np.random.default_rng(3).normal(5, 2, (40, 1))
    assert noted(RMSE, responses, responses).trivial().value == pytest.approx(responses.std())


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,)), layers.Dense(16, "relu"), layers.Dense(3)])


def data() -> tuple[np.ndarray, np.ndarray]:
    """Labels that the network has learned: its own answers, a tenth of them changed."""
    x = np.random.default_rng(4).normal(size=(150, 6)).astype("float32")
    y = network().predict(x, verbose=0).argmax(axis=1)
    y[::10] = (y[::10] + 1) % 3
    return x, y


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_counts_what_numpy_counts(tmp_path, workers):
    if workers > 1:
        pytest.importorskip("joblib")
    model, (x, y) = network(), data()
    before = model.predict(x, verbose=0).argmax(axis=1)
    store = tmp_path / "sweep.db"
    result = kpl.sweep(model, (x, y), [0.5, 0.9], store=store, workers=workers)
    for _, row in result.table.iterrows():
        after = kpl.prune(model, row["sparsity_target"]).predict(x, verbose=0).argmax(axis=1)
        change = (after == y).astype(float) - (before == y)
        assert (row["lost"], row["gained"]) == ((change < 0).sum(), (change > 0).sum())
        assert row["loss_error"] == pytest.approx(change.std(ddof=1) / math.sqrt(150), rel=1e-9)
        assert row["answers"] == len(set(after))
    assert result.metadata["trivial"] == pytest.approx(np.bincount(y).max() / 150)
    again = kpl.sweep(model, (x, y), [0.5, 0.9], store=store)
    assert again.table.equals(result.table)
    for write in (result.to_json, result.to_parquet):
        path = tmp_path / f"result{write.__name__.replace('to_', '.')}"
        try:
            loaded = kpl.SweepResult.load(write(path))
        except kpl.MissingBackendError:
            continue
        assert loaded.table.equals(result.table)
        assert loaded.choose(max_drop=0.9).reason == result.choose(max_drop=0.9).reason


def test_a_store_of_an_earlier_version_goes_on(tmp_path):
    store, model = tmp_path / "sweep.db", network()
    kpl.sweep(model, data(), [0.5], store=store)
    with sqlite3.connect(store) as connection:
        connection.execute("ALTER TABLE points DROP COLUMN paired")
        connection.execute(
            "UPDATE facts SET value = json_remove(value, '$.answers', '$.trivial', '$.trivial_error') "
            "WHERE name = 'dense'"
        )
    connection.close()
    result = kpl.sweep(model, data(), [0.5], store=store)
    assert result.table[PAIRED].isna().all(axis=None)
    assert "trivial" not in result.metadata
    assert result.choose(max_drop=0.9).sparsity_target == 0.5


def test_a_network_that_learned_nothing_has_no_choice():
    x, y = data()
    shuffled = np.random.default_rng(5).permutation(y)
    result = kpl.sweep(network(), (x, shuffled), [0.5, 0.9])
    for condition in ({}, {"min_metric": 0.1}, {"knee": True}, {"max_bytes": 10**9}):
        with pytest.raises(NoTradeOffError, match="No level is meaningful"):
            result.choose(**condition)
    assert result.choose(sparsity=0.5).sparsity_target == 0.5  # by hand
    assert "most frequent class" in result.doubts()[0]
    assert kpl.sweep(network(), (x, y), [0.5]).doubts() == ()


def test_a_regression_that_is_no_better_than_the_mean():
    x, _ = data()
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
    far = np.random.default_rng(6).normal(50, 1, 150)
    with pytest.raises(NoTradeOffError, match="mean response"):
        kpl.sweep(model, (x, far), [0.5]).choose()
    learned = model.predict(x, verbose=0)[:, 0].astype(float) + 0.01 * far
    assert kpl.sweep(model, (x, learned - 0.5), [0.0]).choose().sparsity == 0.0


def test_constant_answers_are_doubted():
    x, y = data()
    model = network()
    result = kpl.sweep(model, (x, y), [0.0, 0.99], convention="paper")
    choice = result.choose(sparsity=0.99)
    assert result.table["answers"].iloc[choice.index] == 1
    assert any("the same answer" in text for text in result.doubts(choice))
