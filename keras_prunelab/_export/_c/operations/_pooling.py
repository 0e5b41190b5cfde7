"""Pooling: the largest value or the mean in windows, and the same over all positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._operation import Array, Operation
from keras_prunelab._export._c._scale import fixed_point

from ._window import Window, patches


@dataclass(frozen=True, eq=False, kw_only=True)
class Pooling(Operation):
    """The largest value or the mean in each window.

    Attributes:
        window: where it stands.
        is_mean: whether the mean is taken.
    """

    window: Window
    is_mean: bool

    keeps_scale: ClassVar[bool] = True
    needs_whole: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        seen = patches(self.window, inputs[0], np.nan)
        found = np.nanmean(seen, axis=3) if self.is_mean else np.nanmax(seen, axis=3)
        return self.shaped(np.asarray(found))

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        place = self.window.constant(body.code, f"{self.name}_window", self.inputs[0])
        kernel = "average_pool" if self.is_mean else "max_pool"
        body.call(kernel, f"&{place}", body.at(self.inputs[0]), body.at(self.output))


@dataclass(frozen=True, eq=False, kw_only=True)
class Mean(Operation):
    """The mean over all positions."""

    needs_whole: ClassVar[bool] = True

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        x = inputs[0]
        return self.shaped(np.asarray(x.reshape(len(x), -1, x.shape[-1]).mean(axis=1)))

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        code, (source,), factors = body.code, self.inputs, []
        if code.is_int8:
            one, other = code.scale(source), code.scale(self.output)
            multiplier, shift = fixed_point(one.factor / other.factor / source.positions)
            factors = [one.zero_point, multiplier, shift, other.zero_point]
        body.call("mean", source.positions, source.channels, *factors, body.at(source), body.at(self.output))
