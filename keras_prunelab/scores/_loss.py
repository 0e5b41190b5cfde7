"""The slope of a model's own loss, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import gradients, hessian_products
from keras_prunelab._errors import InvalidDataError, InvalidModelError

from ._base import Score, ScoreContext
from ._batches import Batch, batches, inputs_of

Arrays: TypeAlias = dict[str, NDArray[Any]]


class LossScore(Score):
    """A score that follows the slope of the model's loss, and so needs labelled data.

    Args:
        batch_size: how many observations are run at once.

    Raises:
        InvalidDataError: `batch_size` is not a positive number.
    """

    needs_data = True
    needs_labels = True

    def __init__(self, batch_size: int = 128) -> None:
        if batch_size < 1:
            raise InvalidDataError(f"batch_size={batch_size!r}; a batch has at least one observation.")
        self.batch_size = batch_size

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this score again."""
        return {"batch_size": self.batch_size}


def batch_gradients(context: ScoreContext, size: int) -> Iterator[tuple[int, Arrays]]:
    """The gradient of the loss on each batch.

    The loss is the one that the model was compiled with, regularization included, in inference mode: dropout is off
    and normalizations use their moving statistics. The model is not written to.

    Args:
        context: a compiled model, its weights, and labelled data.
        size: how many observations a batch has at most.

    Returns:
        For each batch its number of observations, and the gradient of its mean loss, by path.

    Raises:
        InvalidDataError: the data does not fit, or has no labels.
        InvalidModelError: the model has no loss, or a gradient is not finite.
    """
    slopes = context.once("loss gradients", lambda: gradients(model_loss(context.model), *_variables(context)))
    for batch in batches(context.data, size, labels=True, inputs=inputs_of(context.model)):
        yield len(batch), _by_path(context, slopes(list(context.values.values()), _arguments(batch)))


def mean_gradient(context: ScoreContext, size: int) -> Arrays:
    """The gradient of the loss over all data; the arguments and errors are those of `batch_gradients`.

    It does not depend on the size of the batches, up to rounding.
    """
    return _mean(batch_gradients(context, size))


def hessian_gradient(context: ScoreContext, size: int) -> Arrays:
    """The Hessian of the loss over all data times its gradient; arguments and errors as for `batch_gradients`."""
    gradient = mean_gradient(context, size)
    products = context.once("loss Hessian", lambda: hessian_products(model_loss(context.model), *_variables(context)))
    values, vectors = list(context.values.values()), list(gradient.values())
    return _mean(
        (len(batch), _by_path(context, products(values, vectors, _arguments(batch))))
        for batch in batches(context.data, size, labels=True, inputs=inputs_of(context.model))
    )


def _mean(weighted: Iterator[tuple[int, Arrays]]) -> Arrays:
    total = 0
    sums: Arrays = {}
    for count, arrays in weighted:
        total += count
        for path, array in arrays.items():
            sums[path] = sums.get(path, np.zeros(())) + count * array.astype(np.float64)
    return {path: array / total for path, array in sums.items()}


def model_loss(model: keras.Model) -> Any:
    """The loss of a batch as a function to differentiate.

    Raises:
        InvalidModelError: the model was compiled without a loss.
    """
    if getattr(model, "_compile_loss", None) is None:
        raise InvalidModelError(
            f"Model {model.name!r} was compiled without a loss, or not at all, and the score follows the loss. Call "
            "model.compile(loss=...) first."
        )

    def loss(batch: dict[str, Any]) -> Any:
        outputs = model(batch["inputs"], training=False)
        value = model.compute_loss(batch["inputs"], batch["labels"], outputs, batch.get("weights"), training=False)
        model._clear_losses()  # what layers added belongs to a trace that is over
        return value

    return loss


def _arguments(batch: Batch) -> dict[str, Any]:
    every = {"inputs": batch.inputs, "labels": batch.labels, "weights": batch.weights}
    return {name: value for name, value in every.items() if value is not None}


def _variables(context: ScoreContext) -> tuple[list[Any], list[Any]]:
    """The variables that are scored, and the model's other weights, which training changes too."""
    scored = [item.variable for item in context.prunables]
    ids = set(map(id, scored))
    return scored, [variable for variable in context.model.weights if id(variable) not in ids]


def _by_path(context: ScoreContext, arrays: list[NDArray[Any]]) -> Arrays:
    found = dict(zip(context.values, arrays, strict=True))
    for path, array in found.items():
        if not np.isfinite(array).all():
            raise InvalidModelError(
                f"The gradient of the loss is NaN or infinite for {path!r}. Is the data scaled as in training, and "
                "free of NaN?"
            )
    return found
