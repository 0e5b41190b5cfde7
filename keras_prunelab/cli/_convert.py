"""`prunelab convert`: a network from one form to another, which the ending of the output says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import _console, _options

if TYPE_CHECKING:
    from matlab_bridge import Network

    from ._inputs import OpenedModel

EXAMPLES = """\
Examples:

    prunelab convert trainedNet.mat trainedNet.keras

    prunelab convert workspace.mat net.keras --network "models{2}"

    prunelab convert pruned.keras buildNet.m

    prunelab convert pruned.keras net.onnx --sparse

    prunelab convert pruned.mat net.tflite --quantize int8 --calibration images.mat

    prunelab convert pruned.mat net.tflite --runtime tflm --quantize int8 --calibration images.mat

    prunelab convert pruned.mat net.tflite --quantize int8 --clusters 16 --data images.mat

    prunelab convert lstm.mat net.tflite --runtime tflm --length 50

    prunelab convert trainedNet.mat net.h --dtype int8 --calibration validation.mat
"""

_ENDINGS = (".keras", ".m", ".onnx", ".tflite", ".h")


_OPTIONS = {
    ".tflite": ("quantize", "runtime", "calibration", "sparse", "clusters", "length", "data"),
    ".onnx": ("sparse", "data"),
    ".h": ("dtype", "optimize", "calibration", "length", "data"),
}
"""What may be said of the files of some endings."""


def command(
    source: Annotated[Path, typer.Argument(metavar="NET", help="A .mat that MATLAB saved, or a .keras or .h5 file.")],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="The file to write: .keras; .m, MATLAB code that builds the network; .onnx; .tflite "
            "(LiteRT); or .h, a header of C99. With --runtime tflm, a name without an ending is a folder to compile.",
        ),
    ],
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The variable that holds the network, where there are several."),
    ] = None,
    quantize: Annotated[
        Literal["int8", "int8-weights", "float16"] | None,
        typer.Option(
            help="The numbers of a .tflite file; int8 needs --calibration, --data, or data beside the network."
        ),
    ] = None,
    runtime: Annotated[
        Literal["litert", "tflm"] | None,
        typer.Option(help="What runs a .tflite file: litert, the default, or tflm, TensorFlow Lite Micro."),
    ] = None,
    sparse: Annotated[
        bool | None,
        typer.Option(
            "--sparse/--dense",
            help="Store zeros sparsely: .onnx (by default dense) and .tflite (by default sparse but for int8).",
        ),
    ] = None,
    clusters: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="How many different weights each kernel of an int8 .tflite file has beside 0, such as 16: an Ethos-U "
            "stores few ones in few bits.",
        ),
    ] = None,
    length: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="The length of what a .tflite or a .h takes, where that of the network is free: the steps of a "
            "sequence, or the rows and columns of an image, as in 224,224.",
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE", help="Of the numbers of a .h: float32, or int8, which needs data as a .tflite does."
        ),
    ] = None,
    optimize: Annotated[
        str | None,
        typer.Option(metavar="GOAL", help="How the weights of a .h are stored: for size, the default, or for speed."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Inputs such as those in use, on which the ranges of int8 are measured; a .h has the first as its "
            "test vector.",
        ),
    ] = None,
    data: _options.Data = None,
    image_root: _options.ImageRoot = None,
    inputs: _options.Inputs = None,
    labels: _options.Labels = None,
) -> None:
    """Convert a network between MATLAB, Keras, ONNX, LiteRT and C; with --data, the file that was written is measured.

    Beside OUT go class names (.keras) or weights (.m).
    """
    from keras_prunelab._errors import InvalidModelError

    from ._inputs import open_model
    from ._model_files import ENDINGS
    from ._outputs import check_sources, check_target, make_folder, save_keras

    kind = ".tflite" if runtime == "tflm" and not target.suffix else target.suffix
    if source.suffix.lower() not in (".mat", *ENDINGS) or kind not in _ENDINGS or kind == source.suffix.lower():
        raise InvalidModelError(
            "convert reads a .mat, a .keras or an .h5 file, and writes another: a .keras, a .m, a .onnx, a .tflite or "
            f"a .h file. It got {source.name} and {target.name}."
        )
    _check_options(
        kind,
        quantize=quantize,
        runtime=runtime,
        calibration=calibration,
        sparse=sparse,
        clusters=clusters,
        length=length,
        data=data,
        dtype=dtype,
        optimize=optimize,
    )
    if kind == target.suffix:
        check_target(target, _ENDINGS)
    check_sources([source, calibration, data, inputs, labels], [target])
    if kind == ".keras":
        opened = open_model(source, network)
        make_folder(target.parent)
        save_keras(opened, target)
        _console.say(f"Wrote {target}, and its class names beside it.")
        return
    if kind == ".h":
        from ._device import write_header

        opened = _with_lengths(open_model(source, network), length)
        write_header(opened, target, dtype or "float32", optimize or "size", calibration or data, inputs)
        return
    if kind == ".tflite":
        from ._device import write_litert

        opened = _with_lengths(open_model(source, network), length)
        read = (inputs, labels, image_root)
        how = (quantize, runtime or "litert", sparse, clusters)
        write_litert(opened, target, how, calibration=calibration, data=data, read=read)
        return
    described = _in_matlab_words(source, network)
    make_folder(target.parent)
    _console.say(_write(described, target))
    if kind == ".onnx" and (sparse or data is not None):
        from ._device import finish_onnx

        compared = None if data is None else open_model(source, network)
        finish_onnx(compared, target, sparse=bool(sparse), data=data, read=(inputs, labels, image_root))


def _with_lengths(opened: OpenedModel, length: str | None) -> OpenedModel:
    """The model for inputs of one length, where that is asked for."""
    if length is None:
        return opened
    from keras_prunelab import fix_lengths

    given = [part.strip() for part in length.split(",")]
    if not all(part.isdecimal() for part in given):
        raise typer.BadParameter(f"a whole number, or several as in 224,224; it got {length!r}.", param_hint="--length")
    numbers = [int(part) for part in given]
    return replace(opened, built=fix_lengths(opened.model, numbers[0] if len(numbers) == 1 else numbers))


def _check_options(kind: str, **given: object) -> None:
    """Refuse options that mean nothing for this file."""
    from keras_prunelab._errors import InvalidModelError

    allowed = _OPTIONS.get(kind, ())
    odd = [f"--{name}" for name, value in given.items() if value is not None and name not in allowed]
    if odd:
        raise InvalidModelError(f"{', '.join(odd)} means nothing for a {kind} file.")


def _in_matlab_words(source: Path, variable: str | None) -> Network:
    """The network of a file; one of MATLAB's need not convert to Keras for this."""
    import matlab_bridge as bridge

    from ._inputs import find_named_network, open_model

    if source.suffix.lower() == ".mat":
        return bridge.load_network(source, **find_named_network(variable))
    opened = open_model(source)
    return bridge.from_keras(opened.model, class_names=opened.class_names)


def _write(network: Network, target: Path) -> str:
    """Write MATLAB code or ONNX; returns what to tell."""
    import matlab_bridge as bridge

    if target.suffix == ".onnx":
        bridge.export_onnx(target, network)
        return f"Wrote {target}."
    bridge.export_matlab_code(target, network)
    return f"Wrote {target}, and its weights beside it. In MATLAB: net = {target.stem}();"
