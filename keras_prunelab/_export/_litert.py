"""LiteRT files in which zeros take no space, of floating-point numbers or of whole ones, for LiteRT or for devices."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import keras

from keras_prunelab._backend import Conversion, ConversionError
from keras_prunelab._errors import InvalidModelError
from keras_prunelab._model._data import calibration_of
from keras_prunelab._model._precision import computing_in_float32
from keras_prunelab._model._state import begun_anew
from keras_prunelab._util._atomic import replace_whole, temporary_folder
from keras_prunelab.layers._strip import without_wrappers

from ._calibration import first_observations
from ._clusters import check_clusters, clustered
from ._litert_checks import check_convertible, check_micro, check_options, scales_of
from ._litert_conversion import DenseScales, Made, Quantize, Runtime, converted, float32
from ._tflm._write import MicroModel, micro_model, write_micro
from ._unroll import recurrent_steps
from ._zeros import check_zeros

NumberType: TypeAlias = Literal["int8", "uint8", "float32"]


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
        dense_scales: for `"int8"`, whether dense layers have a scale for each output, `"channel"`, or one, `"tensor"`;
            None for other numbers.
        clusters: how many different codes each kernel has at most beside 0; None where they are as they come.
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
    dense_scales: DenseScales | None
    clusters: int | None
    reason: str

    @classmethod
    def _of(cls, nonzeros: int, path: Path, made: Made, micro: MicroModel | None, clusters: int | None) -> LitertExport:
        found = cls(nonzeros)
        found.path, found.bytes, found.reason = path, path.stat().st_size, made.reason
        for name in ("quantize", "sparse", "input_type", "output_type"):
            setattr(found, name, getattr(made.how, name))
        is_int8 = found.quantize == "int8"
        found.dense_scales = cast("DenseScales", made.how.dense_scales) if is_int8 else None
        found.clusters = clusters if is_int8 else None
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
        clusters = f", at most {self.clusters} different ones in each kernel" if self.clusters else ""
        micro = ""
        if self.dense_bytes is not None:
            share = f"{self.bytes / self.dense_bytes:.1%} of the dense {self.dense_bytes:,}"
            micro = (
                f" For TensorFlow Lite Micro: {share}; an arena of {self.arena_bytes:,} bytes, where the dense file "
                f"takes {self.dense_arena_bytes:,}."
            )
        return (
            f"{self.path.name}: {self.bytes:,} bytes, {numbers}{', zeros stored sparsely' if self.sparse else ''}, "
            f"{int(self):,} values that are not zero{clusters}.{micro}{' ' if self.reason else ''}{self.reason}"
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
    dense_scales: DenseScales | None = None,
    clusters: int | None = None,
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
        dense_scales: with `"int8"`, whether dense layers have a scale for each output, `"channel"`, or one for all,
            `"tensor"`: less exact, and a file smaller by 24 bytes for each output. By default `"channel"`, and with
            `"tflm"` `"tensor"`. Convolutions have a scale for each channel.
        clusters: with `"int8"`, how many different numbers the kernel of a dense or convolutional layer has at most
            beside 0: an even number, such as 16. Weights are moved to the nearest of them, as in Deep Compression
            (https://arxiv.org/abs/1510.00149): measure the file. Ethos-U stores up to 32 different ones in few bits
            (https://community.arm.com/arm-community-blogs/b/ai-blog/posts/pruning-clustering-arm-ethos-u-npu), and
            `"tflm"` up to 127 in a look-up table, where that is smaller.

    Returns:
        What was written; as a number, how many values that are not zero the file holds, after it was loaded again.
        Constants of the graph count too.

    Raises:
        MissingBackendError: Keras runs on JAX; or on torch, and TensorFlow is not installed; or, for `"tflm"`,
            `pip install "keras-prunelab[device]"` is missing.
        InvalidModelError: TensorFlow cannot write the model, Keras quantized it, a weight is not finite, the ending is
            another one, or zeros would be lost: what became of the weights has more values than there are weights that
            are not zero, and a few for each layer, or a kernel's zeros are elsewhere. With `clusters`, it has no int8
            form. For `"tflm"`: it lacks an operator, the values before a softmax collapsed, or an input has a free
            length.
        NotEquivalentError: TensorFlow Lite Micro gives other outputs than for the dense file.
        InvalidDataError: with `"int8"`, the calibration data is missing, empty, constant, not finite, or of another
            shape.
        UnknownNameError: there is no such `quantize`, `runtime`, type, scales, or number of clusters.
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
    check_options(target, quantize, {"input_type": input_type, "output_type": output_type}, runtime)
    scales = scales_of(dense_scales, quantize, runtime)
    check_clusters(clusters, quantize)
    if runtime == "tflm":
        check_micro(model, quantize)
    given = calibration_of(calibration, data=data)
    plain = without_wrappers(model)
    if clusters is not None:
        plain = clustered(plain, clusters, scales)
    is_micro = runtime == "tflm"
    how = Conversion(
        quantize=quantize,
        sparse=not is_micro and (quantize in (None, "float16") if sparse is None else sparse),
        input_type=(input_type or "int8") if quantize == "int8" else "float32",
        output_type=(output_type or "int8") if quantize == "int8" else "float32",
        dense_scales=scales,
    )
    is_direct = quantize is None and keras.config.backend() == "tensorflow" and not is_micro
    micro = None
    try:
        # LiteRT quantizes float32 alone, and a state that a recurrent layer keeps would begin where it stands.
        with computing_in_float32(plain), begun_anew(plain):
            if is_direct and not recurrent_steps(plain):
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
    if clusters is not None and made.how.quantize != "int8":
        raise InvalidModelError(f"clusters={clusters} is of int8 files. {made.reason}")
    nonzeros = check_zeros(plain, made.content, sparse=made.how.sparse)
    if micro is not None:
        return LitertExport._of(nonzeros, write_micro(target, micro), made, micro, clusters)
    with replace_whole(target) as temporary:
        temporary.write_bytes(made.content)
    return LitertExport._of(nonzeros, target, made, None, clusters)
