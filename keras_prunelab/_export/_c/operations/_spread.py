"""Transposed convolutions: each place of the input spreads over a window of the output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._operation import Array

from ._linear import Linear
from ._window import Window


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
        code = body.code
        patch = body.scratch("patch", body.value_type, self.weights.shape[1])
        sums = [body.scratch("sums", "int32_t", len(self.bias))] if code.is_int8 else []
        scale = code.scale(self.inputs[0]) if code.is_int8 else None
        place = self.window.constant(code, f"{self.name}_window", scale)
        arguments = [body.at(self.inputs[0]), patch, *sums, body.at(self.output)]
        body.call("spread", f"&{self._layer(code)}", f"&{place}", *arguments)
