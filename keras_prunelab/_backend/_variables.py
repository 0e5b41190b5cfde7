"""The values of variables, read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._imports import keras


def read(variable: Any) -> NDArray[Any]:
    """Look at a variable's value.

    Args:
        variable: a Keras variable.

    Returns:
        Its value, not to be written to: without a copy where the backend allows that.
    """
    if keras.config.backend() == "tensorflow" and variable.dtype != "bfloat16":
        return np.asarray(memoryview(_tensorflow_read(variable.value)))
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _tensorflow_read(value: Any) -> Any:
    import tensorflow as tf

    if isinstance(value, tf.distribute.DistributedValues):
        return value.read_value()
    # Less than half the time of `read_value`, which counts where masks change at every step.
    return tf.raw_ops.ReadVariableOp(resource=value.handle, dtype=value.dtype)


def protect(variable: Any) -> NDArray[Any]:
    """Look at a variable's value where others might write to what they are given.

    Args:
        variable: a Keras variable.

    Returns:
        Its value: a view that cannot be written to, or a copy where the backend has no such views.
    """
    value = read(variable)
    if keras.config.backend() == "torch":  # it warns of arrays that cannot be written to, and shares the others
        return value.copy()
    view = value.view()
    view.flags.writeable = False
    return view
