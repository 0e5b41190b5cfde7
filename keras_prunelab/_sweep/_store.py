"""Finished points on the disk, so that a sweep that was killed goes on where it was."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_prunelab._errors import DiskFullError, StoreMismatchError
from keras_prunelab._evaluate._by_class import counted
from keras_prunelab._evaluate._by_group import metric_by_group
from keras_prunelab._evaluate._metric import Metric

from ._bench import Dense, Outcome
from ._fingerprint import Fingerprint
from ._plan import Point

_FORMAT = "keras_prunelab sweep 1"
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS points (
    curve TEXT NOT NULL, level REAL NOT NULL, measures TEXT NOT NULL, masks BLOB, PRIMARY KEY (curve, level)
);
"""


class Store:
    """One SQLite file that holds the points of one sweep.

    Each point is written and synced to the disk before the next one counts (write-ahead log), so that neither SIGKILL
    nor a power cut loses more than what is under way.

    Args:
        path: the file, whether or not it exists.
        fingerprint: what the sweep is of.
        mask_bytes: how many bytes the masks of a point take.

    Raises:
        StoreMismatchError: the file is no store, a damaged one, or one for other weights, data or settings; it is left
            as it is.
        DiskFullError: the disk is full.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: Fingerprint, mask_bytes: int) -> None:
        self._path = Path(path)
        self._mask_bytes = mask_bytes
        if self._path.is_dir():
            raise StoreMismatchError(f"A store is a file, but {os.fspath(path)!r} is a folder.")
        try:
            self._connection = sqlite3.connect(self._path.absolute(), timeout=60, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise StoreMismatchError(
                f"The store {os.fspath(path)!r} cannot be opened: {error}. Is there such a folder?"
            ) from error
        try:
            with self._explained("is not a store of a sweep"), self._sound("its tables"):
                self._open(fingerprint)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, fingerprint: Fingerprint) -> None:
        self._connection.execute("PRAGMA trusted_schema = OFF")  # nothing that the file defines is run
        tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not {"facts", "points"} <= tables:
            raise StoreMismatchError(f"{os.fspath(self._path)!r} is a database, but not a store of a sweep.")
        if not tables:
            self._connection.execute("PRAGMA journal_mode = WAL")
        elif (found := self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise self._damaged(found)
        self._connection.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            for statement in _TABLES.split(";"):
                self._connection.execute(statement)
            columns = {row[1] for row in self._connection.execute("PRAGMA table_info(points)")}
            for later in {"paired", "right", "left_out", "grouped", "described"} - columns:  # of an earlier version
                self._connection.execute(f"ALTER TABLE points ADD COLUMN {later} TEXT")
            self._put("format", json.dumps(_FORMAT))
            self._put("fingerprint", json.dumps(asdict(fingerprint)))
        with self._sound("what it is of"):
            if json.loads(self._get("format") or "null") != _FORMAT:
                raise StoreMismatchError(f"{os.fspath(self._path)!r} is a store of another version of keras_prunelab.")
            found = Fingerprint(**json.loads(self._get("fingerprint") or "{}"))
            differences = fingerprint.differences(found)
        if differences:
            raise StoreMismatchError(
                f"The store {os.fspath(self._path)!r} belongs to another sweep, which differs in "
                f"{'; '.join(differences)}. Give another file, or delete this one."
            )

    @property
    def dense(self) -> Dense | None:
        """The dense network's measures, once they are there."""
        with self._explained(), self._sound("the dense network's measures"):
            text = self._get("dense")
            if text is None:
                return None
            fields = json.loads(text)
            counts = {name: counted(fields.get(name, ())) for name in ("observations", "right")}
            groups = metric_by_group(fields.get("groups", {}))
            dense = Dense(**fields | counts | {"metric": Metric(**fields["metric"]), "groups": groups})
            known = {name: getattr(dense, name) for name in ("batch_size", "answers", "trivial", "trivial_error")}
            _check({name: number for name, number in known.items() if number is not None})
            if dense.metric.name not in _check(dense.measures) or not isinstance(dense.left_out, str):
                raise ValueError(f"there is no {dense.metric.name!r} among them")
            return dense

    @dense.setter
    def dense(self, dense: Dense) -> None:
        with self._explained(), self._transaction():
            self._put("dense", json.dumps(asdict(dense)))

    def outcome(self, point: Point) -> Outcome | None:
        """What was measured at a point, or None."""
        with self._explained(), self._sound(f"the point {point}"):
            row = self._connection.execute(
                "SELECT measures, masks, paired, right, left_out, grouped FROM points WHERE curve = ? AND level = ?",
                (_key(point), point.level),
            ).fetchone()
            if row is None:
                return None
            bits = None if row[1] is None else np.frombuffer(row[1], np.uint8)
            how = point.curve.finetune
            if (bits is None and how is not None and how.rounds > 1) or (
                bits is not None and len(bits) != self._mask_bytes
            ):
                raise ValueError("its masks are not those of the network")
            right = counted(json.loads(row[3] or "[]"))
            paired, left_out = _check(json.loads(row[2] or "{}")), str(row[4] or "")
            groups = metric_by_group(json.loads(row[5] or "{}"))
            return Outcome(_check(json.loads(row[0])), bits, paired, right, left_out, groups)

    def add(self, point: Point, outcome: Outcome, described: str) -> None:
        """Write down a point; once this returns, it stays.

        Args:
            point: the point.
            outcome: what was measured.
            described: its part of the result, as `_stored_result.read` puts it together.
        """
        bits = None if outcome.bits is None else outcome.bits.tobytes()
        with self._explained(), self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO points "
                "(curve, level, measures, masks, paired, right, left_out, grouped, described) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(_key(point), point.level, json.dumps(outcome.measures), bits),
                    *(json.dumps(dict(outcome.paired)), json.dumps(outcome.right), outcome.left_out),
                    *(json.dumps(dict(outcome.groups)), described),
                ),
            )

    def keep(self, result: str) -> None:
        """Put the text of a result that is under way beside the points; an earlier one is replaced."""
        with self._explained(), self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO facts VALUES ('result', ?)", (result,))

    def close(self) -> None:
        """Close the file, which is one again: the log is merged into it."""
        self._connection.close()

    def _put(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))

    def _get(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite has undone it itself where the disk is full
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self, what: str = "cannot be used") -> Iterator[None]:
        """Say in our words what SQLite says."""
        path = os.fspath(self._path)
        try:
            yield
        except sqlite3.DatabaseError as error:
            name = str(getattr(error, "sqlite_errorname", ""))
            if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
                raise DiskFullError(f"There is no room for the store {path!r}, or its disk fails: {error}.") from error
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise StoreMismatchError(f"Another program uses the store {path!r}: {error}.") from error
            if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
                raise StoreMismatchError(f"The store {path!r} cannot be written: {error}.") from error
            raise StoreMismatchError(f"{path!r} {what}: {error}.") from error

    @contextmanager
    def _sound(self, what: str) -> Iterator[None]:
        """Say it where what is stored is not what was written."""
        try:
            yield
        except StoreMismatchError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise self._damaged(f"{what}: {error}") from error

    def _damaged(self, what: str) -> StoreMismatchError:
        return StoreMismatchError(
            f"The store {os.fspath(self._path)!r} is damaged: {what}. Delete it, and the sweep measures anew."
        )


def _check(measures: Any) -> dict[str, float]:
    """Numbers by name."""
    if not isinstance(measures, dict) or any(
        isinstance(value, bool) or not isinstance(value, int | float) for value in measures.values()
    ):
        raise TypeError(f"{measures!r:.60} are no numbers by name")
    return measures


def _key(point: Point) -> str:
    return json.dumps(point.curve.key)
