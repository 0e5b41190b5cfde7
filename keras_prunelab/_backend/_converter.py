"""The process that converts models to LiteRT, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from keras_prunelab._errors import InvalidModelError
from keras_prunelab._util._job_process import JobEndedError, JobProcess

from ._litert_child import problem_of, write_saved_model


class ConversionError(InvalidModelError):
    """TensorFlow cannot write a model as asked; the message says why."""


@dataclass(frozen=True)
class Conversion:
    """How a model becomes a LiteRT file.

    Attributes:
        quantize: None, `"int8"`, `"int8-weights"` or `"float16"`.
        sparse: whether zeros are stored sparsely.
        batch: how many observations the file takes at a time; None for any number.
        input_type: the type of its inputs where `quantize` is `"int8"`.
        output_type: that of its outputs.
        calibration: the folder of observations that ranges are measured on, `*.npz` with an array for each input.
        dense_scales: whether int8 dense layers have a scale for each output, `"channel"`, or one for all, `"tensor"`.
    """

    quantize: str | None = None
    sparse: bool = True
    batch: int | None = None
    input_type: str = "float32"
    output_type: str = "float32"
    calibration: str | None = None
    dense_scales: str = "channel"


_PROCESS = JobProcess(
    Path(__file__).with_name("_litert_child.py"),
    {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
)


def converter_of(model: keras.Model, folder: Path, batch: int | None) -> Callable[[Conversion], bytes]:
    """Write a model for the process that converts, once, and return what converts it.

    Args:
        model: a built model.
        folder: an empty folder, which is there as long as the result is used.
        batch: how many observations the files take at a time; None for any number.

    Returns:
        A function that takes a `Conversion` and returns the content of a LiteRT file; it raises `ConversionError`.

    Raises:
        ConversionError: Keras cannot write the model.
    """
    modules: list[str] = []
    is_tensorflow = keras.config.backend() == "tensorflow"
    source = folder / ("saved_model" if is_tensorflow else "model.keras")
    try:
        if is_tensorflow:
            write_saved_model(model, str(source), batch)
        else:
            model.save(source)
            modules = sorted({type(layer).__module__ for layer in model._flatten_layers()} - {"__main__"})
    except OSError:
        raise
    except Exception as error:  # what Keras and a model's own code raise
        raise ConversionError(problem_of(error)) from error

    def convert(how: Conversion) -> bytes:
        target = folder / "model.tflite"
        job = {**asdict(how), "source": str(source), "target": str(target), "modules": modules, "batch": batch}
        try:
            problem = _PROCESS.ask(job)
        except JobEndedError:
            problem = "TensorFlow's converter ended its process."
        if problem is not None:
            raise ConversionError(problem)
        return target.read_bytes()

    return convert
