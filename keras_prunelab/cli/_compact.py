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
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A .mat file with a network, or a .keras or .h5 file.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write: .keras, or .m for MATLAB code.")],
    fraction: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            help="Remove this share of each layer's filters too, the smallest first.",
            parser=_options.fraction,
        ),
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
    from ._outputs import check_sources, check_target, make_folder, save_keras

    check_target(out, {".keras", ".m"}, "a network of another size does not fit into the bytes of its .mat file")
    check_sources([model], [out])
    opened = open_model(model, network)
    given = opened.model if fraction is None else kpl.remove_filters(opened.model, fraction, multiple_of=multiple_of)
    found = kpl.compaction(given)
    make_folder(out.parent)
    if out.suffix == ".m":
        bridge.export_matlab_code(out, found.model, class_names=opened.class_names)
    else:
        save_keras(replace(opened, built=found.model), out)
    lines = str(found).splitlines()
    if fraction is not None:  # it compares with a network whose filters are gone already; people know the whole one
        from keras_prunelab._compaction._compact import channels_of

        whole = channels_of(opened.model)
        channels = {name: (whole.get(name, was), now) for name, (was, now) in found.channels.items()}
        lines = str(replace(found, channels=channels)).splitlines()[1:]
    for line in lines:
        _console.say(line)
    before, after = kpl.metrics(opened.model), kpl.metrics(found.model)
    _console.say(
        f"Wrote {out}: {before.parameters:,} parameters became {after.parameters:,}, {before.macs:,} multiply-adds "
        f"{after.macs:,}."
    )
