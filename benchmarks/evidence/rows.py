"""A row of the tables, and the file that keeps finished rows, so that a study that was killed goes on where it was."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import pandas as pd


class Key(NamedTuple):
    """Which row it is.

    Attributes:
        study: which study asks for it.
        network: on which network.
        seed: of the weights at the beginning, the order of the data, and the masks of random methods.
        method: how it is pruned.
        level: the compression that is asked for, all parameters counted; of filters the share that goes.
    """

    study: str
    network: str
    seed: int
    method: str
    level: float


@dataclass(frozen=True)
class Outcome:
    """What was measured.

    Attributes:
        parameters: of the dense network, all of them.
        kept: those of them that are not pruned, biases and normalizations included.
        weights: the prunable ones: those of kernels.
        zeros: those of them that are pruned.
        macs_dense: multiply-adds of the dense network for one observation, as `keras_prunelab.metrics` counts them.
        macs: those of them whose weight is not zero.
        error_dense: the share of wrong answers on the test split, before pruning.
        error: the same, pruned.
        epochs: how many epochs it was trained, the dense network's own not counted.
        seconds: how long that took, with pruning and without measuring.
        backend: what Keras ran on.
    """

    parameters: int
    kept: int
    weights: int
    zeros: int
    macs_dense: int
    macs: int
    error_dense: float
    error: float
    epochs: int
    seconds: float
    backend: str


class RowStore:
    """One SQLite file of finished rows; each is on the disk before the next one begins.

    Args:
        path: the file, whether or not it exists.
        settings: what the rows were made with; a file of other settings is refused.

    Raises:
        ValueError: the file holds rows that were made with other settings.
    """

    def __init__(self, path: Path, settings: dict[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with closing(self._connect()) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            columns = "study TEXT, network TEXT, seed INTEGER, method TEXT, level REAL"
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS rows ({columns}, outcome TEXT NOT NULL, "
                "PRIMARY KEY (study, network, seed, method, level))"
            )
            connection.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", settings.items())
            found = dict(connection.execute("SELECT name, value FROM settings"))
        if different := [name for name, value in settings.items() if found[name] != value]:
            raise ValueError(
                f"{path} holds rows made with another {', '.join(different)}: "
                f"{', '.join(found[name] for name in different)}. Give another folder with --work, or delete this one."
            )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=60)
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def add(self, rows: Iterable[tuple[Key, Outcome]]) -> None:
        """Keep rows: all of them, or none where the process is killed meanwhile."""
        with closing(self._connect()) as connection, connection:
            values = [(*key, json.dumps(asdict(outcome))) for key, outcome in rows]
            connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)", values)

    def rows(self) -> dict[Key, Outcome]:
        """All that is known."""
        with closing(self._connect()) as connection:
            found = connection.execute("SELECT * FROM rows ORDER BY study, network, seed, method, level").fetchall()
        return {Key(*key): Outcome(**json.loads(outcome)) for *key, outcome in found}


def table(rows: dict[Key, Outcome]) -> pd.DataFrame:
    """One line a row, with the ratios that the page shows.

    Returns:
        The columns of `Key` and `Outcome`; `compression`, parameters / kept; `sparsity`, zeros / weights; `speedup`,
        macs_dense / macs.
    """
    found = pd.DataFrame(
        [{**key._asdict(), **asdict(outcome)} for key, outcome in rows.items()],
        columns=[*Key._fields, *(field.name for field in fields(Outcome))],
    )
    return found.assign(
        compression=found["parameters"] / found["kept"],
        sparsity=found["zeros"] / found["weights"],
        speedup=found["macs_dense"] / found["macs"].where(found["macs"] > 0),
    )


def write_table(rows: dict[Key, Outcome], path: Path) -> None:
    """Write rows of one study as CSV, in a form that is the same for the same rows."""
    drawn = table(rows).drop(columns=["study", "compression", "sparsity", "speedup"])
    drawn = drawn.round({"error": 5, "error_dense": 5, "seconds": 1})
    temporary = path.with_suffix(".part")
    drawn.to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(path)


def read_rows(path: Path) -> dict[Key, Outcome]:
    """Read what `write_table` wrote; a file that is missing has no rows."""
    if not path.is_file():
        return {}
    found = pd.read_csv(path).to_dict("records")  # plain numbers and texts of Python
    return {
        Key(path.stem, *(row[name] for name in Key._fields[1:])): Outcome(
            **{each.name: row[each.name] for each in fields(Outcome)}
        )
        for row in found
    }
