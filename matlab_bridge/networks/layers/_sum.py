"""A sum that broadcasts on every backend."""

from __future__ import annotations

from typing import Any

import keras

from matlab_bridge.networks._rules import Tensor


def added(left: Any, right: Any) -> Tensor:
    """The sum of two tensors, or of a tensor and numbers.

    Keras' own (3.15), on TensorFlow, takes a second summand with one long axis for a bias, and adds it along the
    channels, or the first axis of the image, where its length fits; its difference does not.

    Args:
        left: a tensor, or numbers that broadcast.
        right: the same.

    Returns:
        `left + right`.
    """
    return keras.ops.subtract(left, keras.ops.negative(right))
