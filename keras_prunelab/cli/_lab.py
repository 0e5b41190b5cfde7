"""`prunelab lab`: the whole lab, from a saved workspace to a report and a pruned network for MATLAB."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import _console, _options
from ._levels import DEFAULT_LEVELS, parse_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras_prunelab as kpl
    from keras_prunelab._errors import NoTradeOffError
    from matlab_bridge import Dataset

    from ._calibration import Calibration
    from ._inputs import OpenedModel

EXAMPLES = """\
Examples:

    prunelab lab lab5.mat

    prunelab lab lab5.mat --format docx --author "A. Student" --title "Lab 5" --notes notes.md

    prunelab lab net.mat --data images.zip --scores magnitude,synflow --max-drop 0.02 --out report

    prunelab lab workspace.mat --image-root D:/digits --inputs imdsValidation --sparsities 0.8:0.98:0.002
"""

WRITTEN = (
    *("report.html", "report.docx", "report.pdf", "sweep.csv", "results.mat", "pruned.mat", "pruned.keras"),
    *("accuracy.png", "break.png", "layers.png", "filters.png", "blocks.png"),
)
"""The files that `lab` writes into its folder."""
FORMATS = ("html", "docx", "pdf")
"""The formats of its report."""

_FURTHER = 4  # levels that are solved one layer after the other


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
    format: Annotated[  # noqa: A002  # the name of the option
        str | None,
        typer.Option(
            "--format", metavar="NAMES", help="Reports to write, with commas between: html, docx, pdf; all by default."
        ),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="The heading of the report.")] = "Pruning report",
    author: Annotated[str, typer.Option("--author", help="Who hands it in.")] = "",
    course: Annotated[str, typer.Option("--course", help="What for.")] = "",
    notes: Annotated[
        Path | None, typer.Option("--notes", metavar="FILE.md", help="Text of your own for the report, in Markdown.")
    ] = None,
    paper: Annotated[Literal["a4", "letter"], typer.Option("--paper", help="The pages of the report.")] = "a4",
    reconstruct: Annotated[
        bool | None,
        typer.Option(
            "--reconstruct/--no-reconstruct",
            help="Add the curve of obs, whose weights are solved anew on calibration data. By default where there is "
            "such data beside what is measured.",
        ),
    ] = None,
    calibration: _options.Calibration = None,
    calibration_split: _options.CalibrationSplit = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for what is written.")] = Path("lab"),
) -> None:
    """Sweep the sparsity, choose a trade-off, and write the report and the pruned network.

    Writes to the folder of --out: report.html, report.docx and report.pdf (the same report: the curves, the choice and
    its reason, the methods compared, the sparsity of each block, open questions), the plots as PNG, sweep.csv,
    results.mat (the sweep as MATLAB variables), pruned.mat (the same network object with zeros in it, for a network
    that came from MATLAB) and pruned.keras. What is not named is found by its
    size and by the names of the classes. Where there is other data beside what is measured,
    such as XTrain, the curve of obs is added: its weights are solved anew on that data, so that each layer's outputs
    stay.
    """
    from keras_prunelab._errors import NoTradeOffError

    from ._inputs import open_data, open_model, write_loading_code
    from ._outputs import check_sources, make_folder
    from ._sweep import leave_if_stopped, run_without_collapse
    from ._trials import fit_inputs

    formats = _formats(format)
    text = _read(notes)
    check_sources([workspace, data, inputs, labels, calibration, notes], (out / name for name in WRITTEN), plots=out)
    levels = parse_levels(sparsities)
    opened = open_model(workspace, network)
    dataset = open_data(opened, data or workspace, inputs, labels, image_root)
    dataset, change = fit_inputs(opened.model, dataset)
    dataset, given_data, reconstruct = _calibration(
        opened, dataset, data or workspace, calibration, calibration_split, image_root, reconstruct
    )
    make_folder(out)
    if max_drop == 1 and dataset.class_names:
        raise NoTradeOffError(
            "--max-drop 1 can mean one point of accuracy, which is 0.01, or all of it, which every level meets: write "
            "--max-drop 0.01 for one point."
        )
    result = run_without_collapse(opened, dataset, levels, scores, convention=convention)
    if reconstruct and result.complete:
        result = _with_obs(opened, dataset, levels, result, given_data, max_drop)
    result.to_csv(out / "sweep.csv")
    choice, failure = _choose(result, max_drop)
    for doubt in result.doubts(choice):
        _console.warn(doubt)
    if choice is not None:
        _console.say(f"Choice: {choice.reason}")
    given = {"inputs": inputs, "labels": labels, "image_root": image_root}
    read = {str(workspace): "the network" if data else "the network and the data"} | (
        {str(data): "the data"} if data else {}
    )
    code = write_loading_code(opened, data or workspace, given) + change
    if given_data is not None:
        code += f"\n# calibration: {given_data.what}"
    about: dict[str, Any] = {
        "title": title,
        "author": author,
        "course": course,
        "notes": [*([] if failure is None else [str(failure)]), *text],
        "paper": paper,
        "loading": code,
        "command": str(context.find_root().obj or ""),
    }
    written = write_outputs(opened, result, choice, out)
    import keras_prunelab as kpl

    for each in formats:
        kpl.report(result, choice, out / f"report.{each}", files=read | written, **about)
    if choice is None:
        _console.say("No level is chosen, so no pruned network is written.")
        _tell_earlier(out)
    for each in formats:
        _console.say(f"Report: {(out / f'report.{each}').resolve()}")
    if format is None and len(formats) < len(FORMATS):
        _console.say('For Word and PDF as well: pip install "keras-prunelab[report]"')
    leave_if_stopped(result)
    if failure is not None:
        raise failure


def _calibration(
    opened: OpenedModel,
    dataset: Dataset,
    path: Path,
    named: Path | None,
    split: float | None,
    image_root: Path | None,
    reconstruct: bool | None,
) -> tuple[Dataset, Calibration | None, bool]:
    """What is measured, what calibrates, and whether weights are solved anew at all."""
    from ._calibration import open_calibration, tell
    from ._sweep import calibrated

    if reconstruct is False:
        return dataset, None, False
    if reconstruct or named is not None or split is not None:
        return *calibrated(opened, dataset, path, named, split, image_root), True
    found = open_calibration(opened, dataset, path, None, image_root)
    if found is None:
        _console.say(
            "Calibration: there is no data beside what is measured, so no weights are solved anew. --calibration names "
            "some; --calibration-split 0.5 calibrates on one half of the data and measures on the other."
        )
        return dataset, None, False
    tell(found)
    return dataset, found, True


def _with_obs(
    opened: OpenedModel,
    dataset: Dataset,
    levels: Sequence[float],
    result: kpl.SweepResult,
    given: Calibration | None,
    max_drop: float,
) -> kpl.SweepResult:
    """The result with the curve of obs, solved anew; and from its choice on, solved one layer after the other.

    A network that obs cannot rank, such as one with a layer of the user's own, keeps its plain curves.
    """
    import keras_prunelab as kpl
    from keras_prunelab._result._collapse import join

    from ._sweep import run_sweep

    options: dict[str, Any] = {"convention": result.convention}
    if given is not None:
        options["calibration"] = given.inputs
    try:
        solved = run_sweep(opened, dataset, levels, "obs", reconstruct=True, **options)
    except (kpl.InvalidModelError, kpl.InvalidDataError) as error:
        _console.warn(str(error))
        return result
    noted = {key: solved.metadata[key] for key in ("calibration", "damping", "traces") if key in solved.metadata}
    if given is not None:
        noted["calibration"] = given.what
    result = replace(join(result, solved), metadata={**result.metadata, **noted})
    choice, _ = _choose(solved, max_drop) if solved.complete else (None, None)
    if choice is None:
        return result
    further = [level for level in levels if level >= choice.sparsity_target][:_FURTHER]
    begun = time.monotonic()
    again = run_sweep(opened, dataset, further, "obs", reconstruct="sequential", **options)
    _console.say(
        f"Solved one layer after the other at {len(further)} levels from {choice.sparsity_target:.1%} on, in "
        f"{time.monotonic() - begun:.0f} s."
    )
    result = join(result, again)
    _tell_step(result, max_drop)
    return result


def _tell_step(result: kpl.SweepResult, max_drop: float) -> None:
    """Say how far each curve goes."""
    from keras_prunelab._errors import PruneLabError

    for curve in result.scores:
        try:
            choice = result.choose(max_drop=max_drop, score=curve)
        except PruneLabError:
            continue
        _console.say(
            f"{curve}: {choice.sparsity:.1%} of the weights go at {result.metric.label} "
            f"{result.metric.text(choice.accuracy)} (dense {result.metric.text(result.dense)})."
        )


def _choose(result: kpl.SweepResult, max_drop: float) -> tuple[kpl.Choice | None, NoTradeOffError | None]:
    """The choice, or the reason why no level meets the condition; neither where no level is meaningful."""
    from keras_prunelab._errors import NoTradeOffError
    from keras_prunelab._result._doubts import no_meaning

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


def _formats(names: str | None) -> list[str]:
    """The formats that are asked for, or those for which everything is installed.

    Raises:
        UnknownNameError: there is no such format.
        MissingBackendError: a format that is asked for needs a package that is not installed.
    """
    from keras_prunelab._errors import UnknownNameError
    from keras_prunelab._report._extra import check_extra, is_there

    if names is None:
        return [each for each in FORMATS if is_there(f".{each}")]
    asked = list(dict.fromkeys(name.strip().lower().removeprefix(".") for name in names.split(",") if name.strip()))
    for each in asked:
        if each not in FORMATS:
            raise UnknownNameError(f"--format takes {', '.join(FORMATS)}, with commas between, but got {each!r}.")
        check_extra(f".{each}")
    if not asked:
        raise UnknownNameError(f"--format takes {', '.join(FORMATS)}, with commas between, but got nothing.")
    return asked


def _read(notes: Path | None) -> list[str]:
    """The text of a file of notes.

    Raises:
        InvalidDataError: it is no text.
    """
    from keras_prunelab._errors import InvalidDataError

    if notes is None:
        return []
    try:
        return [notes.read_text(encoding="utf-8-sig")]
    except UnicodeDecodeError as error:
        raise InvalidDataError(f"--notes is a text file in UTF-8, but {str(notes)!r} is none: {error}.") from error


def write_outputs(opened: OpenedModel, result: kpl.SweepResult, choice: kpl.Choice | None, out: Path) -> dict[str, str]:
    """The plots, the results, and where there is a choice, the network pruned at it in both forms.

    Returns:
        What each file but the plots is, by its path. The model is as it was.
    """
    import keras_prunelab as kpl
    import matlab_bridge as bridge

    from ._outputs import save_keras

    kpl.export_plots(result, choice, out)
    bridge.save_results(out / "results.mat", result, choice=choice, network=opened.network)
    written = {"sweep.csv": "all points", "results.mat": "the sweep and the choice, as MATLAB variables"}
    if choice is not None:
        opened = replace(opened, model=result.network(choice))
        if opened.network is not None:
            bridge.save_network(out / "pruned.mat", opened.model, like=opened.path, variable=opened.variable)
            written["pruned.mat"] = "the pruned network, for MATLAB"
        save_keras(opened, out / "pruned.keras")
        written["pruned.keras"] = "the pruned network, for Keras"
    return {str(out / name): what for name, what in written.items()}
