"""The options that several commands share, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


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
Sparsities = Annotated[
    str,
    typer.Option(
        "--sparsities",
        metavar="LEVELS",
        help="Fractions and ranges start:stop:step (MATLAB's start:step:stop too), with commas between.",
    ),
]
Scores = Annotated[
    str,
    typer.Option("--scores", metavar="NAMES", help="The saliency scores to compare: magnitude, synflow, obs, random."),
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
MaxDrop = Annotated[
    float,
    typer.Option("--max-drop", min=0, max=1, help="The accuracy that may be lost, as a fraction: 0.01 is one point."),
]
Convention = Annotated[
    Literal["matlab", "paper"] | None,
    typer.Option(
        "--convention",
        help="matlab counts all learnables, biases too, as MathWorks' example does (the default for a network "
        "from MATLAB); paper counts weights alone, as the papers do.",
    ),
]
