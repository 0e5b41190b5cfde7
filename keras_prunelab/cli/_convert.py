"""`prunelab convert`: a network from one form to another, which the ending of the output says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import _console

if TYPE_CHECKING:
    from matlab_bridge import Network

    from ._inputs import OpenedModel

EXAMPLES = """\
Examples:

    prunelab convert trainedNet.mat trainedNet.keras

    prunelab convert workspace.mat net.keras --network "models{2}"

    prunelab convert pruned.keras buildNet.m

    prunelab convert pruned.keras net.onnx

    prunelab convert trainedNet.mat net.h --dtype int8 --data validation.mat
"""

_ENDINGS = (".keras", ".m", ".onnx", ".h")


def command(
    source: Annotated[Path, typer.Argument(metavar="NET", help="A .mat that MATLAB saved, or a .keras or .h5 file.")],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="The file to write: .keras; .m, MATLAB code that builds the network; .onnx; or .h, a header of C99.",
        ),
    ],
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The variable that holds the network, where there are several."),
    ] = None,
    dtype: Annotated[
        str, typer.Option(metavar="TYPE", help="Of the numbers of a .h: float32; or int8, which needs --data.")
    ] = "float32",
    optimize: Annotated[
        str, typer.Option(metavar="GOAL", help="How the weights of a .h are stored: for size or for speed.")
    ] = "size",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA", help="Observations that an int8 .h is calibrated on; the first is its test vector."
        ),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="NAME", help="The variable of DATA that holds the observations.")
    ] = None,
) -> None:
    """Convert a network between MATLAB and Keras; beside OUT go class names (.keras) or weights (.m)."""
    from keras_prunelab._errors import InvalidModelError

    from ._inputs import open_model
    from ._model_files import ENDINGS
    from ._outputs import check_sources, check_target, make_folder, save_keras

    kind = target.suffix
    if source.suffix.lower() not in (".mat", *ENDINGS) or kind not in _ENDINGS or kind == source.suffix.lower():
        raise InvalidModelError(
            "convert reads a .mat, a .keras or an .h5 file, and writes another: a .keras, a .m, a .onnx or a .h file. "
            f"It got {source.name} and {target.name}."
        )
    check_target(target, _ENDINGS)
    check_sources([source, data], [target])
    if kind == ".h":
        _write_header(open_model(source, network), target, dtype, optimize, data, inputs)
        return
    if kind == ".keras":
        opened = open_model(source, network)
        make_folder(target.parent)
        save_keras(opened, target)
        _console.say(f"Wrote {target}, and its class names beside it.")
        return
    described = _in_matlab_words(source, network)
    make_folder(target.parent)
    _console.say(_write(described, target))


def _write_header(
    opened: OpenedModel, target: Path, dtype: str, optimize: str, data: Path | None, inputs: str | None
) -> None:
    """Write C99, with the class names that the network knows."""
    import keras_prunelab as kpl

    from ._inputs import open_inputs
    from ._outputs import make_folder

    observations = None if data is None else open_inputs(opened, data, inputs).inputs
    make_folder(target.parent)
    is_classifier = opened.model.output_shape[-1:] == (len(opened.class_names),)
    names = opened.class_names if is_classifier else ()
    prefix = _identifier(target.stem)
    header = kpl.export_c(opened.model, target, observations, dtype, optimize=optimize, name=prefix, class_names=names)
    _console.say(
        f"Wrote {target}: {header.constant_bytes:,} bytes of constants, {header.dense_bytes:,} with every weight. "
        "How it is compiled stands at its top."
    )


def _identifier(stem: str) -> str:
    """The name of a file as what names in C begin with."""
    found = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_") or "net"
    return found if found[0].isalpha() else f"net_{found}"


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
