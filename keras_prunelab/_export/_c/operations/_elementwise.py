"""Activations and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_prunelab._export._c._activations import Activation
from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._operation import Array, Operation
from keras_prunelab._export._c._scale import EVERY, PROBABILITY, SIGNED, Range, Scale, scale_of

_FIXED = {"sigmoid": PROBABILITY, "tanh": SIGNED}


@dataclass(frozen=True, eq=False, kw_only=True)
class Elementwise(Operation):
    """A function of each value; in 8 bits, a table of 256.

    Attributes:
        activation: the function.
    """

    activation: Activation
    can_overwrite: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        return self.activation(inputs[0])

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        code, places = body.code, (body.at(self.inputs[0]), body.at(self.output))
        if not code.is_int8:
            body.call("apply", code.function(self.activation), self.output.size, *places)
            return
        inputs = code.scale(self.inputs[0]).dequantize(EVERY)
        table = code.scale(self.output).quantize(self.activation(inputs))
        body.call("look_up", code.array(f"{self.name}_table", table), self.output.size, *places)

    def scale(self, found: Range, inputs: Sequence[Scale]) -> Scale:
        """See `Operation.scale`."""
        del inputs
        return _FIXED.get(self.activation.name) or scale_of(found)


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax(Operation):
    """Probabilities over the last axis."""

    can_overwrite: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        powers = np.exp(inputs[0] - inputs[0].max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        code, table = body.code, []
        if code.is_int8:
            powers = np.round(32768 * np.exp(-code.scale(self.inputs[0]).factor * np.arange(256))).astype(np.uint16)
            powers = powers[: int(np.count_nonzero(powers))]
            table = [code.array(f"{self.name}_powers", powers), len(powers)]
        places = (body.at(self.inputs[0]), body.at(self.output))
        body.call("softmax", self.output.positions, self.output.channels, *table, *places)

    def scale(self, found: Range, inputs: Sequence[Scale]) -> Scale:
        """See `Operation.scale`."""
        del found, inputs
        return PROBABILITY
