"""What the commands write, each file whole or not at all."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from keras_prunelab._atomic import replacing
from keras_prunelab._errors import InvalidModelError

if TYPE_CHECKING:
    from ._inputs import OpenedModel


def save_keras(opened: OpenedModel, path: Path) -> None:
    """Write the model as a `.keras` file, and beside it what a MATLAB network knows besides its layers."""
    import matlab_bridge as bridge
    from matlab_bridge.networks._sidecar import sidecar_path

    with replacing(path) as temporary:
        opened.model.save(temporary)
    if bridge.sidecar(opened.model) == bridge.Sidecar(convention="paper"):
        sidecar_path(path).unlink(missing_ok=True)  # it would tell of the model that was there before
    else:
        bridge.write_sidecar(path, opened.model)


def check_target(path: Path, endings: Collection[str], why: str = "") -> None:
    """Refuse a file that could not be written, before any work.

    Args:
        path: the file.
        endings: those that it may have, in small letters.
        why: there are no others.

    Raises:
        InvalidModelError: its ending is another one, or MATLAB takes no function of its name.
    """
    from matlab_bridge.networks.write._matlab_text import is_function_name

    if path.suffix not in endings:
        raise InvalidModelError(
            f"The file to write ends in {' or '.join(sorted(endings))}, in small letters, but got {str(path)!r}"
            f"{why and ': '}{why}."
        )
    if path.suffix == ".m" and not is_function_name(path.stem):
        raise InvalidModelError(
            f"{path.name} cannot be a function of MATLAB: its name is of letters, digits and underscores, begins with "
            "a letter, has at most 63 characters, and is no keyword. An example is buildNet.m."
        )


def make_folder(path: Path) -> None:
    """Make a folder for results, with those above it.

    Raises:
        NotADirectoryError: if a file is in the way.
    """
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"Results go into a folder, but {str(path)!r} is a file.")
    path.mkdir(parents=True, exist_ok=True)
