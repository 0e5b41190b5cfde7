"""LiteRT files, which TensorFlow alone writes and reads."""

from __future__ import annotations

import contextlib
import io
import warnings

import keras
import numpy as np


def to_litert(model: keras.Model) -> bytes:
    """A built model as a LiteRT file that stores zeros sparsely, where Keras runs on TensorFlow.

    Raises:
        Exception: TensorFlow raises many where it cannot write a model, its own ConverterError among them.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    with contextlib.redirect_stdout(io.StringIO()):  # the converter tells of its temporary folder
        content: bytes = converter.convert()
    return content


def nonzeros_in_litert(content: bytes) -> int:
    """How many values that a LiteRT file holds are not zero."""
    import tensorflow as tf

    with warnings.catch_warnings():
        # TensorFlow points to a package of its own for the interpreter, which is not needed to read a file.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_content=content)
    total = 0
    for tensor in interpreter.get_tensor_details():
        with contextlib.suppress(ValueError):  # raised for what is computed, which has no value yet
            total += int(np.count_nonzero(interpreter.get_tensor(tensor["index"])))
    return total
