"""Convolutions: whole, depthwise and transposed; and normalizations, which are depthwise ones of a single place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._operation import Array, Operation, whole_sequence
from keras_prunelab._export._c._scale import quantized_weights
from keras_prunelab._export._c._value import Value

from ._linear import Linear
from ._window import Window, patches


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
            x = _step_of_stream(body, self.inputs[0], window)
            window = window.of_one_step()
        if window.is_point:
            self._emit_dense(body, self.inputs[0].positions, x)
            return
        patch = body.scratch("patch", body.value_type, self.weights.shape[1])
        sums = self._sums(body)
        place = window.constant(code, self._window_name(), self.inputs[0])
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
            x = _step_of_stream(body, self.inputs[0], window)
            window = window.of_one_step()
        weights, bias, rest = self.weights, self.bias, []
        if code.is_int8:
            weights, bias, factors = quantized_weights(self.weights, self.bias, code.scale(self.inputs[0]))
            scaling = self._scaling(code, factors)
            rest = [f"&{code.constant(f'{self.name}_scaling', 'scaling', scaling)}"]
        place = window.constant(code, self._window_name(), self.inputs[0])
        values = code.array(f"{self.name}_values", np.ascontiguousarray(weights.T))
        sums = self._sums(body)
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Transposed(Linear):
    """A matrix by what reaches each place of the output.

    Attributes:
        window: how a place of the input spreads; `before` are the rows and columns that are cut off above and left.
    """

    window: Window

    needs_whole = True

    def _product(self, x: Array) -> Array:
        window = self.window
        (rows, columns), (down, across) = window.image, window.strides
        image = x.reshape(len(x), rows or 0, columns or 0, window.channels)
        lengths = [
            max((length or 0) * stride + size * apart, before + (output or 0))
            for length, stride, size, apart, before, output in zip(
                window.image, window.strides, window.size, window.dilation, window.before, window.output, strict=True
            )
        ]
        found = np.zeros((len(x), *lengths, len(self.weights)), np.result_type(x, self.weights))
        places = self.weights.reshape(len(self.weights), *window.size, window.channels)
        for i, j in np.ndindex(*window.size):
            top, left = i * window.dilation[0], j * window.dilation[1]
            rest = np.s_[:, top : top + image.shape[1] * down : down, left : left + image.shape[2] * across : across]
            found[rest] += image @ places[:, i, j].T
        above, left = window.before
        return found[:, above : above + (window.output[0] or 0), left : left + (window.output[1] or 0)]

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        patch = body.scratch("patch", body.value_type, self.weights.shape[1])
        sums = self._sums(body)
        place = self.window.constant(body.code, f"{self.name}_window", self.inputs[0])
        arguments = [body.at(self.inputs[0]), patch, *sums, body.at(self.output)]
        body.call("spread", f"&{self._layer(body.code)}", f"&{place}", *arguments)


def _step_of_stream(body: Body, value: Value, window: Window) -> str:
    """Write how the present step joins the past ones that a causal window sees; returns where they are."""
    if window.sight == 1:
        return body.at(value)
    zero = body.code.scale(value).zero_point if body.code.is_int8 else 0
    past = body.keep("past", body.value_type, window.sight * window.channels, zero)
    length = (window.sight - 1) * window.channels
    body.do(f"memmove({past}, {past} + {window.channels}, {length} * sizeof({body.value_type}));")
    body.do(f"memcpy({past} + {length}, {body.at(value)}, {window.channels} * sizeof({body.value_type}));")
    return past
