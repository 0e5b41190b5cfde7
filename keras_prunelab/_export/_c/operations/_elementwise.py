"""Activations and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_prunelab._export._c._activations import Activation
from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._operation import Array, Operation, whole_sequence
from keras_prunelab._export._c._scale import EVERY, PROBABILITY, SIGNED, Range, Scale, fixed_point, scale_of
from keras_prunelab._export._c._value import Value

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
class PReLU(Operation):
    """Values below zero times a slope.

    Attributes:
        slope: one for each channel, or for each value.
    """

    slope: Array
    can_overwrite: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        x = inputs[0].reshape(len(inputs[0]), -1, self.slope.size)
        return self.shaped(np.where(x > 0, x, self.slope * x))

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        code, places = body.code, (body.at(self.inputs[0]), body.at(self.output))
        count, slopes = self.output.size, self.slope.size
        if not code.is_int8:
            slope = code.array(f"{self.name}_slope", self.slope)
            body.call("prelu", count, places[0], slopes, slope, places[1])
            return
        code.kernel("prelu")
        one, other = code.scale(self.inputs[0]), code.scale(self.output)
        ratio = one.factor / other.factor
        numbers = (one.zero_point, other.zero_point, *fixed_point(ratio))
        scales = code.constant(f"{self.name}_scales", "prelu_scales", f"{{{', '.join(map(str, numbers))}}}")
        parts = [fixed_point(abs(float(slope)) * ratio) for slope in self.slope]
        signed = [-part if slope < 0 else part for (part, _), slope in zip(parts, self.slope, strict=True)]
        multipliers = code.array(f"{self.name}_multipliers", np.array(signed, np.int32))
        shifts = code.array(f"{self.name}_shifts", np.array([each for _, each in parts], np.int8))
        body.call("prelu", f"&{scales}", count, places[0], slopes, multipliers, shifts, places[1])

    def at_step(self, inputs: tuple[Value, ...], timed: Sequence[bool]) -> tuple[Operation, bool]:
        """See `Operation.at_step`."""
        if timed[0] and self.slope.size != self.inputs[0].channels:
            raise whole_sequence(self)
        return super().at_step(inputs, timed)


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
