"""What the commands write, each file whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keras_prunelab._atomic import replacing
from keras_prunelab._errors import InvalidModelError

if TYPE_CHECKING:
    from ._inputs import OpenedModel


def save_keras(opened: OpenedModel, path: Path) -> None:
    """Write the model as a `.keras` file, and beside it what a MATLAB network knows besides its layers.

    Raises:
        InvalidModelError: if the file has another ending.
    """
    import matlab_bridge as bridge
    from matlab_bridge.networks._sidecar import sidecar_path

    if path.suffix != ".keras":
        raise InvalidModelError(f"Keras writes models to .keras files, in small letters, but got {str(path)!r}.")
    with replacing(path) as temporary:
        opened.model.save(temporary)
    if bridge.sidecar(opened.model) == bridge.Sidecar(convention="paper"):
        sidecar_path(path).unlink(missing_ok=True)  # it would tell of the model that was there before
    else:
        bridge.write_sidecar(path, opened.model)


def make_folder(path: Path) -> None:
    """Make a folder for results, with those above it.

    Raises:
        NotADirectoryError: if a file is in the way.
    """
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"Results go into a folder, but {str(path)!r} is a file.")
    path.mkdir(parents=True, exist_ok=True)
