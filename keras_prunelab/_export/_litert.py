"""LiteRT files in which zeros take no space, of floating-point numbers or of whole ones."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import keras

from keras_prunelab._backend import Conversion, ConversionError, converter_of, to_litert
from keras_prunelab._errors import InvalidModelError, MissingBackendError, UnknownNameError
from keras_prunelab._model._data import calibration_of
from keras_prunelab._model._rebuild import is_graph
from keras_prunelab._util._atomic import replace_whole, temporary_folder
from keras_prunelab.layers._strip import without_wrappers

from ._calibration import write_calibration
from ._unroll import MOST_STEPS, recurrent_steps, unrolled
from ._zeros import check_zeros

Quantize: TypeAlias = Literal["int8", "int8-weights", "float16"]
NumberType: TypeAlias = Literal["int8", "uint8", "float32"]

_QUANTIZE = ("int8", "int8-weights", "float16")
_TYPES = ("int8", "uint8", "float32")


class LitertExport(int):
    """What `export_litert` wrote. As a number it is how many values of the file are not zero.

    Attributes:
        path: the file.
        bytes: its size.
        quantize: what its numbers are: None for float32, `"int8"`, `"int8-weights"` or `"float16"`.
        sparse: whether zeros are stored sparsely.
        input_type: the type of its inputs: `"float32"`, `"int8"` or `"uint8"`.
        output_type: that of its outputs.
        reason: why `quantize` is not what was asked for; empty where it is.
    """

    path: Path
    bytes: int
    quantize: Quantize | None
    sparse: bool
    input_type: NumberType
    output_type: NumberType
    reason: str

    @classmethod
    def _of(cls, nonzeros: int, path: Path, made: _Made) -> LitertExport:
        found = cls(nonzeros)
        found.path, found.bytes, found.reason = path, len(made.content), made.reason
        for name in ("quantize", "sparse", "input_type", "output_type"):
            setattr(found, name, getattr(made.how, name))
        return found

    @property
    def nonzeros(self) -> int:
        """How many values of the file are not zero."""
        return int(self)

    def __repr__(self) -> str:
        numbers = self.quantize or "float32"
        return (
            f"{self.path.name}: {self.bytes:,} bytes, {numbers}{', zeros stored sparsely' if self.sparse else ''}, "
            f"{int(self):,} values that are not zero.{' ' if self.reason else ''}{self.reason}"
        )

    __str__ = __repr__


@dataclass(frozen=True)
class _Made:
    """A file that was converted, and why it is not as asked."""

    content: bytes
    how: Conversion
    reason: str = ""


def export_litert(
    model: keras.Model,
    path: str | os.PathLike[str],
    quantize: Quantize | None = None,
    *,
    calibration: Any = None,
    data: Any = None,
    sparse: bool | None = None,
    input_type: NumberType | None = None,
    output_type: NumberType | None = None,
) -> LitertExport:
    """Write a model as a LiteRT (TensorFlow Lite) file, and make sure that all zeros are kept.

    With `sparse`, weights with many zeros are stored as the non-zero values and their places; the runtime may use that.
    See https://ai.google.dev/edge/litert/conversion/tensorflow/model_optimization.

    With `quantize="int8"` weights are whole numbers with one scale a channel, whose zero is 0, and activations are
    whole numbers whose ranges are measured on `calibration`
    (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec). Such a file takes one
    observation at a time. Recurrent layers are unrolled for it, where they have at most 64 steps and the file is no
    larger than with float16; otherwise the file has float16 or whole weights, and the result says why.

    Args:
        model: a built model. `Pruned` wrappers are taken off.
        path: the file to write; its ending is `.tflite`. Replaced only once the new one is whole.
        quantize: None for float32; `"int8"` for whole numbers throughout; `"int8-weights"` for whole weights, and
            activations in float32; `"float16"` for weights of half the size.
        calibration: inputs, `(inputs, labels)` or batches of either, for `"int8"` alone: some hundred observations such
            as those in use. They are read in batches, once.
        data: another name of `calibration`.
        sparse: whether zeros are stored sparsely. By default they are with None and `"float16"`; LiteRT's default
            kernels (XNNPACK) refuse sparse int8 weights, and TensorFlow Lite Micro refuses all of them.
        input_type: with `"int8"`, the type of the file's inputs: `"int8"` (the default), `"uint8"` or `"float32"`.
        output_type: that of its outputs, likewise.

    Returns:
        What was written; as a number, how many values that are not zero the file holds, after it was loaded again.
        Constants of the graph count too.

    Raises:
        MissingBackendError: Keras runs on JAX; or on torch, and TensorFlow is not installed.
        InvalidModelError: TensorFlow cannot write the model, Keras quantized it, the ending is another one, or zeros
            would be lost: what became of the weights has more values than there are weights that are not zero, and a
            few for each layer, or a kernel's zeros are elsewhere.
        InvalidDataError: with `"int8"`, the calibration data is missing, empty, constant, not finite, or of another
            shape.
        UnknownNameError: there is no such `quantize` or type.
        FileNotFoundError: there is no such folder.

    Examples:
        >>> import keras, tempfile
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> from pathlib import Path
        >>> pruned = kpl.prune(keras.Sequential([keras.Input((100,)), keras.layers.Dense(50)]), 0.9)
        >>> x = np.random.default_rng(0).normal(size=(64, 100))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = kpl.export_litert(pruned, Path(folder) / "small.tflite", "int8", calibration=x)
        >>> written.quantize, written.input_type, written.nonzeros <= 500 + 50
        ('int8', 'int8', True)
    """
    target = Path(path)
    _check(model, target, quantize, {"input_type": input_type, "output_type": output_type})
    given = calibration_of(calibration, data=data)
    plain = without_wrappers(model)
    how = Conversion(
        quantize=quantize,
        sparse=quantize in (None, "float16") if sparse is None else sparse,
        input_type=(input_type or "int8") if quantize == "int8" else "float32",
        output_type=(output_type or "int8") if quantize == "int8" else "float32",
    )
    try:
        if quantize is None and keras.config.backend() == "tensorflow":
            made = _Made(_float32(plain, how), how)
        else:
            with temporary_folder() as folder:
                made = _converted(plain, how, given, folder)
    except ConversionError as error:
        raise InvalidModelError(
            f"TensorFlow cannot write model {model.name!r} as LiteRT{f' in {quantize}' if quantize else ''}: {error} "
            "matlab_bridge.export_onnx may."
        ) from error
    nonzeros = check_zeros(plain, made.content, sparse=made.how.sparse)
    with replace_whole(target) as temporary:
        temporary.write_bytes(made.content)
    return LitertExport._of(nonzeros, target, made)


def _check(model: keras.Model, target: Path, quantize: Any, types: dict[str, Any]) -> None:
    """Refuse what cannot be done, before any work."""
    if keras.config.backend() not in ("tensorflow", "torch"):
        raise MissingBackendError(
            f"LiteRT files are written on TensorFlow or torch, and Keras runs on {keras.config.backend()}. Set "
            "KERAS_BACKEND=tensorflow or KERAS_BACKEND=torch and load the model there."
        )
    if not importlib.util.find_spec("tensorflow"):
        raise MissingBackendError(
            "LiteRT files are converted by TensorFlow, on torch too, and it is not installed: run\n"
            '    pip install "keras-prunelab[tensorflow]"'
        )
    if not (model.built and is_graph(model)) and (quantize is not None or keras.config.backend() == "torch"):
        raise InvalidModelError(
            f"Model {model.name!r} is not built, or a subclass of keras.Model whose inputs nobody knows, so that it "
            "cannot be quantized. Build it from keras.Input."
        )
    if target.suffix != ".tflite":
        raise InvalidModelError(f"{target} should end in .tflite.")
    if quantize is not None and quantize not in _QUANTIZE:
        raise UnknownNameError(f"quantize={quantize!r}; it is None or one of {', '.join(map(repr, _QUANTIZE))}.")
    for name, value in types.items():
        if value is not None and value not in _TYPES:
            raise UnknownNameError(f"{name}={value!r}; it is one of {', '.join(map(repr, _TYPES))}.")
        if value not in (None, "float32") and quantize != "int8":
            raise UnknownNameError(
                f"{name}={value!r} goes with quantize='int8' alone; the inputs and outputs of other files are float32."
            )
    for layer in model._flatten_layers():
        mode = getattr(layer, "quantization_mode", None)
        if mode is not None:
            raise InvalidModelError(
                f"Layer {layer.name!r} was quantized by Keras ({mode}): it makes whole numbers of its inputs anew at "
                "each call, for which LiteRT has no operator. Export the model as it was before "
                "model.quantize(...), with export_litert(model, path, 'int8', calibration=...)."
            )


def _float32(model: keras.Model, how: Conversion) -> bytes:
    try:
        return to_litert(model, sparse=how.sparse)
    except Exception as error:  # TensorFlow raises many, its own ConverterError among them
        raise ConversionError(str(error).partition("\n")[0]) from error


def _converted(model: keras.Model, how: Conversion, calibration: Any, folder: Path) -> _Made:
    """Convert in another process, and where int8 cannot be or does not pay, with float16 or whole weights."""
    if how.quantize == "int8":
        ranges = folder / "calibration"
        ranges.mkdir()
        write_calibration(model, calibration, ranges)
        how = replace(how, calibration=str(ranges))
    steps = recurrent_steps(model)
    if not steps:
        batch = 1 if how.quantize == "int8" else None
        return _Made(converter_of(model, _new(folder), batch)(how), how)
    looping = converter_of(model, _new(folder), 1)  # a loop over steps has no operator for any number of observations
    if how.quantize != "int8":
        return _Made(looping(how), how)
    return _recurrent(model, how, steps, looping, folder)


def _recurrent(model: keras.Model, how: Conversion, steps: list[int | None], looping: Any, folder: Path) -> _Made:
    others = {}
    for name in ("float16", "int8-weights"):
        sparse = how.sparse or name == "float16"
        as_other = replace(how, quantize=name, sparse=sparse, input_type="float32", output_type="float32")
        try:
            others[name] = _Made(looping(as_other), as_other)
            break
        except ConversionError as error:
            refusal = error
    known = [step for step in steps if step is not None]
    if len(known) < len(steps):
        reason = "it has a recurrent layer of free length, or one inside another layer, and int8 takes a fixed one"
    elif max(known) > MOST_STEPS:
        reason = f"it has a recurrent layer of {max(known)} steps, and int8 takes at most {MOST_STEPS}, unrolled"
    else:
        try:
            made = _Made(converter_of(unrolled(model), _new(folder), 1)(how), how)
        except ConversionError as error:
            reason = f"unrolled over {max(known)} steps it cannot be converted: {error}"
        else:
            smallest = min((len(other.content) for other in others.values()), default=len(made.content))
            if len(made.content) <= smallest:
                return made
            reason = (
                f"unrolled over {max(known)} steps it takes {len(made.content):,} bytes in int8, and {smallest:,} "
                f"in {next(iter(others))}"
            )
    if not others:
        raise refusal
    other = next(iter(others.values()))
    return replace(other, reason=f"Not in int8: {reason}.")


def _new(folder: Path) -> Path:
    new = folder / f"model{len(list(folder.iterdir()))}"
    new.mkdir()
    return new
