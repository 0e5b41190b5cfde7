"""`prunelab evaluate`: what an exported file answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import _options

EXAMPLES = """\
Examples:

    prunelab evaluate net.tflite --model pruned.mat --data images.mat

    prunelab evaluate net.onnx --model model.keras --data validation.zip
"""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .tflite or an .onnx file.")],
    model: Annotated[
        Path,
        typer.Option(
            metavar="MODEL", help="The network that it was made from, a .mat, .keras or .h5 file: both are compared."
        ),
    ],
    data: _options.Data = None,
    network: _options.Network = None,
    image_root: _options.ImageRoot = None,
    inputs: _options.Inputs = None,
    labels: _options.Labels = None,
    kernels: Annotated[
        Literal["default", "reference", "micro"],
        typer.Option(help="The fast kernels, those written to be read, or those of TensorFlow Lite Micro."),
    ] = "default",
) -> None:
    """Measure a file for a device with the interpreter that runs it: size, accuracy, and agreement with its network."""
    import keras_prunelab as kpl

    from ._device import tell
    from ._inputs import open_data, open_model, source_of_data
    from ._trials import fit_inputs

    source = source_of_data(model, data)
    opened = open_model(model, network)
    dataset, _ = fit_inputs(opened.model, open_data(opened, source, inputs, labels, image_root))
    tell(kpl.evaluate_file(file, dataset, model=opened.model, kernels=kernels))
