"""What multiplies by weights: dense layers, convolutions, depthwise ones, and scales with offsets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._code import Code
from keras_prunelab._export._c._operation import Array, Operation, whole_sequence
from keras_prunelab._export._c._scale import Scale
from keras_prunelab._export._c._value import Value

from ._window import Window, patches

_LARGEST = 1 << 30
"""That an 8-bit network's bias may be, so that sums stay within 32 bits."""


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
        sums = [body.scratch("sums", "int32_t", len(self.bias))] if body.code.is_int8 else []
        positions = self.inputs[0].size // self.weights.shape[1]
        arguments = [positions, body.at(self.inputs[0]), *sums, body.at(self.output)]
        body.call("dense", f"&{self._layer(body.code)}", *arguments)

    def scaled(self, scale: Array, offset: Array) -> Linear:
        """The operation with its outputs scaled and shifted."""
        weights = (self.weights * scale[:, None]).astype(np.float32)
        return replace(self, weights=weights, bias=(self.bias * scale + offset).astype(np.float32))

    def _product(self, x: Array) -> Array:
        """The products, with the outputs as the last axis."""
        return np.asarray(x.reshape(len(x), -1, self.weights.shape[1]) @ self.weights.T)

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


def quantized_weights(weights: Array, bias: Array, scale: Scale) -> tuple[Array, Array, Array]:
    """Weights of outputs x inputs with 8 bits, zeros kept, the bias with 32, and what a sum of each output stands for.

    Each output has a factor of its own. One whose weights are all zero gets the factor that its bias needs.
    """
    factors = np.abs(weights.astype(np.float64)).max(axis=1, initial=0.0) / 127
    factors = np.maximum(factors, np.abs(bias.astype(np.float64)) / (scale.factor * _LARGEST))
    factors[factors == 0] = 1.0
    found = np.clip(np.round(weights / factors[:, None]), -127, 127).astype(np.int8)
    return found, np.round(bias / (scale.factor * factors)).astype(np.int32), np.asarray(scale.factor * factors)


def without_zero_point(weights: Array, bias: Array, scale: Scale) -> Array:
    """The bias with which weights can be multiplied by 8-bit inputs as they are."""
    return np.asarray(bias - scale.zero_point * weights.astype(np.int64).sum(axis=1)).astype(np.int32)


def limits(scale: Scale, ends: tuple[float, float]) -> tuple[int, int]:
    """The 8-bit numbers between which outputs stay."""
    low, high = (
        -128 if math.isinf(each) and each < 0 else 127 if math.isinf(each) else _number(each, scale) for each in ends
    )
    return low, high


def _number(value: float, scale: Scale) -> int:
    return int(scale.quantize(np.array(value)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(Linear):
    """A matrix by what a window sees, wherever it stands.

    Attributes:
        window: where it stands; inputs of a sequence are an image of one row.
        is_causal: whether it sees the present and the past of a sequence, one step after the other.
    """

    window: Window
    is_causal: bool = False

    def _product(self, x: Array) -> Array:
        seen = patches(self.window, x)
        return np.asarray(seen.reshape(*seen.shape[:3], -1) @ self.weights.T)

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        code, window = body.code, self.window
        x = body.at(self.inputs[0])
        if self.is_step:
            x = step_of_stream(body, self.inputs[0], window)
            window = window.of_one_step()
        if window.is_point:
            sums = [body.scratch("sums", "int32_t", len(self.bias))] if code.is_int8 else []
            body.call("dense", f"&{self._layer(code)}", self.inputs[0].positions, x, *sums, body.at(self.output))
            return
        patch = body.scratch("patch", body.value_type, self.weights.shape[1])
        sums = [body.scratch("sums", "int32_t", len(self.bias))] if code.is_int8 else []
        place = window.constant(code, self._window_name(), code.scale(self.inputs[0]) if code.is_int8 else None)
        body.call("convolve", f"&{self._layer(code)}", f"&{place}", x, patch, *sums, body.at(self.output))

    def _window_name(self) -> str:
        return f"{self.name}_{'step_' if self.is_step else ''}window"

    def at_step(self, inputs: tuple[Value, ...], timed: Sequence[bool]) -> tuple[Operation, bool]:
        """See `Operation.at_step`."""
        if not timed[0]:
            return super().at_step(inputs, timed)
        if not self.is_causal:
            raise whole_sequence(self)
        return self.with_one_step(inputs), True


def step_of_stream(body: Body, value: Value, window: Window) -> str:
    """Write how a step joins those that a causal window sees; returns where they are."""
    if window.sight == 1:
        return body.at(value)
    zero = body.code.scale(value).zero_point if body.code.is_int8 else 0
    past = body.keep("past", body.value_type, window.sight * window.channels, zero)
    length = (window.sight - 1) * window.channels
    body.do(f"memmove({past}, {past} + {window.channels}, {length} * sizeof({body.value_type}));")
    body.do(f"memcpy({past} + {length}, {body.at(value)}, {window.channels} * sizeof({body.value_type}));")
    return past


@dataclass(frozen=True, eq=False, kw_only=True)
class Depthwise(Convolution):
    """Windows on one channel each; `weights` are outputs x places of the window."""

    def _product(self, x: Array) -> Array:
        seen = patches(self.window, x)  # batch x rows x columns x places x channels
        multiplier = len(self.weights) // self.window.channels
        found = np.einsum("...pc,cmp->...cm", seen, self.weights.reshape(self.window.channels, multiplier, -1))
        return np.asarray(found).reshape(*found.shape[:-2], -1)

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        code, window = body.code, self.window
        if self.window.size != (1, 1) and code.is_smaller_sparse(whole := self._whole(), self.weights.size):
            fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
            Convolution(**{**fields, "weights": whole}).emit(body)
            return
        multiplier = len(self.weights) // window.channels
        x = body.at(self.inputs[0])
        if self.is_step:
            x = step_of_stream(body, self.inputs[0], window)
            window = window.of_one_step()
        weights, bias, rest = self.weights, self.bias, []
        if code.is_int8:
            weights, bias, factors = quantized_weights(self.weights, self.bias, code.scale(self.inputs[0]))
            scaling = self._scaling(code, factors)
            rest = [f"&{code.constant(f'{self.name}_scaling', 'scaling', scaling)}"]
        zero = code.scale(self.inputs[0]) if code.is_int8 else None
        place = window.constant(code, self._window_name(), zero)
        values = code.array(f"{self.name}_values", np.ascontiguousarray(weights.T))
        sums = [body.scratch("sums", "int32_t", len(self.bias))] if code.is_int8 else []
        arguments = [values, code.array(f"{self.name}_bias", bias), *rest, x, *sums, body.at(self.output)]
        body.call("depthwise", f"&{place}", multiplier, *arguments)

    def _whole(self) -> Array:
        """The weights as those of a convolution, in which each output sees one channel."""
        outputs, places = self.weights.shape
        whole = np.zeros((outputs, places, self.window.channels), np.float32)
        channel = np.arange(outputs) // (outputs // self.window.channels)
        whole[np.arange(outputs), :, channel] = self.weights
        return whole.reshape(outputs, -1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Scaling(Depthwise):
    """A factor and an offset for each channel: a normalization."""

    @property
    def factors(self) -> Array:
        """One for each channel."""
        return self.weights[:, 0]

    def at_step(self, inputs: tuple[Value, ...], timed: Sequence[bool]) -> tuple[Operation, bool]:
        """See `Operation.at_step`."""
        if timed[0] and len(self.factors) != self.inputs[0].channels:
            raise whole_sequence(self)
        return Operation.at_step(self, inputs, timed)
