"""`prunelab compact`: a smaller network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _console, _options

EXAMPLES = """\
Examples:

    prunelab compact pruned.keras --out small.keras

    prunelab compact net.mat --fraction 0.3 --out buildSmall.m
"""


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .mat file with a network, or a .keras file.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write: .keras, or .m for MATLAB code.")],
    fraction: Annotated[
        float | None,
        typer.Option(metavar="FRACTION", help="Remove this share of each layer's filters too, the smallest first."),
    ] = None,
    multiple_of: Annotated[
        int, typer.Option(metavar="N", help="Of --fraction: keep multiples of N filters, which run as fast as fewer.")
    ] = 1,
    network: _options.Network = None,
) -> None:
    """Cut out of a network the channels that are zero, and prove that it computes the same."""
    from dataclasses import replace

    import keras_prunelab as kpl
    import matlab_bridge as bridge

    from ._inputs import open_model
    from ._outputs import make_folder, save_keras

    _check(out)
    opened = open_model(model, network)
    given = opened.model if fraction is None else kpl.remove_filters(opened.model, fraction, multiple_of=multiple_of)
    found = kpl.compaction(given)
    make_folder(out.parent)
    if out.suffix == ".m":
        bridge.write_matlab_code(found.model, out, class_names=opened.class_names)
    else:
        save_keras(replace(opened, model=found.model), out)
    lines = str(found).splitlines()
    if fraction is not None:  # it compares with a network whose filters are gone already; people know the whole one
        whole = kpl.compaction(opened.model).channels
        channels = {name: (whole.get(name, counts)[0], counts[1]) for name, counts in found.channels.items()}
        lines = str(replace(found, channels=channels)).splitlines()[1:]
    for line in lines:
        _console.say(line)
    before, after = kpl.metrics(opened.model), kpl.metrics(found.model)
    _console.say(
        f"Wrote {out}: {before.parameters:,} parameters became {after.parameters:,}, {before.macs:,} multiply-adds "
        f"{after.macs:,}."
    )


def _check(out: Path) -> None:
    """Refuse a file that could not be written, before any work.

    Raises:
        InvalidModelError: its ending is another one, or MATLAB takes no function of its name.
    """
    from keras_prunelab._errors import InvalidModelError
    from matlab_bridge.networks.write._matlab_text import is_function_name

    if out.suffix not in {".keras", ".m"}:
        raise InvalidModelError(
            f"--out is a .keras or a .m file, its ending in small letters, but got {str(out)!r}: a network of another "
            "size does not fit into the bytes of the .mat file that it came from."
        )
    if out.suffix == ".m" and not is_function_name(out.stem):
        raise InvalidModelError(
            f"--out {out.name} cannot be a function of MATLAB: its name is of letters, digits and underscores, begins "
            "with a letter, has at most 63 characters, and is no keyword. An example is buildNet.m."
        )
