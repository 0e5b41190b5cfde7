"""Convert models to LiteRT, in a process of its own: TensorFlow's converter ends the process on some recurrent layers.

`_converter.Converter` starts this module by its path and sends it jobs, one line of JSON each; it answers each with a
line: null, or what went wrong. It imports nothing of the package.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import keyword
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO


def write_saved_model(model: Any, folder: str, batch: int | None) -> None:
    """Write a Keras model that runs on TensorFlow as a SavedModel.

    Args:
        model: the model.
        folder: where to.
        batch: how many observations it takes at a time; None for as many as the model does.
    """
    import keras
    import tensorflow as tf

    def spec(tensor: Any) -> Any:
        return tf.TensorSpec((batch or tensor.shape[0], *tensor.shape[1:]), tensor.dtype, input_name(tensor))

    # A functional model may take a dictionary; a sequential one has one input.
    signature = [keras.tree.map_structure(spec, getattr(model, "_inputs_struct", model.inputs[0]))]
    model.export(folder, format="tf_saved_model", verbose=False, input_signature=signature)


def input_name(tensor: Any) -> str:
    """What a LiteRT file calls an input of a model: the name of its layer, which loading and copying keep.

    TensorFlow makes it a parameter of a function: no keyword of Python, and no underscore at its beginning.
    """
    name = re.sub(r"\W", "_", tensor._keras_history.operation.name)
    return f"input_{name}" if keyword.iskeyword(name) or name.startswith("_") else name


def _observations(folder: str) -> Iterator[dict[str, Any]]:
    """One observation after the other, each input by its name."""
    import numpy as np

    for path in sorted(Path(folder).glob("*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            batch = dict(arrays)
        for index in range(len(next(iter(batch.values())))):
            yield {name: array[index : index + 1] for name, array in batch.items()}


def _convert(job: dict[str, Any]) -> bytes:
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        source = job["source"]
        if source.endswith(".keras"):
            import keras

            for module in job["modules"]:
                with contextlib.suppress(ImportError):  # Keras names the class that is missing
                    importlib.import_module(module)
            write_saved_model(keras.saving.load_model(source, compile=False), folder, job["batch"])
            source = folder
        converter = tf.lite.TFLiteConverter.from_saved_model(source)
        _set(converter, job, tf)
        content: bytes = converter.convert()
    return content


def _set(converter: Any, job: dict[str, Any], tf: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY] if job["sparse"] else []
    if job["quantize"] is not None:
        converter.optimizations.append(tf.lite.Optimize.DEFAULT)
    if job["quantize"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if job["quantize"] == "int8":
        converter.representative_dataset = lambda: _observations(job["calibration"])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.as_dtype(job["input_type"])
        converter.inference_output_type = tf.as_dtype(job["output_type"])
        # TensorFlow has no public name for it.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = job["dense_scales"] == "tensor"


def problem_of(error: Exception) -> str:
    """What TensorFlow says is wrong, without what only its developers read: a sentence that ends with a full stop."""
    text = re.sub(r"\x1b\[[\d;]*m", "", str(error))
    operators = re.findall(r"^(?:TF Select|Custom) ops: (.+)$", text, re.MULTILINE)
    if operators:
        return f"LiteRT has no operator {', '.join(operators)}."
    # Keras says first where an error was raised.
    lines = (part for part in text.splitlines() if part.strip() and not part.startswith("Exception encountered when"))
    line = next(lines, "")
    line = re.sub(r"(?:<unknown>:\d+: )?(?:error: )?loc\(.*\): ", "", line)
    return f"{type(error).__name__}: {line.strip()[:300].rstrip('.')}."


def _answer(line: str) -> str | None:
    job = json.loads(line)
    try:
        Path(job["target"]).write_bytes(_convert(job))
    except Exception as error:  # noqa: BLE001  # TensorFlow raises many, its own ConverterError among them
        return problem_of(error)
    return None


def main() -> None:
    """Answer jobs until there are no more."""
    # What TensorFlow prints goes nowhere; the answers go where its output would.
    answers: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    for line in sys.stdin:
        answers.write(json.dumps(_answer(line)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
