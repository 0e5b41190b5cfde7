"""Fake quantization: numbers rounded to eight bits, with the gradient of numbers that are not rounded."""

from __future__ import annotations

from typing import Any

from ._imports import keras, of_backend

_STEPS = 255


def fake_quantize(values: Any, low: Any, high: Any, *, is_weight: bool = False) -> Any:
    """Round numbers to 256 (weights: 255) evenly spaced ones, of which one is exactly zero.

    The gradient passes where a number lies within the range, and is zero outside of it. On TensorFlow these are the
    operations that its converter to LiteRT takes for the ranges of whole numbers; elsewhere the same arithmetic.
    Source: https://www.tensorflow.org/api_docs/python/tf/quantization/fake_quant_with_min_max_vars.

    Args:
        values: a floating-point tensor.
        low: the lower end of the range, a scalar not above zero; or one for each index of the last axis.
        high: the upper end, not below zero; above `low`.
        is_weight: of a symmetric range only 255 numbers are used, so that zero lies in the middle.
    """
    ops, dtype = keras.ops, keras.backend.standardize_dtype(values.dtype)
    if dtype != "float32":  # sixteen bits would not hold the scale, and TensorFlow has the operations in float32 alone
        values, low, high = (ops.cast(each, "float32") for each in (values, low, high))
        return ops.cast(fake_quantize(values, low, high, is_weight=is_weight), dtype)
    special = getattr(of_backend(), "fake_quantize", None)
    if special is not None:
        return special(values, low, high, is_weight=is_weight)
    lowest = 1 if is_weight else 0
    scale = (high - low) / (_STEPS - lowest)
    zero = ops.clip(ops.floor(lowest - low / scale + 0.5), lowest, _STEPS)
    begin = (lowest - zero) * scale
    inside = ops.clip(values, begin, (_STEPS - zero) * scale)
    rounded = ops.floor((inside - begin) / scale + 0.5) * scale + begin
    return inside + ops.stop_gradient(rounded - inside)
