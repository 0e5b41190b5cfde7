"""The gradient of a model's own loss, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import gradients, hessian_products
from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._model._data import Batch, batches, check_batch_size
from keras_prunelab._model._shapes import at_a_time

from ._base import Score, ScoreContext

Arrays: TypeAlias = dict[str, NDArray[Any]]


class LossScore(Score):
    """A score that follows the slope of the model's loss, and so needs data, with labels where the loss does.

    The loss is the whole of what `fit` minimizes, in inference mode: the loss that the model is compiled with, its
    weights and the sample weights of the data included, or the model's own `compute_loss`; what layers add with
    `add_loss`; and the penalties of regularizers. The papers write of the loss on the data alone, which is the same
    for a model without additions.

    Args:
        batch_size: how many observations are run at once.

    Raises:
        InvalidDataError: `batch_size` is not a positive number.
    """

    needs_data = True
    needs_labels = True

    def __init__(self, batch_size: int = 128) -> None:
        self.batch_size = check_batch_size(batch_size)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this score again."""
        return {"batch_size": self.batch_size}


def batch_gradients(context: ScoreContext, size: int) -> Iterator[tuple[int, Arrays]]:
    """The gradient of the loss on each batch.

    The loss is the one that `fit` minimizes, see `LossScore`; dropout is off and normalizations use their moving
    statistics. The model is not written to.

    Args:
        context: a model with a loss, its weights, and data.
        size: how many observations a batch has at most.

    Returns:
        For each batch its number of observations, and the gradient of its mean loss, by path.

    Raises:
        InvalidDataError: the data does not fit, has no labels where the loss needs them, or holds NaN.
        InvalidModelError: the model has no loss, or a gradient is not finite.
    """
    for batch in _batches(context, size):
        check_loss(context.model, batch)
        slopes = context.once("loss gradients", lambda: gradients(model_loss(context.model), *_variables(context)))
        yield len(batch), _by_path(context, batch, slopes(list(context.values.values()), _arguments(batch)))


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
        (len(batch), _by_path(context, batch, products(values, vectors, _arguments(batch))))
        for batch in _batches(context, size)
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
        InvalidModelError: the model was compiled without a loss, and neither computes nor adds one. That no layer
            adds one shows only in the function's first call.
    """
    if not (model.compiled or _computes_its_loss(model)):
        raise _no_loss(model)

    def loss(batch: dict[str, Any]) -> Any:
        outputs = model(batch["inputs"], training=False)
        if not (_has_compiled_loss(model) or _computes_its_loss(model) or model.losses):
            raise _no_loss(model)
        # As `fit` calls it: models of before Keras 3.3 have a compute_loss without `training`.
        value = model._compute_loss(batch["inputs"], batch.get("labels"), outputs, batch.get("weights"), training=False)
        model._clear_losses()  # what layers added belongs to a trace that is over
        return value

    return loss


def check_loss(model: keras.Model, batch: Batch) -> None:
    """Make sure that a model has a loss for a batch, before it is trained or anything is compiled.

    A loss of several outputs makes the variables of its trackers in its first call. That must not be one that JAX
    traces: the program would take them for inputs that nobody gives it.

    Raises:
        InvalidModelError: it has none.
        InvalidDataError: its loss needs labels, and the batch has none.
    """
    loss = model_loss(model)
    if batch.labels is None and needs_labels(model):
        raise InvalidDataError("The loss needs labels; give data=(inputs, labels).")
    compiled = getattr(model, "_compile_loss", None)
    if compiled.built if compiled is not None else _computes_its_loss(model):
        return
    one = next(batch.cut(at_a_time(model) or 1))
    arguments = keras.tree.map_structure(keras.ops.convert_to_tensor, _arguments(one))
    values = [(variable, variable.value) for variable in model.variables]  # Keras finds those of regularizers here only
    with keras.StatelessScope(values, collect_losses=True):
        loss(arguments)


def needs_labels(model: keras.Model) -> bool:
    """Whether the loss of a model compares with labels, as far as can be told: one that only layers add does not."""
    return _has_compiled_loss(model)


def _has_compiled_loss(model: keras.Model) -> bool:
    return getattr(model, "_compile_loss", None) is not None


def _computes_its_loss(model: keras.Model) -> bool:
    return type(model).compute_loss is not keras.Model.compute_loss


def _no_loss(model: keras.Model) -> InvalidModelError:
    message = f"Model {model.name!r} was compiled without a loss, or not at all, and the score follows the loss. "
    if type(model).train_step is not keras.Model.train_step:
        return InvalidModelError(
            f"{message}Its train_step is its own, and a loss in there cannot be seen from outside: compute it in "
            "compute_loss(self, x, y, y_pred, sample_weight), or call model.compile(loss=...)."
        )
    return InvalidModelError(
        f"{message}Call model.compile(loss=...) first, or let it add one in a layer (add_loss) or compute one in "
        "compute_loss."
    )


def _batches(context: ScoreContext, size: int) -> Iterator[Batch]:
    return batches(context.data, size, labels=needs_labels(context.model), model=context.model)


def _arguments(batch: Batch) -> dict[str, Any]:
    every = {"inputs": batch.inputs, "labels": batch.labels, "weights": batch.weights}
    return {name: value for name, value in every.items() if value is not None}


def _variables(context: ScoreContext) -> tuple[list[Any], list[Any]]:
    """The variables that are scored, and the model's other weights, which training changes too."""
    scored = [item.variable for item in context.prunables]
    ids = set(map(id, scored))
    return scored, [variable for variable in context.model.weights if id(variable) not in ids]


def _by_path(context: ScoreContext, batch: Batch, arrays: list[NDArray[Any]]) -> Arrays:
    found = dict(zip(context.values, arrays, strict=True))
    for path, array in found.items():
        if not np.isfinite(array).all():
            batch.require_finite()
            raise InvalidModelError(
                f"The gradient of the loss is NaN or infinite for {path!r}, though the data is not. Is it scaled "
                "as in training?"
            )
    return found
