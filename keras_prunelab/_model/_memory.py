"""What a model remembers from call to call, in inference too: states of recurrent layers and of random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


class Memory:
    """What a model remembers, as it is now.

    Args:
        model: a built model.
    """

    def __init__(self, model: Any) -> None:
        self._variables = list(_variables(model))
        self._values = list(map(_value, self._variables))
        # Whatever else a layer may write to in its call, such as a count of its own.
        self._rest = [(each, _value(each)) for each in model.non_trainable_variables]

    def recall(self, other: Memory | None = None) -> None:
        """Put it back into the model.

        Args:
            other: what another model remembers, which is put in its place where it fits.
        """
        values = self._values
        if other is not None and [each.shape for each in other._values] == [each.shape for each in values]:
            values = other._values
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def restore(self) -> None:
        """Leave the model as it was."""
        self.recall()
        for variable, value in self._rest:
            variable.assign(value)


def _value(variable: Any) -> NDArray[Any]:
    return np.array(keras.ops.convert_to_numpy(variable))


def _variables(model: Any) -> Iterator[Any]:
    for layer in model._flatten_layers():
        yield from (generator.state for generator in layer._seed_generators)
        if getattr(layer, "stateful", False):
            yield from (each for each in keras.tree.flatten(getattr(layer, "states", None)) if each is not None)
