"""Several processes give the table of one."""

from __future__ import annotations

import pickle

import keras
import numpy as np
import pandas as pd
import pytest

import keras_prunelab as kpl
from keras_prunelab import InvalidDataError, UnknownNameError
from keras_prunelab._evaluate import _streams
from keras_prunelab._sweep import _parallel, _sent
from keras_prunelab._util import _worker

from .test_sweep_engine import LEVELS, data, model

joblib = pytest.importorskip("joblib")


@pytest.fixture(scope="module")
def alone() -> kpl.SweepResult:
    return kpl.sweep(model(), data(), LEVELS, ["magnitude", "random"], seeds=2)


def same(result: kpl.SweepResult, expected: kpl.SweepResult) -> None:
    assert result.table["accuracy"].equals(expected.table["accuracy"])
    pd.testing.assert_frame_equal(result.table, expected.table, rtol=0, atol=1e-6)
    assert result.dense == expected.dense


@pytest.mark.slow
def test_two_workers_give_the_table_of_one_and_are_sent_the_model_once(alone, tmp_path, monkeypatch):
    packed = []
    original = _parallel.pack
    monkeypatch.setattr(_parallel, "pack", lambda *given: packed.append(1) or original(*given))
    result = kpl.sweep(
        model(), data(), LEVELS, ["magnitude", "random"], seeds=2, workers=2, store=tmp_path / "sweep.db"
    )
    same(result, alone)
    assert result.masks(result.choose(sparsity=0.5)) == alone.masks(alone.choose(sparsity=0.5))
    assert packed == [1]
    trained = kpl.FineTune(data(9), rounds=2)
    here = kpl.sweep(model(), data(), [0.5], finetune=trained)
    there = kpl.sweep(model(), data(), [0.5], finetune=trained, workers=2)
    same(there, here)
    assert there.masks(there.choose(sparsity=0.5)) == here.masks(here.choose(sparsity=0.5))


@pytest.mark.slow
def test_a_dask_cluster_of_two_processes(alone):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        same(kpl.sweep(model(), data(), LEVELS, ["magnitude", "random"], seeds=2), alone)


def test_the_number_of_workers_is_what_joblib_says_unless_it_is_given():
    assert _parallel.wanted_workers(None) == 1
    with joblib.parallel_config("loky", n_jobs=3):
        assert _parallel.wanted_workers(None) == 3
        assert _parallel.wanted_workers(1) == 1
    for wrong in (0, -2, 1.5, True):
        with pytest.raises(UnknownNameError, match="workers"):
            _parallel.wanted_workers(wrong)  # type: ignore[arg-type]


def test_data_that_cannot_be_sent_is_said(monkeypatch):
    tf = pytest.importorskip("tensorflow")
    monkeypatch.setattr(_streams, "HELD_BYTES", 10)
    x, y = data()
    stream = tf.data.Dataset.from_tensor_slices((x, y)).batch(50)
    with pytest.raises(InvalidDataError, match="cannot be sent"):
        kpl.sweep(model(), stream, LEVELS, workers=2)


def test_what_a_worker_unpacks_measures_the_same(alone):
    # In this process, where a debugger can look.
    planned = kpl.plan_sweep(model(), data(), LEVELS, ["magnitude"], metrics=["accuracy", keras.metrics.AUC()])
    with pytest.raises(InvalidDataError, match="cannot be computed"):
        planned.seconds()
    planned = kpl.plan_sweep(model(), data(), LEVELS, ["magnitude"])
    parcel = _sent.pack(planned.task, planned.plan)
    assert parcel.key == _sent.pack(planned.task, planned.plan).key
    bench = pickle.loads(parcel.content.tobytes()).open()  # noqa: S301 # what this test packed
    dense = bench.dense()
    assert dense.measures["accuracy"] == alone.dense
    masks = kpl.trajectory(model(), [0.5]).masks(0)
    found = bench.measure(0, 0.5, lambda _level: masks).measures
    expected = alone.table[(alone.table["score"] == "magnitude") & (alone.table["sparsity_target"] == 0.5)]
    assert found["accuracy"] == expected["accuracy"].iloc[0]
    np.testing.assert_allclose(found["loss"], expected["loss"].iloc[0], rtol=0, atol=1e-6)


def test_a_worker_completes_channels_too():
    network, how = model(), {"granularity": "channel", "scope": "layer"}
    expected = kpl.sweep(network, data(), [0.5], **how).table
    planned = kpl.plan_sweep(network, data(), [0.5], **how)
    bench = pickle.loads(_sent.pack(planned.task, planned.plan).content.tobytes()).open()  # noqa: S301 # what this test packed
    masks = kpl.trajectory(network, [0.5], **how).masks(0)
    found = bench.measure(0, 0.5, lambda _level: masks).measures
    np.testing.assert_allclose(found["loss"], expected["loss"].iloc[0], rtol=0, atol=1e-6)
    plain = kpl.prune(network, 0.5, **how)
    np.testing.assert_allclose(found["loss"], plain.evaluate(*data(), verbose=0, return_dict=True)["loss"], atol=1e-6)


def test_a_worker_may_grow_by_what_it_is_sent(monkeypatch):
    """Or joblib ends it as one that leaks, and a large model is sent anew every few points."""
    from joblib.externals.loky import process_executor

    monkeypatch.setattr(process_executor, "_MAX_MEMORY_LEAK_SIZE", process_executor._MAX_MEMORY_LEAK_SIZE)
    _worker._allow_memory(10**9)
    assert process_executor._MAX_MEMORY_LEAK_SIZE > 4 * 10**9
    _worker._allow_memory(1)
    assert process_executor._MAX_MEMORY_LEAK_SIZE > 4 * 10**9
