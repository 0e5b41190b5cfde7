"""LiteRT files in which zeros take no space, of floating-point numbers or of whole ones, for LiteRT or for devices."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import keras

from keras_prunelab._backend import Conversion, ConversionError
from keras_prunelab._errors import InvalidModelError, MissingBackendError, UnknownNameError
from keras_prunelab._model._data import calibration_of
from keras_prunelab._model._rebuild import is_graph
from keras_prunelab._util._atomic import replace_whole, temporary_folder
from keras_prunelab.layers._strip import without_wrappers

from ._calibration import first_observations
from ._inputs import name_of
from ._litert_conversion import Made, Quantize, Runtime, converted, float32
from ._tflm._graph import check_format
from ._tflm._micro import check_installed
from ._tflm._write import MicroModel, micro_model, write_micro
from ._unroll import recurrent_steps
from ._weights import require_finite_weights
from ._zeros import check_zeros

NumberType: TypeAlias = Literal["int8", "uint8", "float32"]


_QUANTIZE = ("int8", "int8-weights", "float16")
_RUNTIMES = {"litert": (None, *_QUANTIZE), "tflm": (None, "int8")}
_TYPES = ("int8", "uint8", "float32")


class LitertExport(int):
    """What `export_litert` wrote. As a number it is how many values of the file are not zero.

    Attributes:
        path: the file.
        bytes: its size.
        quantize: what its numbers are: None for float32, `"int8"`, `"int8-weights"` or `"float16"`.
        sparse: whether zeros are stored sparsely.
        runtime: what runs it, `"litert"` or `"tflm"`.
        dense_bytes: for `"tflm"`, the size of the same file with every constant stored whole; None for `"litert"`.
        arena_bytes: for `"tflm"`, the working memory, measured where a pointer has 8 bytes; None for `"litert"`.
        dense_arena_bytes: for `"tflm"`, the same with every constant stored whole: DECODE writes what it decodes, the
            constants of one operator at a time, into the arena, and other kernels read constants where they are.
        operators: for `"tflm"`, the operators that a device needs; empty for `"litert"`.
        forms: for `"tflm"`, how the compressed constants are stored, by their names: `"mask"`, a bit for each value and
            those that are not zero, or `"table"`, the place of each value in a look-up table.
        input_type: the type of its inputs: `"float32"`, `"int8"` or `"uint8"`.
        output_type: that of its outputs.
        reason: why `quantize` or `sparse` is not what was asked for; empty where they are.
    """

    path: Path
    bytes: int
    quantize: Quantize | None
    sparse: bool
    runtime: Runtime
    dense_bytes: int | None
    arena_bytes: int | None
    dense_arena_bytes: int | None
    operators: tuple[str, ...]
    forms: Mapping[str, str]
    input_type: NumberType
    output_type: NumberType
    reason: str

    @classmethod
    def _of(cls, nonzeros: int, path: Path, made: Made, micro: MicroModel | None) -> LitertExport:
        found = cls(nonzeros)
        found.path, found.bytes, found.reason = path, path.stat().st_size, made.reason
        for name in ("quantize", "sparse", "input_type", "output_type"):
            setattr(found, name, getattr(made.how, name))
        found.runtime, found.operators, found.forms = "litert", (), {}
        found.dense_bytes, found.arena_bytes, found.dense_arena_bytes = None, None, None
        if micro is not None:
            found.runtime, found.sparse = "tflm", bool(micro.forms)
            found.operators, found.forms = micro.operators, micro.forms
            found.dense_bytes, found.arena_bytes, found.dense_arena_bytes = (
                micro.dense_bytes,
                micro.arena,
                micro.dense_arena,
            )
        return found

    @property
    def nonzeros(self) -> int:
        """How many values of the file are not zero."""
        return int(self)

    def __repr__(self) -> str:
        numbers = self.quantize or "float32"
        micro = ""
        if self.dense_bytes is not None:
            share = f"{self.bytes / self.dense_bytes:.1%} of the dense {self.dense_bytes:,}"
            micro = (
                f" For TensorFlow Lite Micro: {share}; an arena of {self.arena_bytes:,} bytes, where the dense file "
                f"takes {self.dense_arena_bytes:,}."
            )
        return (
            f"{self.path.name}: {self.bytes:,} bytes, {numbers}{', zeros stored sparsely' if self.sparse else ''}, "
            f"{int(self):,} values that are not zero.{micro}{' ' if self.reason else ''}{self.reason}"
        )

    __str__ = __repr__


def export_litert(
    model: keras.Model,
    path: str | os.PathLike[str],
    quantize: Quantize | None = None,
    *,
    runtime: Runtime = "litert",
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
    larger than with float16; otherwise the file has float16 or int8 weights, and the result says why. With other
    numbers they loop, one observation at a time, and zeros are stored whole: LiteRT computes wrong numbers from sparse
    weights inside a loop.

    With `runtime="tflm"` the file is one for microcontrollers. TensorFlow Lite Micro knows no sparse weights; its
    operator DECODE makes them from a bit mask and values, or from a look-up table, before each call: such a file is
    smaller, slower, and its arena is larger by the decoded weights of one operator. It runs here, in the package
    `tflite-micro`, and its outputs are those of the dense file, bit for bit, or nothing is written
    (https://github.com/tensorflow/tflite-micro/tree/main/tensorflow/lite/micro/compression).

    Args:
        model: a built model. `Pruned` wrappers are taken off.
        path: the file to write; its ending is `.tflite`. Replaced only once the new one is whole. With `"tflm"`, a path
            without an ending is a folder, made where there is none, with the file and what a device compiles: the file
            as an array (`model.h`, `model.cc`), the list of its operators (`operators.h`), its arena, a test vector,
            and an example (`main.cc`).
        quantize: None for float32; `"int8"` for whole numbers throughout; `"int8-weights"` for int8 weights, and
            activations in float32; `"float16"` for weights of half the size.
        runtime: `"litert"`, or `"tflm"` for TensorFlow Lite Micro, which runs float32 and `"int8"`, one observation at
            a time.
        calibration: inputs, `(inputs, labels)` or batches of either, for `"int8"` alone: some hundred observations such
            as those in use. They are read in batches, once. With `"tflm"`, the first are those that outputs are
            compared on; float32 takes random ones without.
        data: another name of `calibration`.
        sparse: whether zeros are stored sparsely. By default they are with None and `"float16"`; LiteRT's default
            kernels (XNNPACK) refuse sparse int8 weights. With `"tflm"` they are, each constant where that is smaller.
        input_type: with `"int8"`, the type of the file's inputs: `"int8"` (the default), `"uint8"` or `"float32"`.
        output_type: that of its outputs, likewise.

    Returns:
        What was written; as a number, how many values that are not zero the file holds, after it was loaded again.
        Constants of the graph count too.

    Raises:
        MissingBackendError: Keras runs on JAX; or on torch, and TensorFlow is not installed; or, for `"tflm"`,
            `pip install "keras-prunelab[device]"` is missing.
        InvalidModelError: TensorFlow cannot write the model, Keras quantized it, a weight is not finite, the ending is
            another one, or zeros would be lost: what became of the weights has more values than there are weights that
            are not zero, and a few for each layer, or a kernel's zeros are elsewhere. For `"tflm"`: it lacks an
            operator, the values before a softmax collapsed, or an input has a free length.
        NotEquivalentError: TensorFlow Lite Micro gives other outputs than for the dense file.
        InvalidDataError: with `"int8"`, the calibration data is missing, empty, constant, not finite, or of another
            shape.
        UnknownNameError: there is no such `quantize`, `runtime` or type.
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
    check_convertible(model, quantize)
    _check(target, quantize, {"input_type": input_type, "output_type": output_type}, runtime)
    if runtime == "tflm":
        check_micro(model, quantize)
    given = calibration_of(calibration, data=data)
    plain = without_wrappers(model)
    is_micro = runtime == "tflm"
    how = Conversion(
        quantize=quantize,
        sparse=not is_micro and (quantize in (None, "float16") if sparse is None else sparse),
        input_type=(input_type or "int8") if quantize == "int8" else "float32",
        output_type=(output_type or "int8") if quantize == "int8" else "float32",
    )
    micro = None
    try:
        if quantize is None and keras.config.backend() == "tensorflow" and not is_micro and not recurrent_steps(plain):
            made = float32(plain, how)
        else:
            with temporary_folder() as folder:
                made = converted(plain, how, given, folder, runtime)
                if is_micro:
                    inputs = first_observations(plain, given, folder / "calibration")
                    micro = micro_model(made.content, target.name, inputs, encode=sparse is not False)
    except ConversionError as error:
        raise InvalidModelError(
            f"TensorFlow cannot write model {model.name!r} as LiteRT{f' in {quantize}' if quantize else ''}: {error} "
            "matlab_bridge.export_onnx may."
        ) from error
    nonzeros = check_zeros(plain, made.content, sparse=made.how.sparse)
    if micro is not None:
        return LitertExport._of(nonzeros, write_micro(target, micro), made, micro)
    with replace_whole(target) as temporary:
        temporary.write_bytes(made.content)
    return LitertExport._of(nonzeros, target, made, None)


def check_convertible(model: keras.Model, quantize: Any) -> None:
    """Refuse models that no LiteRT file can be written of here, before any work.

    Args:
        model: the model.
        quantize: the numbers of the file, as `export_litert` takes them.

    Raises:
        MissingBackendError: Keras runs on JAX, or TensorFlow is not installed.
        InvalidModelError: the model is not built, a subclass, or quantized by Keras, or a weight is not finite.
    """
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
    require_finite_weights(model)
    for layer in model._flatten_layers():
        mode = getattr(layer, "quantization_mode", None)
        if mode is not None:
            raise InvalidModelError(
                f"Layer {layer.name!r} was quantized by Keras ({mode}): it makes whole numbers of its inputs anew at "
                "each call, for which LiteRT has no operator. Export the model as it was before "
                "model.quantize(...), with export_litert(model, path, 'int8', calibration=...)."
            )


def _check(target: Path, quantize: Any, types: dict[str, Any], runtime: Any) -> None:
    """Refuse what is not known, before any work."""
    _check_path(target, runtime)
    if quantize is not None and quantize not in _QUANTIZE:
        raise UnknownNameError(f"quantize={quantize!r}; it is None or one of {', '.join(map(repr, _QUANTIZE))}.")
    for name, value in types.items():
        if value is not None and value not in _TYPES:
            raise UnknownNameError(f"{name}={value!r}; it is one of {', '.join(map(repr, _TYPES))}.")
        if value not in (None, "float32") and quantize != "int8":
            raise UnknownNameError(
                f"{name}={value!r} goes with quantize='int8' alone; the inputs and outputs of other files are float32."
            )


def _check_path(target: Path, runtime: Any) -> None:
    if runtime not in _RUNTIMES:
        raise UnknownNameError(f"runtime={runtime!r}; it is one of {', '.join(map(repr, _RUNTIMES))}.")
    if target.suffix not in ([".tflite"] if runtime == "litert" else [".tflite", ""]):
        raise InvalidModelError(
            f"{target} should end in .tflite{' or, for a folder, in nothing' if runtime == 'tflm' else ''}."
        )


def check_micro(model: keras.Model, quantize: Any) -> None:
    """Refuse what TensorFlow Lite Micro cannot run, before any work.

    Raises:
        MissingBackendError: `ai-edge-litert` or `tflite-micro` is not installed.
        UnknownNameError: it has no such numbers.
        InvalidModelError: an input has a free length.
    """
    check_format()
    check_installed()
    if quantize not in _RUNTIMES["tflm"]:
        raise UnknownNameError(
            f"TensorFlow Lite Micro has no kernels for quantize={quantize!r}; it runs None (float32) and 'int8'."
        )
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise InvalidModelError(
                f"Input {name_of(tensor)!r} of model {model.name!r} has the shape {tensor.shape}, and TensorFlow Lite "
                "Micro takes fixed lengths alone. Build the model with keras.Input of the length in use."
            )
