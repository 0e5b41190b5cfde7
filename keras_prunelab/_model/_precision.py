"""In which type of numbers a model computes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras


@contextlib.contextmanager
def computing_in_float32(model: Any) -> Iterator[None]:
    """Let layers of mixed precision, and others that compute in 16 or 64 bits, compute in float32 for a while."""
    others = [layer for layer in model._flatten_layers() if _is_other(layer.compute_dtype)]
    policies = [layer._dtype_policy for layer in others]
    try:
        for layer in others:
            policy = keras.dtype_policies.DTypePolicy("float32")
            policy._variable_dtype = layer.variable_dtype  # from which Keras then casts
            object.__setattr__(layer, "_dtype_policy", policy)  # past Keras, which would track it
        yield
    finally:
        for layer, own in zip(others, policies, strict=True):
            object.__setattr__(layer, "_dtype_policy", own)


def _is_other(dtype: str) -> bool:
    return keras.backend.is_float_dtype(dtype) and dtype != "float32"
