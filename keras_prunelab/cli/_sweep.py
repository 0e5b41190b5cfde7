"""`prunelab sweep`: accuracy against sparsity, as a table."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import _console, _options
from ._levels import DEFAULT_LEVELS, levels_in
from ._options import names_in
from ._sweeps import leave_if_stopped, run_sweep, tell_collapses, tell_cost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import keras_prunelab as kpl
    from matlab_bridge import Dataset

    from ._inputs import OpenedModel


EXAMPLES = """\
Examples:

    prunelab sweep net.mat --data images.mat --out sweep.csv

    prunelab sweep model.keras --data validation.zip --scores magnitude,random --seeds 3 --out sweep.mat

    prunelab sweep model.keras --data validation.zip --sparsities auto --store sweep.db --workers 2

    prunelab sweep model.keras --data validation.zip --train training.zip --epochs 3 --dry-run

    prunelab sweep lab5.mat --scores magnitude,obs --reconstruct --calibration-split 0.5

    prunelab sweep lab5.mat --scores magnitude --reconstruct --finetune 1 --calibration-split 0.5
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
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="N", help="A number of seeds, or several with commas between: 0,1,2."),
    ] = None,
    scope: Annotated[
        str,
        typer.Option(
            "--scope", metavar="NAMES", help="Where weights compete: global, layer, erk, lamp; several with commas."
        ),
    ] = "global",
    granularity: Annotated[
        str, typer.Option("--granularity", help="What goes as a whole: weight, 2:4, 4x4, kernel, channel.")
    ] = "weight",
    group_by: _options.GroupBy = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="NAMES",
            help="What to measure, the first being what counts: accuracy, int8_accuracy, ...",
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option("--train", metavar="DATA", help="Train on this after pruning; alone it has no plain curves."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", min=1, help="Epochs of training with --train, in each round; 1 by default."),
    ] = None,
    finetune: _options.FineTune = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Prune and train in so many rounds; 1 by default.")
    ] = None,
    rewind: Annotated[
        Literal["learning_rate", "weights"] | None,
        typer.Option("--rewind", help="What goes back to the beginning before each further round."),
    ] = None,
    convention: _options.Convention = None,
    reconstruct: _options.Reconstruct = False,
    calibration: _options.Calibration = None,
    calibration_split: _options.CalibrationSplit = None,
    store: _options.Store = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="How many processes measure; -1 for all processors.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the points, measure the first to tell the time, and stop.")
    ] = False,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The table to write: .csv, .json, .parquet, or .mat for MATLAB.")
    ] = Path("sweep.csv"),
) -> None:
    """Measure the accuracy at many sparsities and write the table."""
    from keras_prunelab._errors import InvalidDataError

    from ._calibration import calibrated
    from ._groups import measured_groups, open_groups
    from ._inputs import check_inputs, open_data, open_model, source_of_data
    from ._outputs import check_sources, make_folder
    from ._training import prepare_training, training_data
    from ._trials import fit_inputs

    _check_out(out)
    if train is None and finetune is None:
        _refuse_unused({"--epochs": epochs, "--rounds": rounds, "--rewind": rewind})
    read = [model, data, train, inputs, labels, calibration]
    check_sources([*read, store], [out])
    check_sources(read, [store])
    levels = levels_in(sparsities)
    _options.check_scores(scores)
    check_inputs(model, data, train, calibration, image_root=image_root)
    source = source_of_data(model, data)
    opened = open_model(model, network)
    found = open_data(opened, source, inputs, labels, image_root)
    dataset, _ = fit_inputs(opened.model, found)
    options: dict[str, Any] = {"granularity": granularity, "seeds": _numbers(seeds)}
    groups, observations = open_groups(source, group_by, len(dataset)), len(dataset)
    given = None
    if reconstruct or calibration is not None or calibration_split is not None or (finetune and train is None):
        dataset, given = calibrated(opened, dataset, source, calibration, calibration_split, image_root)
        options |= {"reconstruct": [False, True] if reconstruct else False}
        options |= {} if given is None else {"calibration": given.inputs}
    options["groups"] = measured_groups(groups, observations, calibration_split)
    if metrics is not None:
        options["metrics"] = names_in(metrics)
        options = _ranges(opened, dataset, source, options["metrics"], image_root) | options
    if finetune is not None and epochs is not None:
        raise InvalidDataError("--finetune and --epochs both say for how many epochs to train: give one of them.")
    if train is not None or finetune is not None:
        from keras_prunelab import FineTune

        if train is not None:
            training, _ = fit_inputs(opened.model, open_data(opened, train, inputs, labels, image_root))
        else:
            training = training_data(given)
        arrays, _ = prepare_training(opened.model, training)
        trained = FineTune(arrays, finetune or epochs or 1, rounds or 1, rewind)
        options["finetune"] = trained if finetune is None else [None, trained]
    if dry_run:
        _tell_plan(opened, dataset, levels, scores, convention=convention, scope=names_in(scope), **options)
        return
    tell_cost(opened, scores)
    result = run_sweep(
        opened,
        dataset,
        levels,
        scores,
        convention=convention,
        scope=names_in(scope),
        store=store,
        workers=workers,
        **options,
    )
    make_folder(out.parent)
    _write(result, out)
    dense = f"Dense {result.metric.label} {result.metric.text(result.dense)}"
    _console.say(f"{dense}; wrote {len(result.table)} points, {result.convention} convention, to {out}.")
    for doubt in result.doubts():
        _console.warn(doubt)
    tell_collapses(result)
    leave_if_stopped(result)


