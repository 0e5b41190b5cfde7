"""Dense layers: a matrix by the channels at each position, and what every layer with weights has in common."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._code import Code
from keras_prunelab._export._c._operation import Array, Operation
from keras_prunelab._export._c._scale import limits, quantized_weights, without_zero_point


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Operation):
    """A matrix by the channels at each position: a dense layer.

    Attributes:
        weights: outputs x inputs.
        bias: one number an output.
        limits: the ends between which outputs stay: a ReLU, in 8-bit networks.
    """

    weights: Array
    bias: Array
    limits: tuple[float, float] = (-math.inf, math.inf)

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        return self.shaped(np.clip(self._product(inputs[0]) + self.bias, *self.limits))

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        positions = self.inputs[0].size // self.weights.shape[1]
        self._emit_dense(body, positions, body.at(self.inputs[0]))

    def scaled(self, scale: Array, offset: Array) -> Linear:
        """The operation with its outputs scaled and shifted."""
        weights = (self.weights * scale[:, None]).astype(np.float32)
        return replace(self, weights=weights, bias=(self.bias * scale + offset).astype(np.float32))

    def _product(self, x: Array) -> Array:
        """The products, with the outputs as the last axis."""
        return np.asarray(x.reshape(len(x), -1, self.weights.shape[1]) @ self.weights.T)

    def _emit_dense(self, body: Body, positions: int, x: str) -> None:
        """Write the call that multiplies the channels at each position of x."""
        sums = self._sums(body)
        body.call("dense", f"&{self._layer(body.code)}", positions, x, *sums, body.at(self.output))

    def _sums(self, body: Body) -> list[str]:
        """Where an 8-bit network sums products, as an argument; others sum in the output, and take none."""
        return [body.scratch("sums", "int32_t", len(self.bias))] if body.code.is_int8 else []

    def _layer(self, code: Code) -> str:
        """Write the constants; returns the name of the layer in C."""
        code.kernel("linear")
        if not code.is_int8:
            matrix = code.matrix(self.name, self.weights)
            offset = code.array(f"{self.name}_bias", self.bias)
            return code.constant(f"{self.name}_layer", "linear", f"{{{matrix}, {offset}}}")
        weights, bias, factors = quantized_weights(self.weights, self.bias, code.scale(self.inputs[0]))
        matrix = code.matrix(self.name, weights)
        offset = code.array(f"{self.name}_bias", without_zero_point(weights, bias, code.scale(self.inputs[0])))
        scaling = self._scaling(code, factors)
        return code.constant(f"{self.name}_layer", "linear", f"{{{matrix}, {offset}, {scaling}}}")

    def _scaling(self, code: Code, factors: Array) -> str:
        """Write how sums become outputs; returns the initializer."""
        output = code.scale(self.output)
        low, high = limits(output, self.limits)
        return code.scaling(self.name, factors / output.factor, output, low, high)
