"""int8 files of TensorFlow's converter, run by LiteRT's reference kernels."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Int8File:
    """An interpreter of an int8 file with one input and one output."""

    interpreter: Any

    @classmethod
    def of(cls, model: keras.Model, data: np.ndarray) -> Int8File:
        """The file of a model, calibrated on data."""
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([each[None]] for each in data)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow's own: statistics of quantization, another package
            content = converter.convert()
            kernels = tf.lite.experimental.OpResolverType.BUILTIN_REF
            interpreter = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=kernels)
        interpreter.allocate_tensors()
        return cls(interpreter)

    @property
    def scales(self) -> tuple[tuple[float, int], tuple[float, int]]:
        """Those of the input and of the output."""
        details = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        one, other = (each["quantization"] for each in details)
        return one, other

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The 8-bit outputs for 8-bit inputs, one row for each observation."""
        source, target = (
            self.interpreter.get_input_details()[0]["index"],
            self.interpreter.get_output_details()[0]["index"],
        )
        found = []
        for each in x:
            self.interpreter.set_tensor(source, each[None])
            self.interpreter.invoke()
            found.append(self.interpreter.get_tensor(target).reshape(-1).copy())
        return np.stack(found)