def _check_out(out: Path) -> None:
    """Make sure that the table can be written, before anything is measured.

    Raises:
        InvalidDataError: there is no such format.
        MissingBackendError: a package for it is missing.
        NotADirectoryError: a file is in the way.
        PermissionError: its folder cannot be written to.
    """
    from keras_prunelab._errors import InvalidDataError, MissingBackendError

    from ._outputs import check_folder

    if out.suffix.lower() not in {".csv", ".json", ".parquet", ".mat"}:
        raise InvalidDataError(f"--out is a .csv, .json, .parquet or .mat file, but got {str(out)!r}.")
    if out.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise MissingBackendError("Parquet files need pyarrow: pip install pyarrow, or write .csv or .json.")
    check_folder(out.parent)


def _refuse_unused(options: Mapping[str, object]) -> None:
    """Refuse options of a training where nothing is trained.

    Raises:
        InvalidDataError: one is given.
    """
    from keras_prunelab._errors import InvalidDataError

    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InvalidDataError(
            f"{' and '.join(given)} say how to train after pruning, but nothing is trained: name what to train on with "
            "--train, or train on data beside what is measured with --finetune."
        )


def _ranges(
    opened: OpenedModel, dataset: Dataset, path: Path, metrics: Sequence[str], image_root: Path | None
) -> dict[str, Any]:
    """The data beside what is measured, for the ranges of int8 files; nothing where there is none, or no file."""
    from keras_prunelab._evaluate._file_metrics import FILE_METRICS

    from ._calibration import open_calibration, tell

    if not any(name in FILE_METRICS for name in metrics):
        return {}
    found = open_calibration(opened, dataset, path, None, image_root)
    if found is None:
        return {}
    tell(found)
    return {"calibration": found.inputs}


def _tell_plan(
    opened: OpenedModel,
    dataset: Dataset,
    levels: Sequence[float] | str,
    scores: str,
    *,
    convention: str | None,
    **options: Any,
) -> None:
    import keras_prunelab as kpl

    convention = convention or opened.convention
    planned = kpl.plan_sweep(opened.model, dataset, levels, tuple(names_in(scores)), convention=convention, **options)
    _console.say(str(planned))
    seconds = planned.seconds()
    _console.say(f"Expected time in one process, after the first point: {seconds:.0f} s ({seconds / 60:.1f} min).")


def _numbers(text: str | None) -> int | list[int] | None:
    from keras_prunelab._errors import UnknownNameError

    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise UnknownNameError(f"--seeds is a number of seeds, or seeds such as 0,1,2, but got {text!r}.") from None
    return numbers if "," in text else numbers[0]


def _write(result: kpl.SweepResult, out: Path) -> None:
    """Write the table in the format that the ending of its file says."""
    match out.suffix.lower():
        case ".csv":
            result.to_csv(out)
        case ".json":
            result.to_json(out)
        case ".parquet":
            result.to_parquet(out)
        case _:
            from matlab_bridge import save_results

            save_results(out, result)
