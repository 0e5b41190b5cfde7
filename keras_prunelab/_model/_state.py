"""Values of variables, copied and put back; and what a model remembers from call to call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

Arrays: TypeAlias = tuple[NDArray[Any], ...]


def copy_values(variables: Iterable[Any]) -> Arrays:
    """Copy the values of variables; on torch, what Keras gives shares its memory with them."""
    return tuple(np.array(keras.ops.convert_to_numpy(variable)) for variable in variables)


def assign_values(variables: Iterable[Any], values: Iterable[Any]) -> None:
    """Write values into variables, one for one.

    Raises:
        ValueError: there are not as many of the one as of the other.
    """
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class CallState:
    """What a model remembers from call to call, in inference too, as it is now.

    These are the states of recurrent layers and of random numbers, and whatever else a layer may write to in its call,
    such as a count of its own.

    Args:
        model: a built model.
    """

    def __init__(self, model: Any) -> None:
        self._variables = list(_remembered(model))
        self._values = copy_values(self._variables)
        self._rest = list(model.non_trainable_variables)
        self._rest_values = copy_values(self._rest)

    def recall(self, other: CallState | None = None) -> None:
        """Put the states back into the model.

        Args:
            other: what another model remembers, which is put in their place where it fits.
        """
        values = self._values
        if other is not None and [each.shape for each in other._values] == [each.shape for each in values]:
            values = other._values
        assign_values(self._variables, values)

    def restore(self) -> None:
        """Leave the model as it was."""
        self.recall()
        assign_values(self._rest, self._rest_values)


@contextlib.contextmanager
def begun_anew(model: Any) -> Iterator[None]:
    """Let recurrent layers that keep their state begin at zero, and have it back afterwards."""
    state = CallState(model)
    try:
        for each in recurrent_states(model):
            each.assign(keras.ops.zeros(each.shape, each.dtype))
        yield
    finally:
        state.restore()


def recurrent_states(model: Any) -> Iterator[Any]:
    """The variables in which recurrent layers keep their state from call to call."""
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False):
            yield from (each for each in keras.tree.flatten(getattr(layer, "states", None)) if each is not None)


def _remembered(model: Any) -> Iterator[Any]:
    for layer in model._flatten_layers():
        yield from (generator.state for generator in layer._seed_generators)
    yield from recurrent_states(model)
