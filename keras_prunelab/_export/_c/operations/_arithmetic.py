"""Values with values: sums, differences, products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._operation import Array, Operation, whole_sequence
from keras_prunelab._export._c._scale import fixed_point, limits
from keras_prunelab._export._c._value import Value

_FUNCTIONS = {"add": np.add, "subtract": np.subtract, "multiply_values": np.multiply}


@dataclass(frozen=True, eq=False, kw_only=True)
class Arithmetic(Operation):
    """One value with another, which may be shorter: it then counts for each position.

    Attributes:
        kernel: `"add"`, `"subtract"` or `"multiply_values"`.
        limits: the ends between which outputs stay: a ReLU, in 8-bit networks.
    """

    kernel: str
    limits: tuple[float, float] = (-np.inf, np.inf)
    can_overwrite: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        return np.clip(_FUNCTIONS[self.kernel](*inputs), *self.limits)

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        one, other = self.inputs
        arguments = [one.size, body.at(one), other.size, body.at(other), body.at(self.output)]
        if body.code.is_int8:
            arguments.insert(0, f"&{self._scales(body)}")
        body.call(self.kernel, *arguments)

    def _scales(self, body: Body) -> str:
        code = body.code
        one, other, output = (code.scale(value) for value in (*self.inputs, self.output))
        low, high = limits(output, self.limits)
        zeros = (one.zero_point, other.zero_point, output.zero_point, low, high)
        if self.kernel == "multiply_values":
            factors: tuple[float, ...] = (one.factor * other.factor / output.factor,)
        else:  # twice the larger scale, and 20 bits below it: LiteRT's way to keep what rounding would lose
            twice = 2 * max(one.factor, other.factor)
            factors = (one.factor / twice, other.factor / twice, twice / ((1 << 20) * output.factor))
        numbers = [each for factor in factors for each in fixed_point(factor)]
        code.kernel(self.kernel)
        type_ = "product_scales" if self.kernel == "multiply_values" else "sum_scales"
        return code.constant(f"{self.name}_scales", type_, f"{{{', '.join(map(str, (*zeros, *numbers)))}}}")

    def at_step(self, inputs: tuple[Value, ...], timed: Sequence[bool]) -> tuple[Operation, bool]:
        """See `Operation.at_step`."""
        if any(timed) and not all(timed) and (not timed[0] or self.inputs[1].size != self.inputs[0].channels):
            raise whole_sequence(self)
        return super().at_step(inputs, timed)
