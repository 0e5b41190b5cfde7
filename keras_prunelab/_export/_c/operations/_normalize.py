"""Normalization by statistics of the observation itself: of layers and of groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_prunelab._export._c._activations import literal
from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._operation import Array, Operation, whole_sequence
from keras_prunelab._export._c._value import Value


@dataclass(frozen=True, eq=False, kw_only=True)
class Normalize(Operation):
    """Each group of channels less its mean, divided by its spread; then a factor and an offset for each channel.

    8-bit networks do this in floating point: no whole number is the root of a variance.

    Attributes:
        factors: one for each channel.
        offsets: likewise.
        epsilon: what is added to each variance.
        positions: how many places are normalized together; each `positions` of them in turn.
        groups: of how many channels each; all channels are one group, or some.
    """

    factors: Array
    offsets: Array
    epsilon: float
    positions: int
    groups: int

    can_overwrite: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        width = self.factors.size // self.groups
        x = inputs[0].reshape(len(inputs[0]), -1, self.positions, self.groups, width).astype(np.float64)
        mean, variance = x.mean(axis=(2, 4), keepdims=True), x.var(axis=(2, 4), keepdims=True)
        found = ((x - mean) / np.sqrt(variance + self.epsilon)).reshape(len(x), -1, self.factors.size)
        return self.shaped((found * self.factors + self.offsets).astype(np.float32))

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        code, epsilon, factors, offsets, zero = body.code, self.epsilon, self.factors, self.offsets, []
        if code.is_int8:
            one, other = code.scale(self.inputs[0]), code.scale(self.output)
            epsilon /= one.factor**2
            factors, offsets = ((each / other.factor).astype(np.float32) for each in (factors, offsets))
            zero = [other.zero_point]
        channels = self.factors.size
        count = self.output.size // (channels * self.positions)
        arrays = [code.array(f"{self.name}_factors", factors), code.array(f"{self.name}_offsets", offsets)]
        places = [body.at(self.inputs[0]), body.at(self.output)]
        arguments = [count, self.positions, channels, self.groups, *arrays, literal(epsilon), *zero, *places]
        body.call("normalize", *arguments)

    def at_step(self, inputs: tuple[Value, ...], timed: Sequence[bool]) -> tuple[Operation, bool]:
        """See `Operation.at_step`."""
        if timed[0] and (self.positions > 1 or self.factors.size != self.inputs[0].channels):
            raise whole_sequence(self)
        return super().at_step(inputs, timed)
