"""`prunelab info`: what is in a MATLAB file, without its data and without Keras; or what a network's zeros bring."""

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

    prunelab info pruned.mat --targets
"""


def command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A .mat file of any version; with --targets also a .keras or .h5 file."),
    ],
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show the layers of this network instead of the variables."),
    ] = None,
    targets: Annotated[
        bool,
        typer.Option("--targets", help="Show what the zeros of the network bring on each kind of device, by layer."),
    ] = False,
) -> None:
    """List the variables of a MATLAB file, and the networks found in it; or show what a network's zeros bring."""
    if targets:
        _tell_targets(file, network)
        return
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


def _tell_targets(file: Path, network: str | None) -> None:
    import keras_prunelab as kpl

    from ._inputs import open_model

    found = kpl.deployment(open_model(file, network).model)
    rows = found.layers.drop(columns=["type", "kernel"]).assign(zeros=[f"{each:.1%}" for each in found.layers["zeros"]])
    sides = {str(name): "right" if name == "zeros" else "left" for name in rows.columns}
    _console.table("What zeros bring", sides, [tuple(row) for row in rows.itertuples(index=False)])
    for name, text in found.targets.items():
        _console.say(f"{name}: {text} [{found.sources[name]}]")


def _class(variable: VariableInfo) -> str:
    words = ["complex"] * variable.is_complex + ["sparse"] * variable.is_sparse + [variable.class_name]
    return " ".join(words)
