"""Dense layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._graph import Call
from keras_prunelab._export._c._reader import Reader, UnsupportedError, numbers_of, reads
from keras_prunelab._export._c._value import Value
from keras_prunelab._export._c.operations._linear import Linear

L = keras.layers


@reads(L.Dense)
def dense(reader: Reader, call: Call, layer: Any) -> Value:
    """On the last axis."""
    refuse_quantized(layer)
    kernel, *bias = numbers_of(layer)
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    offset = bias[0] if bias else np.zeros(kernel.shape[1], np.float32)
    shape = (*source.shape[:-1], kernel.shape[1])
    return reader.activated(
        call, reader.add(Linear, call, (source,), shape, weights=kernel.T, bias=offset), layer.activation
    )


def refuse_quantized(layer: Any) -> None:
    """Make sure that a layer has its kernel as numbers of its own.

    Raises:
        UnsupportedError: it is quantized, or has a low-rank addition.
    """
    if getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False):
        raise UnsupportedError("it is quantized or has a low-rank addition: export the model as it was before")
