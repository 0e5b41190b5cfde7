"""`prunelab toolbox`: the functions for MATLAB's side, copied into a folder of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _console

EXAMPLES = """\
Examples:

    prunelab toolbox prunelab-toolbox

    prunelab toolbox D:/matlab/prunelab --force
"""


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder for the functions; made where it is not.")],
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace files of these names that differ, such as those of another version."),
    ] = False,
) -> None:
    """Copy the MATLAB functions into a folder, and say what to type in MATLAB.

    They plot results.mat (plotSweep, plotBlocks), and put pruned weights into networks. Where they run, in MATLAB or
    GNU Octave, no Python is needed: take the folder to any machine.
    """
    from keras_prunelab._errors import OverwriteError
    from keras_prunelab._util._atomic import replace_whole
    from matlab_bridge import toolbox_path

    from ._outputs import make_folder

    source = toolbox_path()
    files = {path.relative_to(source): path.read_bytes() for path in sorted(source.rglob("*.m"))}
    missing = [name for name in files if not (folder / name).exists()]
    differing = [name for name in files if name not in missing and _is_other(folder / name, files[name])]
    if differing and not force:
        raise OverwriteError(
            f"{folder} has other files of the same names: {', '.join(map(str, differing))}. Give --force to replace "
            "them, or another folder."
        )
    make_folder(folder)
    for name in missing + differing:
        make_folder((folder / name).parent)
        with replace_whole(folder / name) as temporary:
            temporary.write_bytes(files[name])
    quoted = str(folder.resolve()).replace("'", "''")  # as MATLAB writes a quotation mark in a character vector
    _console.say(f"{folder} holds the MATLAB functions, {len(files)} files. In MATLAB or GNU Octave, type:")
    _console.say(f"  addpath('{quoted}'); savepath")
    _console.say("  help plotSweep")


def _is_other(path: Path, content: bytes) -> bool:
    """Whether a path is something else than a file of this content, line ends aside."""
    return not path.is_file() or path.read_bytes().replace(b"\r\n", b"\n") != content.replace(b"\r\n", b"\n")
