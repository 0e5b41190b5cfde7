"""What moves values: other shapes, borders, values side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._operation import Array, Operation, whole_sequence
from keras_prunelab._export._c._scale import EVERY
from keras_prunelab._export._c._value import Value

from ._window import Window, patches


@dataclass(frozen=True, eq=False, kw_only=True)
class View(Operation):
    """The same values in another shape."""

    is_view: ClassVar[bool] = True

    keeps_scale: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        return self.shaped(inputs[0])

    def emit(self, body: Body) -> None:
        """See `Operation.emit`; they are where they were, unless that is an argument and so is the output."""
        one, other = body.at(self.inputs[0]), body.at(self.output)
        if one != other:
            body.do(f"memcpy({other}, {one}, {self.output.size} * sizeof({body.value_type}));")

    def at_step(self, inputs: tuple[Value, ...], timed: Sequence[bool]) -> tuple[Operation, bool]:
        """See `Operation.at_step`."""
        if timed[0] and self.inputs[0].shape != self.output.shape:
            raise whole_sequence(self)
        return super().at_step(inputs, timed)


@dataclass(frozen=True, eq=False, kw_only=True)
class Copy(View):
    """The same values at another place: two outputs of a network that are one and the same."""

    is_view: ClassVar[bool] = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Permute(Operation):
    """Axes in another order.

    Attributes:
        axes: those of one observation, from 0, in their new order; at most three.
    """

    axes: tuple[int, ...]

    keeps_scale: ClassVar[bool] = True
    needs_whole: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        return self.shaped(inputs[0].transpose(0, *(axis + 1 for axis in self.axes)))

    def order(self) -> Array:
        """For each value of the output, its place in the input."""
        source = np.arange(self.inputs[0].size).reshape(1, *(length or 0 for length in self.inputs[0].shape))
        return self.compute(source).reshape(-1)

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        shape = [length or 0 for length in self.inputs[0].shape]
        steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        pairs = [(shape[axis], steps[axis]) for axis in self.axes]
        pairs = [(1, 0)] * (3 - len(pairs)) + pairs
        numbers = [number for pair in pairs for number in pair]
        body.call("permute", *numbers, body.at(self.inputs[0]), body.at(self.output))


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(Operation):
    """An image with borders of zeros, or without borders of its own.

    Attributes:
        window: of one place, that stands on the borders too.
    """

    window: Window

    keeps_scale: ClassVar[bool] = True
    needs_whole: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        return self.shaped(patches(self.window, inputs[0]))

    @property
    def only_adds(self) -> bool:
        """Whether nothing of the image is cut off."""
        window = self.window
        return all(
            before >= 0 and before + (length or 0) <= (output or 0)
            for before, length, output in zip(window.before, window.image, window.output, strict=True)
        )

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        place = self.window.constant(body.code, f"{self.name}_window", self.inputs[0])
        body.call("pad", f"&{place}", body.at(self.inputs[0]), body.at(self.output))


@dataclass(frozen=True, eq=False, kw_only=True)
class Repeat(Operation):
    """Each place of an image several times.

    Attributes:
        image: its rows, columns and channels.
        times: how often each row and each column.
    """

    image: tuple[int, int, int]
    times: tuple[int, int]

    keeps_scale: ClassVar[bool] = True
    needs_whole: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        x = inputs[0].reshape(len(inputs[0]), *self.image)
        return self.shaped(x.repeat(self.times[0], axis=1).repeat(self.times[1], axis=2))

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        body.call("repeat", *self.image, *self.times, body.at(self.inputs[0]), body.at(self.output))

    def at_step(self, inputs: tuple[Value, ...], timed: Sequence[bool]) -> tuple[Operation, bool]:
        """See `Operation.at_step`; what does not vary in time would become a sequence of another length."""
        del inputs, timed
        raise whole_sequence(self)


@dataclass(frozen=True, eq=False, kw_only=True)
class Concatenate(Operation):
    """Values one behind the other along an axis.

    Attributes:
        axis: of one observation, from 0.
    """

    axis: int

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        return np.concatenate(inputs, axis=self.axis + 1)

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        code, output = body.code, self.output
        width = math.prod(each or 0 for each in output.shape[self.axis :])
        rows, offset = output.size // width, 0
        for index, value in enumerate(self.inputs):
            own, place = value.size // rows, body.at(value)
            if code.is_int8 and code.scale(value) != code.scale(output):
                table = code.scale(output).quantize(code.scale(value).dequantize(EVERY))
                name = code.array(f"{self.name}_table_{index + 1}", table)
                source, place = place, body.scratch(f"part_{index + 1}", "int8_t", value.size)
                body.call("look_up", name, value.size, source, place)
            target = f"{body.at(output)} + {offset}" if offset else body.at(output)
            if rows == 1:
                body.do(f"memcpy({target}, {place}, {own} * sizeof({body.value_type}));")
            else:
                body.call("copy_rows", rows, own, place, width, target)
            offset += own

    def at_step(self, inputs: tuple[Value, ...], timed: Sequence[bool]) -> tuple[Operation, bool]:
        """See `Operation.at_step`."""
        if any(timed) and not (all(timed) and self.axis == len(self.output.shape) - 1):
            raise whole_sequence(self)
        return super().at_step(inputs, timed)
