"""`prunelab convert`: a network that MATLAB saved to a `.keras` file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _console

EXAMPLES = """\
Examples:

    prunelab convert trainedNet.mat trainedNet.keras

    prunelab convert workspace.mat net.keras --network "models{2}"
"""


def command(
    source: Annotated[Path, typer.Argument(metavar="NET.mat", help="The file that MATLAB saved.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.keras", help="The file to write.")],
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The variable that holds the network, where there are several."),
    ] = None,
) -> None:
    """Convert a network that MATLAB saved to a Keras model; the class names go into OUT.matlab.json beside it."""
    from keras_prunelab._errors import InvalidModelError

    from ._inputs import open_model
    from ._outputs import make_folder, save_keras

    if source.suffix.lower() != ".mat" or target.suffix.lower() != ".keras":
        raise InvalidModelError(
            f"convert reads a .mat and writes a .keras file, but got {source.name} and {target.name}."
        )
    opened = open_model(source, network)
    make_folder(target.parent)
    save_keras(opened, target)
    _console.say(f"Wrote {target}, and its class names beside it.")
