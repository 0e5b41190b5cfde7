"""LiteRT files in which zeros take no room."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

from keras_prunelab._backend import constants_in_litert, to_litert
from keras_prunelab._errors import InvalidModelError, MissingBackendError
from keras_prunelab._util._atomic import replace_whole
from keras_prunelab.layers._strip import without_wrappers


def export_litert(model: keras.Model, path: str | os.PathLike[str]) -> int:
    """Write a model as a LiteRT (TensorFlow Lite) file with its sparsity option, and make sure that all zeros are kept.

    Weights with many zeros are stored as the non-zero values and their places; the runtime may use that. See
    https://ai.google.dev/edge/litert/conversion/tensorflow/model_optimization.

    Args:
        model: a built model. `Pruned` wrappers are taken off.
        path: the file to write; its ending is `.tflite`. Replaced only once the new one is whole.

    Returns:
        How many values that are not zero the file holds, after it was loaded again. Constants of the graph count too.

    Raises:
        MissingBackendError: Keras does not run on TensorFlow.
        InvalidModelError: TensorFlow cannot write the model, the ending is another one, or what became of the weights
            has more values than there are weights that are not zero, and a few for each layer.
        FileNotFoundError: there is no such folder.
    """
    if keras.config.backend() != "tensorflow":
        raise MissingBackendError("LiteRT files are written by TensorFlow: set KERAS_BACKEND=tensorflow.")
    target = Path(path)
    if target.suffix != ".tflite":
        raise InvalidModelError(f"{os.fspath(path)} should end in .tflite.")
    plain = without_wrappers(model)
    try:
        content = to_litert(plain)
    except Exception as error:  # TensorFlow raises many, its own ConverterError among them
        raise InvalidModelError(
            f"TensorFlow cannot write model {model.name!r} as LiteRT: {str(error).partition(chr(10))[0]}. "
            "matlab_bridge.export_onnx may."
        ) from error
    constants = constants_in_litert(content)
    weights = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in plain.weights]
    most = sum(int(np.count_nonzero(weight)) for weight in weights)
    # Shapes and axes are constants as well, and a normalization becomes a scale and an offset.
    allowance = 64 * (len(plain._flatten_layers()) + 1)
    kept = _as_weights(constants, (weight.size for weight in weights))
    if kept > most + allowance:
        raise InvalidModelError(
            f"The LiteRT file of model {model.name!r} would hold {kept:,} values that are not zero, though the model "
            f"has {most:,} such weights. Nothing was written."
        )
    with replace_whole(target) as temporary:
        temporary.write_bytes(content)
    return sum(nonzeros for _, nonzeros in constants)


def _as_weights(constants: Iterable[tuple[int, int]], sizes: Iterable[int]) -> int:
    """How many values are not zero in those constants that may be weights.

    A causal mask, or a constant of the model's own, is no weight. A file does not say which is which, but by their
    sizes; of each size those with the fewest values are taken, as many as there are such weights.
    """
    places, total = Counter(sizes), 0
    for size, nonzeros in sorted(constants):
        if places[size]:
            places[size] -= 1
            total += nonzeros
    return total
