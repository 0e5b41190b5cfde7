"""Folders of MAT-files that each hold one observation, with the names of the subfolders as labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from matlab_bridge._errors import BridgeError, DatasetError, DatasetNotFoundError
from matlab_bridge.matfile import load

from ._arrays import numbers_of
from ._values import Array, shorten

_ENDING = ".mat"


def is_mat_folder(folder: Path) -> bool:
    """Whether a folder or its subfolders hold MAT-files."""
    return any(True for _ in folder.rglob(f"*{_ENDING}"))


def read_mat_folder(folder: Path, variable: str | None) -> tuple[Array, list[str] | None, str]:
    """The observations of a folder, sorted by path.

    Args:
        folder: its MAT-files, those of subfolders too, hold one observation each.
        variable: the name of the observation in each file; by default the only array of several numbers.

    Returns:
        A cell of observations, the names of their subfolders or None where there are none, and a sentence.

    Raises:
        DatasetNotFoundError: if a file holds several arrays, or not the variable; or some files lie beside subfolders.
        DatasetError: if none can be read.
    """
    paths = sorted(folder.rglob(f"*{_ENDING}"), key=lambda path: path.relative_to(folder).parts)
    values: list[Any] = []
    names: list[str] = []
    skipped: list[str] = []
    for path in paths:
        try:
            values.append(_observation(path, variable))
            names.append(path.parent.name if path.parent != folder else "")
        except DatasetNotFoundError:
            raise
        except BridgeError as error:
            skipped.append(f"{path.relative_to(folder).as_posix()} ({type(error).__name__})")
    if not values:
        raise DatasetError(f"None of the {len(paths)} MAT-files of {folder} can be read: {shorten(skipped)}.")
    cell = np.empty((len(values), 1), dtype=object)
    for index, value in enumerate(values):
        cell[index, 0] = value
    text = f"{len(values)} MAT-files, one observation each."
    if skipped:
        text += f" {len(skipped)} could not be read and were left out: {shorten(skipped)}."
    classes = sorted(set(names))
    if classes == [""]:
        return cell, None, text
    if "" in classes:
        raise DatasetNotFoundError(
            f"{folder} holds MAT-files beside the folders {shorten(classes[1:])}, and those have no label. Move them "
            "into a folder of their class."
        )
    return cell, names, f"{text} The labels are the names of the folders: {shorten(classes)}."


def _observation(path: Path, variable: str | None) -> Array:
    file = load(path, lazy=False)
    if variable is not None:
        if variable not in file:
            raise DatasetNotFoundError(f"{path} has no variable {variable!r}. It has: {', '.join(file) or 'none'}.")
        names = [variable]
    else:
        names = [name for name in file if _is_observation(file, name)]
    if len(names) != 1:
        raise DatasetNotFoundError(
            f"{path} holds {len(names)} arrays ({', '.join(names) or 'none'}), and one is expected that is the "
            "observation. Name it with inputs=."
        )
    found = numbers_of(file[names[0]])
    if found is None:
        raise DatasetNotFoundError(f"{names[0]!r} of {path} is no array of numbers.")
    return found


def _is_observation(file: Any, name: str) -> bool:
    found = numbers_of(file[name])
    return found is not None and found.size > 1
