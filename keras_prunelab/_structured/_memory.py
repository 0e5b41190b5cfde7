"""What a model remembers from call to call, in inference too: states of recurrent layers and of random numbers."""

from __future__ import annotations

from collections.abc import Sequence
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
        self._values: Sequence[Any] = list(map(_value, self._variables))
        # Whatever else a layer may write to in its call, such as a count of its own.
        self._rest = [(each, _value(each)) for each in model.non_trainable_variables]

    def as_in(self, other: Memory) -> Memory:
        """The memory of the same model, but with what another model remembers where that fits."""
        found = Memory.__new__(Memory)
        found._variables, found._rest = self._variables, []
        fits = [one.shape == its.shape for one, its in zip(self._values, other._values, strict=False)]
        found._values = other._values if len(fits) == len(self._values) and all(fits) else self._values
        return found

    def recall(self) -> None:
        """Put it back into the model."""
        for variable, value in zip(self._variables, self._values, strict=False):
            variable.assign(value)

    def restore(self) -> None:
        """Leave the model as it was."""
        self.recall()
        for variable, value in self._rest:
            variable.assign(value)


def _value(variable: Any) -> NDArray[Any]:
    return np.array(keras.ops.convert_to_numpy(variable))


def _variables(model: Any) -> Any:
    for layer in model._flatten_layers():
        yield from (generator.state for generator in layer._seed_generators)
        if getattr(layer, "stateful", False):
            yield from (each for each in keras.tree.flatten(getattr(layer, "states", None)) if each is not None)
