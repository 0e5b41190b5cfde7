"""`--group-by`: variables beside the data that put each observation into a group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import _console
from ._options import names_in


def open_groups(path: Path, names: str | None, count: int) -> dict[str, Any] | None:
    """The variables, for all observations; None where none is named.

    Args:
        path: where the data is.
        names: those of the variables, with commas between.
        count: how many observations the data has.

    Raises:
        InvalidDataError: the data is in no file of variables, or a variable has another length or too many values.
        VariableNotFoundError: there is no such variable.
    """
    from keras_prunelab._errors import InvalidDataError
    from keras_prunelab._evaluate._by_group import groupings
    from matlab_bridge import load_groups

    if names is None:
        return None
    if not path.is_file() or path.suffix.lower() not in {".mat", ".npz", ".csv"}:
        raise InvalidDataError(f"--group-by names a variable of a .mat, .npz or .csv file, but the data is {path}.")
    groups: dict[str, Any] = load_groups(path, names_in(names))
    for group in groupings(groups, count):
        _console.say(f"Groups: {len(group.values)} values of {group.name}.")
    return groups


def measured_groups(groups: dict[str, Any] | None, count: int, split: float | None) -> dict[str, Any] | None:
    """The variables, for the observations that are measured.

    Args:
        groups: for all observations.
        count: how many these are.
        split: the part of them that calibrates, and is not measured; None where all are measured.
    """
    from ._calibration import split_places

    if groups is None or split is None:
        return groups
    measured = split_places(count, split)[1]
    return {name: values[measured] for name, values in groups.items()}


def write_groups_code(path: Path, names: str | None, *, is_split: bool) -> str:
    """Python that reads the variables as the command did, and calls them `groups`; after that of a split."""
    if names is None:
        return ""
    code = f"\ngroups = mb.load_groups({str(path)!r}, {names_in(names)!r})"
    return code + ("\ngroups = {name: values[rest] for name, values in groups.items()}" if is_split else "")
