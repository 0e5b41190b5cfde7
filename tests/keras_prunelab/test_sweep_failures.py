"""A sweep that something from outside ends: what was measured until then is there, and the reason is said."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab import DiskFullError, StoreMismatchError, SweepStoppedError
from keras_prunelab._result import _stored_result
from keras_prunelab._sweep._bench import Bench
from keras_prunelab._sweep._store import Store

from .test_sweep_engine import LEVELS, data, model


@pytest.fixture(scope="module")
def whole() -> kpl.SweepResult:
    return kpl.sweep(model(), data(), LEVELS)


def failing(monkeypatch: pytest.MonkeyPatch, where: type, name: str, error: BaseException, after: int) -> None:
    """Let a method fail once it has been called so often."""
    original, calls = getattr(where, name), []

    def method(*given: object) -> object:
        calls.append(1)
        if len(calls) > after:
            raise error
        return original(*given)

    monkeypatch.setattr(where, name, method)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "Memory ran out"),
        (RuntimeError("CUDA out of memory."), "CUDA out of memory"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (type("KilledWorker", (Exception,), {})("x"), "A worker process was ended from outside"),
    ],
)
def test_points_measured_until_then_are_in_the_error(whole, monkeypatch, error, says):
    failing(monkeypatch, Bench, "measure", error, after=2)
    with pytest.raises(SweepStoppedError, match=says) as caught:
        kpl.sweep(model(), data(), LEVELS)
    found = caught.value.result
    assert caught.value.__cause__ is error
    assert "after 2 measured points" in str(caught.value)
    assert not found.complete
    assert found.table.equals(whole.table.iloc[:2])
    assert found.dense == whole.dense


def test_an_error_of_the_call_stays_what_it_is(monkeypatch):
    failing(monkeypatch, Bench, "measure", ZeroDivisionError("a metric's"), after=2)
    with pytest.raises(ZeroDivisionError):
        kpl.sweep(model(), data(), LEVELS)


def test_nothing_was_measured(monkeypatch):
    failing(monkeypatch, Bench, "dense", MemoryError(), after=0)
    with pytest.raises(SweepStoppedError, match="after 0 measured points") as caught:
        kpl.sweep(model(), data(), LEVELS)
    assert caught.value.result is None


def test_a_full_disk_under_a_store_loses_no_point(whole, tmp_path, monkeypatch):
    full = DiskFullError("There is no room for the store")
    with monkeypatch.context() as patch:
        failing(patch, Store, "add", full, after=1)
        with pytest.raises(SweepStoppedError, match="There is no room for the store") as caught:
            kpl.sweep(model(), data(), LEVELS, store=tmp_path / "s.db")
    assert caught.value.result.table.equals(whole.table.iloc[:2])
    again = kpl.sweep(model(), data(), LEVELS, store=tmp_path / "s.db")
    assert again.table["accuracy"].equals(whole.table["accuracy"])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_a_point_is_on_the_disk_before_the_next_one_is_measured(tmp_path, monkeypatch):
    """SQLite says what is in force: a write-ahead log that is synced at each commit, in a database left in no state."""
    opened, said = [], []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **how: opened.append(connect(*given, **how)) or opened[-1])
    path = tmp_path / "sweep.db"

    def ask(at):
        (store,) = opened
        modes = [store.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        with closing(connect(path)) as other:  # another program sees the points that are done
            said.append(
                (*modes, store.in_transaction, at.done - other.execute("SELECT COUNT(*) FROM points").fetchone()[0])
            )

    kpl.sweep(model(), data(), LEVELS, store=path, progress=ask)
    full = 2
    assert set(said) == {("wal", full, False, 0)}
    assert len(said) >= len(LEVELS)


def test_no_room_for_the_result_of_a_store(tmp_path, monkeypatch):
    connect = sqlite3.connect
    kpl.sweep(model(), data(), LEVELS, store=tmp_path / "s.db")

    def small(*given, **how):
        connection = connect(*given, **how)
        connection.execute("PRAGMA max_page_count = 1")  # as many as it has
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(DiskFullError, match="the same call gives it again, without measuring"):
        _stored_result.write(tmp_path / "s.db", "long " * 100_000)


def test_a_store_on_a_full_disk(tmp_path):
    script = f"""
import resource, keras_prunelab as kpl, numpy as np, keras
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
try:
    kpl.sweep(model, (np.eye(6), np.arange(6) % 3), np.linspace(0, 0.9, 90), store={str(tmp_path / "s.db")!r})
