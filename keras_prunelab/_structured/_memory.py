"""What a model remembers from call to call, in inference too: states of recurrent layers and of random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


class Memory:
    """What a model remembers, as it is now.

    Args:
        model: a built model.
    """

    def __init__(self, model: Any) -> None:
        self._variables = list(_variables(model))
        self._values: Sequence[Any] = [np.array(keras.ops.convert_to_numpy(each)) for each in self._variables]

    def as_in(self, other: Memory) -> Memory:
        """The memory of the same model, but with what another model remembers where that fits."""
        found = Memory.__new__(Memory)
        found._variables = self._variables
        fits = [one.shape == its.shape for one, its in zip(self._values, other._values, strict=False)]
        found._values = other._values if len(fits) == len(self._values) and all(fits) else self._values
        return found

    def recall(self) -> None:
        """Put it back into the model."""
        for variable, value in zip(self._variables, self._values, strict=False):
            variable.assign(value)


def _variables(model: Any) -> Any:
    for layer in model._flatten_layers():
        yield from (generator.state for generator in layer._seed_generators)
        if getattr(layer, "stateful", False):
            yield from (each for each in keras.tree.flatten(layer.states) if each is not None)
