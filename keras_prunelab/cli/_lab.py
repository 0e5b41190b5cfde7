"""`prunelab lab`: the whole lab, from a saved workspace to a report and a pruned network for MATLAB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import _console, _options
from ._levels import DEFAULT_LEVELS, parse_levels

if TYPE_CHECKING:
    import keras_prunelab as kpl
    from keras_prunelab._errors import NoTradeOffError

    from ._inputs import OpenedModel

EXAMPLES = """\
Examples:

    prunelab lab lab5.mat

    prunelab lab net.mat --data images.zip --scores magnitude,synflow --max-drop 0.02 --out report

    prunelab lab workspace.mat --image-root D:/digits --inputs imdsValidation --sparsities 0.8:0.98:0.002
"""

WRITTEN = (
    *("report.html", "sweep.csv", "results.mat", "pruned.mat", "pruned.keras"),
    *("accuracy.png", "layers.png", "filters.png", "blocks.png"),
)
"""The files that `lab` writes into its folder."""


def command(
    context: typer.Context,
    workspace: Annotated[
        Path, typer.Argument(metavar="WORKSPACE", help="The .mat file with the network (or a .keras file).")
    ],
    network: _options.Network = None,
    data: _options.Data = None,
    image_root: _options.ImageRoot = None,
    inputs: _options.Inputs = None,
    labels: _options.Labels = None,
    sparsities: _options.Sparsities = DEFAULT_LEVELS,
    scores: _options.Scores = "magnitude,synflow",
    max_drop: _options.MaxDrop = 0.01,
    convention: _options.Convention = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for what is written.")] = Path("lab"),
) -> None:
    """Sweep the sparsity, choose a trade-off, and write the report and the pruned network.

    Writes to the folder of --out: report.html (one file: plots, tables, the choice and its reason, the sparsity of
    each block), the plots as PNG, sweep.csv, results.mat (the sweep as MATLAB variables), pruned.mat (the same network
    object with zeros in it, for a network that came from MATLAB) and pruned.keras. What is not named is found by its
    size and by the names of the classes.
    """
    from keras_prunelab._errors import NoTradeOffError

    from ._inputs import open_data, open_model, write_loading_code
    from ._outputs import check_sources, make_folder
    from ._sweep import leave_if_stopped, run_without_collapse
    from ._trials import fit_inputs

    check_sources([workspace, data, inputs, labels], (out / name for name in WRITTEN), plots=out)
    levels = parse_levels(sparsities)
    opened = open_model(workspace, network)
    dataset = open_data(opened, data or workspace, inputs, labels, image_root)
    dataset, change = fit_inputs(opened.model, dataset)
    make_folder(out)
    if max_drop == 1 and dataset.class_names:
        raise NoTradeOffError(
            "--max-drop 1 can mean one point of accuracy, which is 0.01, or all of it, which every level meets: write "
            "--max-drop 0.01 for one point."
        )
    result = run_without_collapse(opened, dataset, levels, scores, convention=convention)
    result.to_csv(out / "sweep.csv")
    choice, failure = _choose(result, max_drop)
    for doubt in result.doubts(choice):
        _console.warn(doubt)
    if choice is not None:
        _console.say(f"Choice: {choice.reason}")
    given = {"inputs": inputs, "labels": labels, "image_root": image_root}
    code = write_loading_code(opened, data or workspace, given) + change
    write_outputs(opened, result, choice, failure, out, loading=code, command=str(context.find_root().obj or ""))
    if choice is None:
        _console.say("No level is chosen, so no pruned network is written.")
        _tell_earlier(out)
    _console.say(f"Report: {(out / 'report.html').resolve()}")
    leave_if_stopped(result)
    if failure is not None:
        raise failure


def _choose(result: kpl.SweepResult, max_drop: float) -> tuple[kpl.Choice | None, NoTradeOffError | None]:
    """The choice, or the reason why no level meets the condition; neither where no level is meaningful."""
    from keras_prunelab._errors import NoTradeOffError
    from keras_prunelab._sweep._doubts import no_meaning

    if no_meaning(result):
        return None, None
    try:
        return result.choose(max_drop=max_drop), None
    except NoTradeOffError as error:
        return None, error


def _tell_earlier(out: Path) -> None:
    """Name networks that an earlier run has left: they do not belong to this report."""
    left = [name for name in ("pruned.mat", "pruned.keras") if (out / name).exists()]
    if left:
        _console.warn(f"{' and '.join(left)} in {out} {'is' if len(left) == 1 else 'are'} of an earlier run.")


def write_outputs(
    opened: OpenedModel,
    result: kpl.SweepResult,
    choice: kpl.Choice | None,
    failure: NoTradeOffError | None,
    out: Path,
    **repeat: str,
) -> None:
    """The report, the plots, the results, and where there is a choice, the network pruned at it in both forms."""
    import keras_prunelab as kpl
    import matlab_bridge as bridge

    from ._outputs import save_keras

    notes = () if failure is None else (str(failure),)
    kpl.report(result, choice, out / "report.html", notes=notes, **repeat)
    kpl.export_plots(result, choice, out)
    bridge.save_results(out / "results.mat", result, choice=choice, network=opened.network)
    if choice is None:
        return
    result.masks(choice).apply(opened.model)
    if opened.network is not None:
        bridge.save_network(out / "pruned.mat", opened.model, like=opened.path, variable=opened.variable)
    save_keras(opened, out / "pruned.keras")
