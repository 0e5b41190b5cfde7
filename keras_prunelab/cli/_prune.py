"""`prunelab prune`: one network, at one sparsity or within a budget of a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _console, _options

EXAMPLES = """\
Examples:

    prunelab prune net.mat --sparsity 0.9 --out pruned.mat

    prunelab prune model.keras --sparsity 0.95 --score synflow --scope layer --out pruned.keras

    prunelab prune model.keras --budget flash=60000,cycles=0.5 --target ethos-u55-128 --out fitting.keras

    prunelab prune lab5.mat --sparsity 0.93 --score obs --reconstruct --calibration train.mat --out pruned.mat
"""


def command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A .mat file with a network, or a .keras or .h5 file.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write: .mat like the source, or .keras.")],
    sparsity: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION", help="The fraction to set to zero, from 0 to below 1.", parser=_options.fraction
        ),
    ] = None,
    budget: Annotated[
        dict[str, float] | None,
        typer.Option(
            metavar="GOAL=NUMBER,...",
            help="Instead of a sparsity, what the network may take on --target: flash, sram (bytes), cycles; below 1, "
            "shares of what it takes whole.",
            parser=_options.budget,
        ),
    ] = None,
    target: Annotated[
        str, typer.Option(metavar="NPU", help="Of --budget: an Ethos-U, as its compiler names it.")
    ] = "ethos-u55-128",
    score: Annotated[
        str, typer.Option(metavar="NAME", help="The saliency score: magnitude, synflow, obs, random.")
    ] = "magnitude",
    scope: _options.Scope = "global",
    network: _options.Network = None,
    convention: _options.Convention = None,
    reconstruct: _options.Reconstruct = False,
    calibration: _options.Calibration = None,
    image_root: _options.ImageRoot = None,
) -> None:
    """Set the least important weights of a network to zero."""
    from dataclasses import replace

    import keras_prunelab as kpl
    import matlab_bridge as bridge

    from ._calibration import open_calibration, tell
    from ._inputs import open_model
    from ._outputs import check_sources, check_target, make_folder, note_of, save_keras
    from ._sweeps import tell_cost

    if (sparsity is None) == (budget is None):
        raise typer.BadParameter("Give --sparsity, such as 0.9, or --budget, such as flash=60000; one of them.")
    check_target(out, {".keras", ".mat"})
    check_sources([model, calibration], [out])
    to_matlab = out.suffix == ".mat"
    opened = open_model(model, network)
    if to_matlab and opened.network is None:
        raise kpl.InvalidModelError(
            f"{model.name} is no MATLAB file, so there is no MATLAB network to write zeros into. Write a .keras file, "
            "or use matlab_bridge.save_portable, whose struct MATLAB's networkFromStruct turns into a dlnetwork."
        )
    used = convention or opened.convention
    given = None
    if reconstruct or calibration is not None or score == "obs":
        given = open_calibration(opened, None, model, calibration, image_root)
        if given is None:
            raise kpl.InvalidDataError(
                f"{model.name} holds no data for its network, and without it nothing can be solved: name some inputs "
                "with --calibration."
            )
        tell(given)
        tell_cost(opened, score)
    pruned = kpl.prune(
        opened.model,
        sparsity,
        score,
        budget=budget,
        target=target,
        scope=scope,
        convention=used,
        calibration=None if given is None else given.inputs,
        reconstruct=reconstruct,
    )
    make_folder(out.parent)
    if to_matlab:
        note = None
        if given is not None:
            way = "sequential reconstruction" if reconstruct else "none"
            note = note_of(score, kpl.sparsity(pruned, convention=used), way, given.what)
        bridge.save_network(out, pruned, like=opened.path, variable=opened.variable, note=note)
    else:
        save_keras(replace(opened, built=pruned), out)
    _console.say(
        f"Wrote {out}: {kpl.sparsity(pruned, convention=used):.2%} of the weights are zero ({used} convention)"
        f"{', the others are solved anew' if reconstruct else ''}."
    )
