"""The result of a sweep inside the store of its points, as text."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from keras_prunelab._errors import DiskFullError, StoreMismatchError

_HEAD = b"SQLite format 3\0"


def is_store(path: Path) -> bool:
    """Whether a file is a database of SQLite, as stores are."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_HEAD)) == _HEAD


def write(path: str | os.PathLike[str], text: str) -> None:
    """Put the text of a result into a store; an earlier one is replaced.

    Raises:
        DiskFullError: the disk is full.
        StoreMismatchError: the store cannot be written.
    """
    try:
        with closing(sqlite3.connect(Path(path).absolute(), timeout=60)) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES ('result', ?)", (text,))
    except sqlite3.DatabaseError as error:
        is_full = str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_FULL", "SQLITE_IOERR"))
        raise (DiskFullError if is_full else StoreMismatchError)(
            f"The result could not be put into the store {os.fspath(path)!r}: {error}. Its points are there: the same "
            "call gives it again, without measuring."
        ) from error


def read(path: Path) -> Any:
    """The JSON values of a result from a store, which is only read; of a sweep that was killed, of its points so far.

    Raises:
        StoreMismatchError: there is none: the sweep has not ended, or was of an earlier version; or it is no store.
    """
    # Reading a write-ahead log makes files beside the store; one that was closed has none.
    is_open = path.with_name(f"{path.name}-wal").exists()
    address = f"{path.resolve().as_uri()}?{'mode=ro' if is_open else 'immutable=1'}"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=60)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")  # nothing that the file defines is run
            row = connection.execute("SELECT value FROM facts WHERE name = 'result'").fetchone()
            (points,) = connection.execute("SELECT count(*) FROM points").fetchone()
            about = None if row is None else json.loads(row[0])
            if about is not None and about.get("is_under_way"):
                _put_together(about, connection.execute("SELECT curve, level, described FROM points ORDER BY rowid"))
    except sqlite3.DatabaseError as error:
        raise StoreMismatchError(f"{os.fspath(path)!r} is not a store of a sweep: {error}.") from error
    if row is None:
        raise StoreMismatchError(
            f"The store {os.fspath(path)!r} holds {points} points and no result: its sweep was ended before the first "
            "one, or is of an earlier version. Run the same sweep again with this store: it measures what is missing, "
            "and keeps the result."
        )
    return about


def _put_together(about: Any, points: Iterable[tuple[str, float, str | None]]) -> None:
    """Put the points of a sweep that was killed into what is known of all of them, curve by curve."""
    known = [(curve, level, json.loads(text)) for curve, level, text in points if text]
    curves = list(dict.fromkeys(curve for curve, _, _ in known))
    known.sort(key=lambda each: (curves.index(each[0]), each[1]))
    about["points"] = [row for *_, part in known for row in part["points"]]
    for name in ("by_class", "by_layer"):
        if about[name] is not None:
            about[name]["points"] = [point for *_, part in known for point in part[name]]
    for number, group in enumerate(about["by_group"]):
        group["points"] = [point for *_, part in known for point in part["by_group"][number]]
