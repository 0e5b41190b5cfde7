"""The result of a sweep inside the store of its points, as text."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from keras_prunelab._errors import StoreMismatchError

_HEAD = b"SQLite format 3\0"


def is_store(path: Path) -> bool:
    """Whether a file is a database of SQLite, as stores are."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_HEAD)) == _HEAD


def write(path: str | os.PathLike[str], text: str) -> None:
    """Put the text of a result into a store; an earlier one is replaced."""
    with closing(sqlite3.connect(Path(path), timeout=60)) as connection, connection:
        connection.execute("INSERT OR REPLACE INTO facts VALUES ('result', ?)", (text,))


def read(path: Path) -> str:
    """The text of a result from a store, which is only read.

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
    except sqlite3.DatabaseError as error:
        raise StoreMismatchError(f"{os.fspath(path)!r} is not a store of a sweep: {error}.") from error
    if row is None:
        raise StoreMismatchError(
            f"The store {os.fspath(path)!r} holds {points} points and no result: its sweep was ended from outside, or "
            "is of an earlier version. Run the same sweep again with this store: it measures what is missing, and "
            "keeps the result."
        )
    return str(row[0])
