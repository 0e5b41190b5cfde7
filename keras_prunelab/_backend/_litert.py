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


def constants_in_litert(content: bytes) -> list[tuple[int, int]]:
    """How many values each constant of a LiteRT file has, and how many of them are not zero."""
    import tensorflow as tf

    with warnings.catch_warnings():
        # TensorFlow points to a package of its own for the interpreter, which is not needed to read a file.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_content=content)
    found = []
    for tensor in interpreter.get_tensor_details():
        if tensor["dtype"] is np.object_:
            continue  # a variable, such as the state of a recurrent layer: to ask for its value ends the process
        with contextlib.suppress(ValueError):  # raised for what is computed, which has no value yet
            value = interpreter.get_tensor(tensor["index"])
            # Of a constant that is stored sparsely, the value is the numbers that are left.
            found.append((int(np.prod(tensor["shape"])), int(np.count_nonzero(value))))
    return found
