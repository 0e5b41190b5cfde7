"""Models converted to LiteRT in the type of numbers asked for, or in another where that fails or does not pay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import keras

from keras_prunelab._backend import (
    Conversion,
    ConversionError,
    converter_of,
    has_empty_sparse,
    has_sparse_loops,
    litert_problem,
    to_litert,
)
from keras_prunelab._model._copy import require_saved_whole

from ._calibration import write_calibration
from ._tflm._graph import Graph
from ._unroll import MOST_STEPS, recurrent_steps, unrolled

Quantize: TypeAlias = Literal["int8", "int8-weights", "float16"]
Runtime: TypeAlias = Literal["litert", "tflm"]
DenseScales: TypeAlias = Literal["channel", "tensor"]

DENSE_SCALES: dict[Runtime, DenseScales] = {"litert": "channel", "tflm": "tensor"}
"""What int8 dense layers have by default: where flash is short, one scale, because each takes 24 bytes of the file."""


@dataclass(frozen=True)
class Made:
    """A file that was converted, and why it is not as asked."""

    content: bytes
    how: Conversion
    reason: str = ""


_IN_LOOP = "Zeros are stored whole: LiteRT computes wrong numbers from sparse weights inside a loop."
_EMPTY = "Zeros are stored whole: a kernel has no other weight, and LiteRT computes NaN from such a sparse one."


def _made(convert: Callable[[Conversion], bytes], how: Conversion) -> Made:
    """Convert, with zeros stored whole where LiteRT would compute wrong numbers from sparse weights."""
    content = convert(how)
    if not how.sparse:
        return Made(content, how)
    reason = _IN_LOOP if has_sparse_loops(content) else ""
    if how.quantize in ("float16", "int8-weights") and has_empty_sparse(content):
        reason = _EMPTY
    if not reason:
        return Made(content, how)
    how = replace(how, sparse=False)
    return Made(convert(how), how, reason)


def float32(model: keras.Model, how: Conversion) -> Made:
    """Convert in this process, where Keras runs on TensorFlow.

    Raises:
        ConversionError: TensorFlow cannot.
    """

    def convert(how: Conversion) -> bytes:
        try:
            return to_litert(model, sparse=how.sparse)
        except Exception as error:  # TensorFlow raises many, its own ConverterError among them
            raise ConversionError(litert_problem(error)) from error

    return _made(convert, how)


def converted(model: keras.Model, how: Conversion, calibration: Any, folder: Path, runtime: Runtime) -> Made:
    """Convert in another process, and where int8 cannot be or does not pay, with other numbers that the runtime has."""
    if keras.config.backend() != "tensorflow":  # it is sent as a file of Keras
        require_saved_whole(model)
    if how.quantize == "int8":
        ranges = folder / "calibration"
        ranges.mkdir()
        write_calibration(model, calibration, ranges)
        how = replace(how, calibration=str(ranges))
    steps = recurrent_steps(model)
    if not steps:
        batch = 1 if how.quantize == "int8" or runtime == "tflm" else None
        return _made(converter_of(model, _new(folder), batch), how)
    looping = converter_of(model, _new(folder), 1)  # a loop over steps has no operator for any number of observations
    if runtime == "tflm":
        looping = _ending(looping)
    if how.quantize != "int8":
        try:
            return _made(looping, how)
        except ConversionError:
            if None in steps or max(map(int, filter(None, steps))) > MOST_STEPS:
                raise
            return _made(converter_of(unrolled(model), _new(folder), 1), how)
    return _recurrent(model, how, steps, looping, folder, _INSTEAD[runtime])


def _ending(convert: Callable[[Conversion], bytes]) -> Callable[[Conversion], bytes]:
    """A conversion whose loops come to an end in TensorFlow Lite Micro."""

    def converted(how: Conversion) -> bytes:
        content = convert(how)
        if {"WHILE", "SLICE"} <= set(Graph(content).operators):
            raise ConversionError(
                "a recurrent layer that returns sequences is a loop that never ends in TensorFlow Lite Micro; with "
                "unroll=True it is none."
            )
        return content

    return converted


_INSTEAD: dict[Runtime, tuple[Quantize | None, ...]] = {"litert": ("float16", "int8-weights"), "tflm": (None,)}
"""What recurrent layers have where int8 cannot be."""


def _recurrent(
    model: keras.Model,
    how: Conversion,
    steps: list[int | None],
    looping: Any,
    folder: Path,
    instead: tuple[Quantize | None, ...],
) -> Made:
    others: dict[Quantize | None, Made] = {}
    for name in instead:
        sparse = how.sparse or name == "float16"
        as_other = replace(how, quantize=name, sparse=sparse, input_type="float32", output_type="float32")
        try:
            others[name] = _made(looping, as_other)
            break
        except ConversionError as error:
            refusal = error
    known = [step for step in steps if step is not None]
    if len(known) < len(steps):
        reason = (
            "it has a recurrent layer of free length, or one inside another layer, and int8 takes a fixed one: "
            "fix_lengths gives it, or convert --length"
        )
    elif max(known) > MOST_STEPS:
        reason = f"it has a recurrent layer of {max(known)} steps, and int8 takes at most {MOST_STEPS}, unrolled"
    else:
        try:
            made = _made(converter_of(unrolled(model), _new(folder), 1), how)
        except ConversionError as error:
            reason = f"unrolled over {max(known)} steps it cannot be converted: {str(error).rstrip('.')}"
        else:
            smallest = min((len(other.content) for other in others.values()), default=len(made.content))
            if len(made.content) <= smallest:
                return made
            reason = (
                f"unrolled over {max(known)} steps it takes {len(made.content):,} bytes in int8, and {smallest:,} "
                f"in {next(iter(others)) or 'float32'}"
            )
    if not others:
        raise refusal
    other = next(iter(others.values()))
    return replace(other, reason=f"Not in int8: {reason}. {other.reason}".rstrip())


def _new(folder: Path) -> Path:
    new = folder / f"model{len(list(folder.iterdir()))}"
    new.mkdir()
    return new
