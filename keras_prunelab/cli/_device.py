"""Files for devices, as the commands write and measure them: LiteRT and ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _console

if TYPE_CHECKING:
    from keras_prunelab import FileEvaluation
    from keras_prunelab._export._litert_conversion import Quantize, Runtime
    from matlab_bridge import Dataset

    from ._inputs import OpenedModel

Read: TypeAlias = "tuple[str | None, str | None, Path | None]"
"""How data is read: the variables of the inputs and the labels, and the folder of images."""


def write_litert(
    opened: OpenedModel,
    target: Path,
    how: tuple[Quantize | None, Runtime, bool | None, int | None],
    *,
    calibration: Path | None,
    data: Path | None,
    read: Read,
) -> None:
    """Write a LiteRT file and tell its size, and its accuracy where there is data.

    Args:
        opened: the network.
        target: the file; or, for TensorFlow Lite Micro, a folder.
        how: its numbers, what runs it, whether zeros are stored sparsely, and how many weights are different.
        calibration: inputs on which ranges are measured.
        data: what is measured on.
        read: how data is read.
    """
    import keras_prunelab as kpl

    from ._outputs import make_folder

    quantize, runtime, sparse, clusters = how
    dataset = _fitted(opened, data, read)
    ranges: Any = None
    if quantize == "int8":
        used = _fitted(opened, calibration, read, labels=False)
        ranges = _beside(opened, data, dataset, read[2]) if used is None else used.inputs
        if ranges is None:
            raise kpl.InvalidDataError(
                "--quantize int8 needs --calibration DATA, inputs such as those in use, on which the ranges of all "
                "values are measured; or --data DATA, which is measured on as well."
            )
    elif calibration is not None:
        raise kpl.InvalidDataError("--calibration goes with --quantize int8 alone.")
    make_folder(target.parent)
    written = kpl.export_litert(
        opened.model, target, quantize, runtime=runtime, calibration=ranges, sparse=sparse, clusters=clusters
    )
    _console.say(f"Wrote {target}. {written}")
    if dataset is not None:
        tell(kpl.evaluate_file(written.path, dataset, model=opened.model))


def finish_onnx(opened: OpenedModel | None, target: Path, *, sparse: bool, data: Path | None, read: Read) -> None:
    """Store zeros of an ONNX file sparsely where that is asked for, and tell its accuracy where there is data."""
    import keras_prunelab as kpl

    if sparse:
        _console.say(str(kpl.sparsify_onnx(target)))
    if opened is not None:
        tell(kpl.evaluate_file(target, _fitted(opened, data, read), model=opened.model))


def tell(found: FileEvaluation) -> None:
    """The table of a file that was measured."""
    rows = found.table
    sides = {str(name): "left" if name == "file" else "right" for name in rows.columns}
    _console.table(found.path.name, sides, [tuple(row) for row in rows.itertuples(index=False)])
    _console.say(found.summary)


def _beside(opened: OpenedModel, data: Path | None, measured: Dataset | None, image_root: Path | None) -> Any:
    """The inputs on which ranges are measured where none are named: beside the data or the network, or the data."""
    from ._calibration import open_calibration
    from ._calibration import tell as tell_calibration

    found = open_calibration(opened, measured, data or opened.path, None, image_root)
    if found is not None:
        tell_calibration(found)
        return found.inputs
    return None if measured is None else measured.inputs


def _fitted(opened: OpenedModel, path: Path | None, read: Read, *, labels: bool = True) -> Dataset | None:
    """The data of a file as the network was trained on it, as far as the labels tell."""
    from ._inputs import open_data
    from ._trials import fit_inputs

    if path is None:
        return None
    inputs, named, image_root = read
    return fit_inputs(opened.model, open_data(opened, path, inputs, named, image_root, needs_labels=labels))[0]


def write_header(
    opened: OpenedModel, target: Path, dtype: str, optimize: str, data: Path | None, inputs: str | None
) -> None:
    """Write C99, with the class names that the network knows."""
    import keras_prunelab as kpl
    from keras_prunelab._export._c._names import identifier

    from ._inputs import open_inputs
    from ._outputs import make_folder

    observations: Any = None
    if data is not None:
        observations = open_inputs(opened, data, inputs).inputs
    elif dtype == "int8":
        observations = _beside(opened, None, None, None)
    make_folder(target.parent)
    is_classifier = opened.model.output_shape[-1:] == (len(opened.class_names),)
    names = opened.class_names if is_classifier else ()
    prefix = identifier(target.stem)
    header = kpl.export_c(opened.model, target, observations, dtype, optimize=optimize, name=prefix, class_names=names)
    _console.say(
        f"Wrote {target}: {header.constant_bytes:,} bytes of constants, {header.dense_bytes:,} with every weight. "
        "How it is compiled stands at its top."
    )
