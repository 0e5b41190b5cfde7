"""`prunelab info`: what is in a MATLAB file, without reading its data and without Keras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import _console

if TYPE_CHECKING:
    from matlab_bridge.matfile import VariableInfo

EXAMPLES = """\
Examples:

    prunelab info lab5.mat

    prunelab info lab5.mat --network net
"""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .mat file of any version.")],
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show the layers of this network instead of the variables."),
    ] = None,
) -> None:
    """List the variables of a MATLAB file, and the networks found in it."""
    from matlab_bridge import find_networks, info, load_network

    if network is not None:
        _console.say(load_network(file, network).summary())
        return
    found = info(file)
    written = [f"written by {found.platform}"] if found.platform else []
    created = [f"on {found.created}"] if found.created else []
    _console.say(
        ", ".join([f"{found.path.name}: MAT-file {found.version}", " ".join([*written, *created])]).rstrip(", ")
    )
    _console.table(
        "Variables",
        {"Name": "left", "Size": "right", "Class": "left"},
        [(v.name, "x".join(map(str, v.shape)), _class(v)) for v in found.variables],
    )
    networks = find_networks(file)
    if networks:
        _console.table("Networks", {"Name": "left", "Class": "left"}, [(n.variable, n.class_name) for n in networks])
        _console.say(
            f"See the layers of one: prunelab info {_console.shell_word(str(file))} "
            f"--network {_console.shell_word(networks[0].variable)}"
        )


def _class(variable: VariableInfo) -> str:
    words = ["complex"] * variable.is_complex + ["sparse"] * variable.is_sparse + [variable.class_name]
    return " ".join(words)
