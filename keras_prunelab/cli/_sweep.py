"""`prunelab sweep`: accuracy against sparsity, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import _console, _options
from ._levels import DEFAULT_LEVELS, parse_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras_prunelab as kpl
    from matlab_bridge import Dataset

    from ._inputs import OpenedModel

EXAMPLES = """\
Examples:

    prunelab sweep net.mat --data images.mat --out sweep.csv

    prunelab sweep model.keras --data validation.zip --scores magnitude,random --out sweep.mat
"""


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .mat file with a network, or a .keras file.")],
    network: _options.Network = None,
    data: _options.Data = None,
    image_root: _options.ImageRoot = None,
    inputs: _options.Inputs = None,
    labels: _options.Labels = None,
    sparsities: _options.Sparsities = DEFAULT_LEVELS,
    scores: _options.Scores = "magnitude",
    scope: _options.Scope = "global",
    convention: _options.Convention = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The table to write: .csv, .json, or .mat for MATLAB.")
    ] = Path("sweep.csv"),
) -> None:
    """Measure the accuracy at many sparsities and write the table."""
    from keras_prunelab._errors import InvalidDataError

    from ._inputs import open_data, open_model
    from ._outputs import make_folder

    if out.suffix.lower() not in {".csv", ".json", ".mat"}:
        raise InvalidDataError(f"--out is a .csv, .json or .mat file, but got {str(out)!r}.")
    levels = parse_levels(sparsities)
    opened = open_model(model, network)
    dataset = open_data(opened, data or model, inputs, labels, image_root)
    result = run_sweep(opened, dataset, levels, scores, convention=convention, scope=scope)
    make_folder(out.parent)
    match out.suffix.lower():
        case ".csv":
            result.to_csv(out)
        case ".json":
            result.to_json(out)
        case _:
            from matlab_bridge import save_results

            save_results(out, result)
    dense = f"Dense {result.metric.label} {result.metric.text(result.dense)}"
    _console.say(f"{dense}; wrote {len(result.table)} points, {result.convention} convention, to {out}.")
    leave_if_stopped(result)


def run_sweep(
    opened: OpenedModel,
    dataset: Dataset,
    levels: Sequence[float],
    scores: str,
    *,
    convention: str | None = None,
    scope: Literal["global", "layer"] = "global",
) -> kpl.SweepResult:
    """A sweep with its progress on the console."""
    import keras_prunelab as kpl

    names = tuple(name.strip() for name in scores.split(",") if name.strip())
    with _console.progress("Sweep") as advance:
        result = kpl.sweep(
            opened.model,
            dataset,
            levels,
            names,
            convention=convention or opened.convention,
            scope=scope,
            progress=lambda at: advance(at.done, at.total, at.what),
        )
    if result.complete:
        return result
    if result.table.empty:
        raise KeyboardInterrupt
    _console.say(f"Stopped after {len(result.table)} points: what follows is about these.")
    return result


def leave_if_stopped(result: kpl.SweepResult) -> None:
    """End with the exit code of Ctrl-C, once what was measured until then is written."""
    if not result.complete:
        raise typer.Exit(130)
