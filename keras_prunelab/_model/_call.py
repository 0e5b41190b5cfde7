"""A model called on observations of the user's, which may not fit it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import InvalidDataError, PruneLabError

from ._data import Batch
from ._rebuild import text_of


def call_on(model: keras.Model, batch: Batch) -> Any:
    """Call a model on observations, outside of training.

    Args:
        model: a built model.
        batch: its inputs.

    Returns:
        What the model returns.

    Raises:
        InvalidDataError: they do not fit it.
    """
    try:
        return model(batch.inputs, training=False)
    except PruneLabError:
        raise
    except Exception as error:
        # Of text each backend makes an error of its own; what else is none of the data's, such as memory, stays it.
        if not isinstance(error, ValueError | TypeError | KeyError) and not _has_text(batch):
            raise
        kinds = ", ".join(f"{array.dtype} {tuple(array.shape)}" for array in keras.tree.flatten(batch.inputs))
        raise InvalidDataError(
            f"Data of the type and shape {kinds} does not fit model {model.name!r}: {text_of(error)}"
        ) from error


def _has_text(batch: Batch) -> bool:
    return any(np.asarray(each).dtype.kind not in "fiub" for each in keras.tree.flatten(batch.inputs))