except kpl.SweepStoppedError as error:
    print(len(error.result.table), error)
except kpl.DiskFullError as error:
    print(0, error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "There is no room for the store" in done.stdout, done.stdout + done.stderr


DAMAGES = {
    "measures that are no JSON": "update points set measures='{'",
    "measures that are a list": "update points set measures='[]'",
    "measures that are text": """update points set measures='{"accuracy": "x"}'""",
    "measures that are bytes": "update points set measures=x'ff00'",
    "measures nested without end": "update points set measures='" + "[" * 100_000 + "'",
    "other masks": "update points set masks=x'00'",
    "masks that are text": "update points set masks='text'",
    "pairs that are a number": "update points set paired='5'",
    "another format": "update facts set value='5' where name='format'",
    "a format that is no JSON": "update facts set value='x' where name='format'",
    "a fingerprint that is a list": "update facts set value='[]' where name='fingerprint'",
    "a fingerprint of other fields": """update facts set value='{"a": 1}' where name='fingerprint'""",
    "settings that are a list": """update facts set value='{"weights": "", "data": "", "settings": []}'
                                   where name='fingerprint'""",
    "a dense network of other fields": """update facts set value='{"a": 1}' where name='dense'""",
    "a dense network without its metric": """update facts set value=
        '{"metric": {"name": "accuracy"}, "measures": {}, "batch_size": 1}' where name='dense'""",
    "a dense network in words": """update facts set value=
        '{"metric": {"name": "accuracy"}, "measures": {"accuracy": 1}, "batch_size": "x"}' where name='dense'""",
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("store") / "s.db"
    kpl.sweep(model(), data(), LEVELS, store=path)
    return path.read_bytes()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_said(stored, tmp_path, damage):
    path = tmp_path / "s.db"
    path.write_bytes(stored)
    with sqlite3.connect(path) as connection:
        connection.execute(DAMAGES[damage])
    connection.close()
    with pytest.raises(StoreMismatchError):
        kpl.sweep(model(), data(), LEVELS, store=path)


def test_every_damage_of_the_bytes_of_a_store(stored, tmp_path):
    """A sweep that goes on from it, and a report of it: both say that it is damaged, or read what is not."""
    planned = kpl.plan_sweep(model(), data(), LEVELS)
    chance = np.random.default_rng(0)
    used = np.flatnonzero(np.frombuffer(stored, np.uint8))
    outcomes = set()
    for number in range(300):
        path = tmp_path / f"{number}.db"
        raw = bytearray(stored)
        for at in chance.choice(used, size=chance.integers(1, 6)):
            raw[at] = int(chance.integers(256))
        for name, use in (
            ("read", kpl.SweepResult.load),
            ("gone on", lambda it: planned.execute(lambda *_: None, it, 1)),
        ):
            path.write_bytes(raw)
            try:
                use(path)
                outcomes.add((name, "right"))
            except (StoreMismatchError, DiskFullError):
                outcomes.add((name, "damaged"))
    assert len(outcomes) == 4  # each was seen and each was read at least once


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.slow
def test_a_worker_that_is_killed(tmp_path):
    pytest.importorskip("joblib")
    script = tmp_path / "killing.py"
    script.write_text(
        """
import os, signal
import keras, numpy as np, keras_prunelab as kpl

def kill_the_workers(at):
    from joblib.externals.loky import reusable_executor
    if at.done == 3:
        for process in list(reusable_executor._executor._processes):
            os.kill(process, signal.SIGKILL)

if __name__ == "__main__":
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(30)])
    data = np.ones((6, 4)), np.arange(6) % 3
    try:
        kpl.sweep(model, data, np.linspace(0, 0.9, 91), workers=2, progress=kill_the_workers)
    except kpl.SweepStoppedError as error:
        print(len(error.result.table), error)
""",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=300)
    assert "A worker process was ended from outside" in done.stdout, done.stdout + done.stderr[-2000:]
    assert 3 <= int(done.stdout.split()[0]) < 91


def test_the_store_of_a_damaged_json_is_not_changed(stored, tmp_path):
    path = tmp_path / "s.db"
    path.write_bytes(stored)
    with sqlite3.connect(path) as connection:
        connection.execute("update points set measures=?", (json.dumps({"accuracy": None}),))
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreMismatchError, match="damaged"):
        kpl.sweep(model(), data(), LEVELS, store=path)
    assert Path(path).read_bytes() == before
