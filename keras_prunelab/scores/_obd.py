"""Optimal Brain Damage, with the curvature that the optimizer goes by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import read
from keras_prunelab._errors import InvalidModelError
from keras_prunelab._model._optimizers import find_updating, held_optimizers, leaves_of
from keras_prunelab._model._variables import Prunable

from ._base import Score, ScoreContext

# Where Keras' optimizers keep the running mean, or the sum, of squared gradients: Adam, AdamW, Nadam, Lamb, RMSprop and
# schedule-free AdamW; Adagrad and Ftrl; Adadelta; Muon, for the variables that it leaves to Adam.
_SQUARES = ("_velocities", "_accumulators", "_accumulated_grads", "adam_velocities")


@final
class OBD(Score):
    """The second-order change of the loss without a weight, w^2 h / 2, with h the curvature that the optimizer goes by.

    LeCun et al., Optimal Brain Damage, NeurIPS 1989, take h from the diagonal of the Hessian. Adam and its kin divide
    each step by sqrt(v), v being the running mean of the squared gradient: that is the curvature which they assume of
    the loss along each weight. It costs nothing here, and needs no data. Li et al., Fishers for free?, 2025,
    https://arxiv.org/abs/2507.18807, use v itself as the diagonal of the Fisher information.

    The optimizer is the one that trains the model: `callbacks.Prune(schedule, "obd")` during `fit`; elsewhere the one
    that the model was compiled with and trained by, as `fit` left it or as a `.keras` file has it.

    Raises:
        InvalidModelError: at the call: the model has no optimizer that trains a variable, it keeps no squared
            gradients, as SGD and Lion, or it has not made a step.
    """

    name = "obd"

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        optimizers = leaves_of(context.optimizers or held_optimizers(context.model))
        scored = [item for item in context.prunables if item.path in context.values]
        squares = {item.path: squared_gradients(item, optimizers) for item in scored}
        # Those of one variable may all be zero: of a layer whose weights are all pruned, or that no gradient reaches.
        if not any(each.any() for each in squares.values()):
            raise InvalidModelError(
                "The optimizer has made no step yet, so that the score 'obd' knows no curvature. Let the schedule "
                "begin later, or train the model first."
            )
        return {
            path: np.square(np.float64(context.values[path])) * np.sqrt(np.float64(each)) / 2
            for path, each in squares.items()
        }


def squared_gradients(item: Prunable, optimizers: Iterable[Any]) -> NDArray[Any]:
    """What an optimizer remembers of the squared gradient of a variable.

    Args:
        item: the variable.
        optimizers: those that train the model, without others inside.

    Returns:
        An array of the variable's shape, not to be written to; its scale depends on the optimizer.

    Raises:
        InvalidModelError: none of the optimizers trains the variable, or the one that does remembers nothing.
    """
    updating = find_updating(item.variable, optimizers)
    if not updating:
        raise InvalidModelError(
            f"The score 'obd' needs the optimizer that trains {item.path!r}, and the model has none. Train it first, "
            "or load the .keras file that was saved after training; or take the score 'fisher', which needs data."
        )
    optimizer = updating[0]
    index = optimizer._get_variable_index(item.variable)
    kept = (getattr(optimizer, name, None) for name in _SQUARES)
    squares = next((variables[index] for variables in kept if variables and variables[index] is not None), None)
    if squares is None:
        raise InvalidModelError(
            f"The score 'obd' needs an optimizer that remembers squared gradients, such as Adam or RMSprop; "
            f"{item.path!r} is trained by {type(optimizer).__name__}, which does not. Compile the model with one of "
            "them, or take the score 'fisher', which needs data."
        )
    return read(squares)
