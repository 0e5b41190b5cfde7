"""Whether the weights of a model are numbers that a file can hold."""

from __future__ import annotations

import keras

from keras_prunelab._backend import read
from keras_prunelab._errors import InvalidModelError
from keras_prunelab._util._arrays import all_finite


def require_finite_weights(model: keras.Model) -> None:
    """Make sure that no weight is NaN or infinite.

    Raises:
        InvalidModelError: one is.
    """
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype) and not all_finite(read(weight)):
            raise InvalidModelError(
                f"Weight {weight.path!r} of model {model.name!r} has NaN or infinite numbers. Load weights from before "
                "they came, or train it again."
            )
