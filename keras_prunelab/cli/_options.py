"""The options that several commands share, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

SCORES = (
    *("magnitude", "synflow", "linear_synflow", "obs", "random", "snip", "grasp", "taylor", "fisher", "movement"),
    *("wanda", "lamp", "obd"),
)
"""The names of the scores, known before anything heavy is imported."""


def budget(text: str) -> dict[str, float]:
    """Goals and their limits, such as `flash=60000,cycles=0.5`."""
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        return {name.strip(): float(number) for name, _, number in pairs}
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no list such as flash=60000,cycles=0.5.") from None


def fraction(text: str) -> float:
    """A share as a person types it.

    Raises:
        typer.BadParameter: it is no number.
    """
    try:
        return float(text)
    except ValueError:
        point = text.strip().replace(",", ".").rstrip("% ")
        try:
            number = float(point) / (100 if "%" in text else 1)
        except ValueError:
            number = 0.9
        raise typer.BadParameter(f"{text!r} is no fraction; write one like {number:g}, with a point.") from None


def names_in(text: str) -> list[str]:
    """The names in a text, which has commas between them."""
    return [name.strip() for name in text.split(",") if name.strip()]


def check_scores(text: str) -> None:
    """Make sure that every score of a list with commas exists, before anything is loaded.

    Raises:
        UnknownNameError: one does not.
    """
    from keras_prunelab._errors import UnknownNameError
    from keras_prunelab._text import suggest

    names = names_in(text)
    if not names:
        raise UnknownNameError(f"--scores names scores, with commas between, but got {text!r}.")
    for name in names:
        if name not in SCORES:
            raise UnknownNameError(
                f"--scores has {name!r}, which is no score.{suggest(name, SCORES)} The scores are {', '.join(SCORES)}."
            )


def complete_scores(incomplete: str) -> list[str]:
    """The lists of scores that a shell offers for the beginning of one."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in SCORES if name.startswith(last)]


def condition(max_drop: float | None, min_metric: float | None, *, knee: bool) -> dict[str, Any]:
    """The condition of a choice, as `SweepResult.choose` takes it; empty where none is given.

    Raises:
        typer.BadParameter: there are several.
    """
    given: dict[str, Any] = {"max_drop": max_drop, "min_metric": min_metric, "knee": knee or None}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter(f"a choice has one condition, but there are {names}.")
    return given


Network = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NAME",
        help="The variable that holds the network, where there are several; or the layers that plain matrices are: "
        "'W1 b1 tanh; W2 b2 softmax' (W1' for x W1, first or last for a bias that is a column of W1).",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DATA",
        help="Where the data is, if not in the same file: a .mat, .npz, .npy or .csv, a folder or a .zip of images, or "
        "a folder of .mat files with one observation each.",
    ),
]
ImageRoot = Annotated[
    Path | None,
    typer.Option(
        "--image-root",
        metavar="DIR",
        help="The folder under which the images of an imageDatastore are on this machine.",
    ),
]
Inputs = Annotated[str | None, typer.Option("--inputs", metavar="X", help="The variable that holds the inputs.")]
Labels = Annotated[
    str | None,
    typer.Option("--labels", metavar="Y", help="The variable that holds the labels; of another file, FILE:Y."),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="NAMES",
        help="Variables beside the data with a number or text for each observation, such as its SNR, with commas "
        "between: the report compares the accuracy of each value before and after pruning.",
    ),
]
Sparsities = Annotated[
    str,
    typer.Option(
        "--sparsities",
        metavar="LEVELS",
        help="Fractions and ranges start:stop:step (MATLAB's start:step:stop too), with commas between; or auto: few "
        "where the curve is flat, many where it bends.",
    ),
]
Scores = Annotated[
    str,
    typer.Option(
        "--scores",
        metavar="NAMES",
        help=f"The saliency scores to compare, with commas between: {', '.join(SCORES)}.",
        autocompletion=complete_scores,
    ),
]
Reconstruct = Annotated[
    bool,
    typer.Option(
        "--reconstruct",
        help="Solve the weights that are left anew, on calibration data, so that each layer's outputs stay.",
    ),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="DATA",
        help="What weights are solved on, if not what lies beside the data: some hundred inputs without labels, others "
        "than those that are measured.",
    ),
]
CalibrationSplit = Annotated[
    float | None,
    typer.Option(
        "--calibration-split",
        metavar="FRACTION",
        help="Calibrate on this part of the data, and measure on the rest.",
        parser=fraction,
    ),
]
FineTune = Annotated[
    int | None,
    typer.Option(
        "--finetune",
        metavar="EPOCHS",
        min=1,
        help="Add the curves of networks that are trained after pruning, for so many epochs, on data with labels that "
        "is not measured: what lies beside it, or what --calibration or --calibration-split says.",
    ),
]
Scope = Annotated[
    Literal["global", "layer"],
    typer.Option("--scope", help="Where weights compete: global, over the whole network, or layer."),
]
Quantize = Annotated[
    Literal["int8", "int8-weights", "float16"] | None,
    typer.Option(
        "--quantize",
        help="Measure the chosen networks as LiteRT files too: int8, int8 weights alone, or float16. Ranges "
        "are measured on calibration data, where there is any.",
    ),
]
QuantizeLevels = Annotated[
    str | None,
    typer.Option(
        "--quantize-levels",
        metavar="all|LEVELS",
        help="Where --quantize measures, of the levels that are tested: all, or the nearest to these. By default every "
        "tenth, those beside the choice, and the choice.",
    ),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        min=0,
        max=1,
        help="The accuracy that may be lost, as a fraction: 0.01 is one point, and what is taken where no condition is "
        "given.",
    ),
]
MinMetric = Annotated[
    float | None,
    typer.Option("--min-metric", help="The least accuracy instead, as a fraction: 0.98 is 98 %."),
]
Knee = Annotated[bool, typer.Option("--knee", help="The point where the curve bends most instead.")]
Store = Annotated[
    Path | None,
    typer.Option("--store", metavar="FILE", help="Keep finished points here; a sweep that was stopped goes on."),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="NAMES", help="Reports to write, with commas between: html, docx, pdf; all by default."
    ),
]
Title = Annotated[str, typer.Option("--title", help="The heading of the report.")]
Author = Annotated[str, typer.Option("--author", help="Who hands it in.")]
Course = Annotated[str, typer.Option("--course", help="What for.")]
Notes = Annotated[
    Path | None, typer.Option("--notes", metavar="FILE.md", help="Text of your own for the report, in Markdown.")
]
Paper = Annotated[Literal["a4", "letter"], typer.Option("--paper", help="The pages of the report.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the report of an earlier run.")]
Convention = Annotated[
    Literal["matlab", "paper"] | None,
    typer.Option(
        "--convention",
        help="matlab counts all learnables, biases too, as MathWorks' example does (the default for a network "
        "from MATLAB); paper counts weights alone, as the papers do.",
    ),
]
