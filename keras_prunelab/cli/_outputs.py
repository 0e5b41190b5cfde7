"""What the commands write, each file whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keras_prunelab._atomic import replacing

if TYPE_CHECKING:
    from ._inputs import OpenedModel


def save_keras(opened: OpenedModel, path: Path) -> None:
    """Write the model as a `.keras` file, and beside it what a MATLAB network knows besides its layers."""
    import matlab_bridge as bridge

    with replacing(path) as temporary:
        opened.model.save(temporary)
    if opened.network is not None:
        bridge.write_sidecar(path, opened.model)


def make_folder(path: Path) -> None:
    """Make a folder for results, with those above it.

    Raises:
        NotADirectoryError: if a file is in the way.
    """
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"Results go into a folder, but {str(path)!r} is a file.")
    path.mkdir(parents=True, exist_ok=True)
