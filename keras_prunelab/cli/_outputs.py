"""What the commands write, each file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from keras_prunelab._errors import InvalidModelError, OverwriteError
from keras_prunelab._util._atomic import refuse_to_overwrite, replace_whole

if TYPE_CHECKING:
    import keras_prunelab as kpl

    from ._inputs import OpenedModel


LAB_FILES = (
    *("report.html", "report.docx", "report.pdf", "sweep.csv", "sweep.json", "results.mat"),
    *("pruned.mat", "pruned.keras", "accuracy.png", "break.png", "layers.png", "filters.png", "blocks.png"),
)
"""The files that `lab` writes into its folder."""


def save_keras(opened: OpenedModel, path: Path) -> None:
    """Write the model as a `.keras` file, and beside it what a MATLAB network knows besides its layers."""
    import matlab_bridge as bridge
    from matlab_bridge._sidecar_path import sidecar_path

    with replace_whole(path) as temporary:
        opened.model.save(temporary)
    if bridge.sidecar(opened.model) == bridge.Sidecar(convention="paper"):
        sidecar_path(path).unlink(missing_ok=True)  # it would tell of the model that was there before
    else:
        bridge.save_sidecar(path, opened.model)


def note_of(score: str, sparsity: float, training: str, calibration: str) -> str:
    """What a file of a network says of how its weights came about.

    Args:
        score: what decided which weights went.
        sparsity: the share of the weights that are zero.
        training: how the others were solved anew and trained, in words; `"none"` where they were not.
        calibration: on which data.
    """
    treated = "" if training == "none" else f", then {training}"
    return f"Pruned by {score}, {sparsity:.2%} of the weights are zero{treated}. Calibration: {calibration}."


def write_lab(
    opened: OpenedModel,
    result: kpl.SweepResult,
    choice: kpl.Choice | None,
    out: Path,
    quantized_choice: kpl.Choice | None = None,
) -> dict[str, str]:
    """Write the plots, the results, and where there is a choice, the network pruned at it in both forms.

    Returns:
        What each file but the plots is, by its path. The model is as it was.
    """
    import keras_prunelab as kpl
    import matlab_bridge as bridge

    result.to_csv(out / "sweep.csv")
    result.to_json(out / "sweep.json", choice)
    kpl.export_plots(result, choice, out)
    bridge.save_results(
        out / "results.mat", result, choice=choice, quantized_choice=quantized_choice, network=opened.network
    )
    written = {
        "sweep.csv": "all points",
        "sweep.json": "the same with the layers and the choice, for prunelab report",
        "results.mat": "the sweep and the choice, as MATLAB variables",
    }
    if choice is not None:
        opened = replace(opened, built=result.network(choice))
        if opened.network is not None:
            note = _note(result, choice)
            bridge.save_network(out / "pruned.mat", opened.model, like=opened.path, variable=opened.variable, note=note)
            written["pruned.mat"] = "the pruned network, for MATLAB"
        save_keras(opened, out / "pruned.keras")
        written["pruned.keras"] = "the pruned network, for Keras"
    return {str(out / name): what for name, what in written.items()}


def _note(result: kpl.SweepResult, choice: kpl.Choice) -> str | None:
    """What the network's file says of the data that its masks or weights come from; None where there was none."""
    from keras_prunelab import scores

    calibration = result.metadata.get("calibration")
    if calibration is None or (choice.training == "none" and not scores.get(choice.score).needs_data):
        return None
    return note_of(choice.score, choice.sparsity, choice.training, str(calibration))


def check_target(path: Path, endings: Collection[str], why: str = "") -> None:
    """Refuse a file that could not be written, before any work.

    Args:
        path: the file.
        endings: those that it may have, in small letters.
        why: there are no others.

    Raises:
        InvalidModelError: its ending is another one, or MATLAB takes no function of its name.
    """
    from matlab_bridge.write._matlab_text import is_function_name

    if path.suffix not in endings:
        raise InvalidModelError(
            f"The file to write ends in {' or '.join(sorted(endings))}, in small letters, but got {str(path)!r}"
            f"{why and ': '}{why}."
        )
    if path.suffix == ".m" and not is_function_name(path.stem):
        raise InvalidModelError(
            f"{path.name} cannot be a function of MATLAB: its name is of letters, digits and underscores, begins with "
            "a letter, has at most 63 characters, and is no keyword. An example is buildNet.m."
        )


def check_sources(
    sources: Sequence[Path | str | None], targets: Iterable[Path | None], *, plots: Path | None = None
) -> None:
    """Refuse to write over what a command reads, by whatever path or link it is named, before any work.

    Args:
        sources: files and folders that it reads; a text may be the name of a variable, or `FILE:NAME`.
        targets: the files that it writes; what goes beside one, such as the weights of MATLAB code, is checked too.
        plots: the folder of its plots, which would be observations in a folder of images.

    Raises:
        OverwriteError: a target is a source, or is an image or a `.mat` file of a folder of data.
    """
    paths = [source for source in sources if isinstance(source, Path)]
    texts = [source for source in sources if isinstance(source, str)]
    names = [name for text in texts for name in (text, text.rpartition(":")[0]) if name]
    read = [*paths, *(folder / name for name in names for folder in (Path(), *(path.parent for path in paths)))]
    written = [path for target in targets if target is not None for path in (target, *_beside(target))]
    refuse_to_overwrite(read, *written)
    for source in filter(Path.is_dir, paths):
        inside = [path for path in written if path.exists() and _is_read_of_a_folder(path) and _is_in(path, source)]
        if plots is not None and _is_in(plots, source):
            inside.append(plots)
        if inside:
            raise OverwriteError(
                f"{inside[0]} lies in {source}, a folder of data that is read, and nothing in it is written. Write to "
                "another folder."
            )


def _is_read_of_a_folder(path: Path) -> bool:
    from matlab_bridge.datasets._images._decode import EXTENSIONS

    return path.suffix.lower() in {".mat", *EXTENSIONS}


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _beside(target: Path) -> list[Path]:
    """What goes with a file: the weights of MATLAB code, the facts of a Keras model."""
    from matlab_bridge._sidecar_path import sidecar_path

    if target.suffix == ".m":
        return [target.with_name(f"{target.stem}Weights.mat")]
    return [sidecar_path(target)] if target.suffix == ".keras" else []


def check_folder(path: Path) -> None:
    """Make sure that results can be written into a folder, which need not be there yet.

    Raises:
        NotADirectoryError: if a file is in the way.
        PermissionError: if the folder, or the one above it, cannot be written to.
    """
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"Results go into a folder, but {str(there)!r} is a file.")
    if not os.access(there, os.W_OK):
        raise PermissionError(f"Results go into {str(path)!r}, but {str(there)!r} cannot be written to.")


def make_folder(path: Path) -> None:
    """Make a folder for results, with those above it.

    Raises:
        NotADirectoryError: if a file is in the way.
        PermissionError: if the folder above it cannot be written to.
    """
    check_folder(path)
    path.mkdir(parents=True, exist_ok=True)
