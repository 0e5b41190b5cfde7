"""`prunelab lab`: the whole lab, from a saved workspace to a report and a pruned network for MATLAB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _console, _options
from ._levels import DEFAULT_LEVELS, levels_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras_prunelab as kpl
    from matlab_bridge import Dataset

    from ._calibration import Calibration
    from ._inputs import OpenedModel
    from ._sweeps import Levels

EXAMPLES = """\
Examples:

    prunelab lab lab5.mat

    prunelab lab lab5.mat --format docx --author "A. Student" --title "Lab 5" --notes notes.md

    prunelab lab lab5.mat --sparsities auto --store lab5.db --min-metric 0.97

    prunelab lab net.mat --data images.zip --scores magnitude,synflow --max-drop 0.02 --out report

    prunelab lab lab5.mat --calibration-split 0.5 --finetune 1

    prunelab lab lab5.mat --quantize int8

    prunelab lab signals.mat --group-by SNR

    prunelab lab workspace.mat --image-root D:/digits --inputs imdsValidation --sparsities 0.8:0.98:0.002
"""


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
    group_by: _options.GroupBy = None,
    sparsities: _options.Sparsities = DEFAULT_LEVELS,
    scores: _options.Scores = "magnitude,synflow",
    max_drop: _options.MaxDrop = None,
    min_metric: _options.MinMetric = None,
    knee: _options.Knee = False,
    convention: _options.Convention = None,
    format: _options.Format = None,  # noqa: A002  # the name of the option
    title: _options.Title = "Pruning report",
    author: _options.Author = "",
    course: _options.Course = "",
    notes: _options.Notes = None,
    paper: _options.Paper = "a4",
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
    finetune: _options.FineTune = None,
    quantize: _options.Quantize = None,
    quantize_levels: _options.QuantizeLevels = None,
    store: _options.Store = None,
    force: _options.Force = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for what is written.")] = Path("lab"),
) -> None:
    """Sweep the sparsity, choose a trade-off, and write the report and the pruned network.

    Writes to the folder of --out: report.html, report.docx and report.pdf (the same report: the curves, the choice and
    its reason, the methods compared, the sparsity of each block, open questions), the plots as PNG, sweep.csv and
    sweep.json (all points), results.mat (the sweep as MATLAB variables), pruned.mat (the same network object with
    zeros in it, for a network that came from MATLAB) and pruned.keras. What is not named is found by its size and by
    the names of the classes. Where there is other data beside what is measured, such as XTrain, the curve of obs is
    added: its weights are solved anew on that data, so that each layer's outputs stay. --finetune adds the curves of
    networks that are trained on it after pruning, and of those that are both. --quantize measures the networks of the
    choice's curve as LiteRT files: their accuracy, their sizes, and the choice by them. A report of
    an earlier run stays, unless --force is given or the run goes on from its --store.
    """
    from ._curves import Lab
    from ._groups import measured_groups, open_groups, write_groups_code
    from ._inputs import check_inputs, open_data, open_model, source_of_data, write_loading_code
    from ._outputs import LAB_FILES, check_sources, make_folder, write_lab
    from ._quantized import Quantization, add_quantized
    from ._reports import Reports, check_condition, choose
    from ._sweeps import leave_if_stopped
    from ._training import prepare_training, training_data
    from ._trials import fit_inputs

    # All that can be checked without Keras, which takes seconds to load: options, files, and of a .mat its contents.
    condition = _options.condition(max_drop, min_metric, knee=knee) or {"max_drop": 0.01}
    quantization = Quantization.of(quantize, quantize_levels)
    _options.check_scores(scores)
    levels: Levels = levels_in(sparsities)
    goes_on = store is not None and store.exists()
    about = {"title": title, "author": author, "course": course, "paper": paper}
    reports = Reports.of(out, format, notes, replaces=force or goes_on, **about)
    read_files = [workspace, data, inputs, labels, calibration, notes]
    check_sources(read_files, [*(out / name for name in LAB_FILES), store], plots=out)
    check_inputs(workspace, data, calibration, image_root=image_root)
    source = source_of_data(workspace, data)
    opened = open_model(workspace, network)
    dataset = open_data(opened, source, inputs, labels, image_root)
    check_condition(condition, is_share=bool(dataset.class_names))
    if quantization is not None:
        quantization.check(opened.model)
    groups, observations = open_groups(source, group_by, len(dataset)), len(dataset)
    dataset, change = fit_inputs(opened.model, dataset)
    if levels == "auto":
        levels = _auto_levels(condition)
    dataset, given_data, reconstruct = _calibration(
        opened, dataset, source, calibration, calibration_split, image_root, reconstruct, finetune
    )
    split = None if given_data is None else calibration_split  # without calibration, all is measured
    groups = measured_groups(groups, observations, split)
    code = "" if given_data is None else given_data.code
    training = None
    if finetune is not None:
        from keras_prunelab import FineTune

        arrays, compiling = prepare_training(opened.model, training_data(given_data))
        code += f"train = train.inputs, train.labels\n{compiling}"
        training = FineTune(arrays, finetune)
    make_folder(out)
    lab = Lab(opened, dataset, levels, condition, given_data, store, groups)
    result = lab.measure(scores, convention, reconstruct=reconstruct, training=training)
    choice, failure = choose(result, condition)
    for doubt in result.doubts(choice):
        _console.warn(doubt)
    if choice is not None:
        _console.say(f"Choice: {choice.reason}")
    quantized_choice = None
    if quantization is not None and result.complete:
        result, quantized_choice = add_quantized(lab, quantization, result, choice, training)
    given = {"inputs": inputs, "labels": labels, "image_root": image_root}
    read = {str(workspace): "the network" if data else "the network and the data"} | (
        {str(data): "the data"} if data else {}
    )
    code = write_loading_code(opened, source, given) + change + code
    code += write_groups_code(source, group_by, is_split=split is not None)
    written = write_lab(opened, result, choice, out, quantized_choice)
    if store is not None:
        _keep(result, choice, store)
    reports.write(
        result,
        choice,
        read | written,
        [] if failure is None else [str(failure)],
        loading=code,
        command=str(context.find_root().obj or ""),
    )
    if choice is None:
        _console.say("No level is chosen, so no pruned network is written.")
        _tell_earlier(out)
    _tell_toolbox(opened, out)
    leave_if_stopped(result)
    if failure is not None:
        raise failure


def _auto_levels(condition: Mapping[str, Any]) -> kpl.AutoLevels:
    """Levels that are found, all of them where the curve leaves the loss that is allowed."""
    import keras_prunelab as kpl

    return kpl.AutoLevels(max_drop=condition.get("max_drop", 0.01))


def _keep(result: kpl.SweepResult, choice: kpl.Choice | None, store: Path) -> None:
    """Leave the whole result in the store, with all curves and the choice, for `prunelab report`."""
    from keras_prunelab._result._files import keep_in_store

    keep_in_store(result.chosen(choice), store)


def _tell_toolbox(opened: OpenedModel, out: Path) -> None:
    """Say what draws the results in MATLAB, where that is where the network comes from."""
    if opened.network is None:
        return
    from matlab_bridge import toolbox_path

    _console.say(
        f"In MATLAB: addpath('{toolbox_path()}'); plotSweep('{out / 'results.mat'}'). For another machine, prunelab "
        "toolbox DIR copies the functions into a folder."
    )


def _calibration(
    opened: OpenedModel,
    dataset: Dataset,
    path: Path,
    named: Path | None,
    split: float | None,
    image_root: Path | None,
    reconstruct: bool | None,
    finetune: int | None,
) -> tuple[Dataset, Calibration | None, bool]:
    """What is measured, what calibrates, and whether weights are solved anew at all."""
    from ._calibration import calibrated, open_calibration, tell

    if reconstruct is False and finetune is None:
        return dataset, None, False
    if reconstruct or named is not None or split is not None:
        return *calibrated(opened, dataset, path, named, split, image_root), reconstruct is not False
    found = open_calibration(opened, dataset, path, None, image_root)
    if found is None:
        _console.say(
            "Calibration: there is no data beside what is measured, so no weights are solved anew. --calibration names "
            "some; --calibration-split 0.5 calibrates on one half of the data and measures on the other."
        )
        return dataset, None, False
    tell(found)
    return dataset, found, reconstruct is not False


def _tell_earlier(out: Path) -> None:
    """Name networks that an earlier run has left: they do not belong to this report."""
    left = [name for name in ("pruned.mat", "pruned.keras") if (out / name).exists()]
    if left:
        _console.warn(f"{' and '.join(left)} in {out} {'is' if len(left) == 1 else 'are'} of an earlier run.")
