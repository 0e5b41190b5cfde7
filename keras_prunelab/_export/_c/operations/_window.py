"""Windows on images: what they see, where they stand, and what they see outside."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace

import numpy as np

from keras_prunelab._export._c._code import Code
from keras_prunelab._export._c._operation import Array
from keras_prunelab._export._c._value import Value

_MEMBERS = (
    *("rows", "columns", "channels", "window_rows", "window_columns", "row_stride", "column_stride"),
    *("row_dilation", "column_dilation", "rows_before", "columns_before", "output_rows", "output_columns"),
)


@dataclass(frozen=True)
class Window:
    """A window on an image of rows, columns and channels; a sequence is an image of one row.

    Attributes:
        image: rows and columns of the image; None where the model leaves a length free.
        channels: of the image.
        size: rows and columns of the window.
        strides: from one window to the next.
        dilation: from one place in the window to the next.
        before: rows and columns of padding above and to the left.
        output: how often it stands below each other and side by side.
    """

    image: tuple[int | None, int | None]
    channels: int
    size: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    output: tuple[int | None, int | None]

    @property
    def sight(self) -> int:
        """How many steps of a sequence it sees from the first to the last."""
        return (self.size[1] - 1) * self.dilation[1] + 1

    @property
    def is_point(self) -> bool:
        """Whether it sees one place, and stands at every one."""
        return self.size == (1, 1) == self.strides and self.before == (0, 0) and self.image == self.output

    def of_one_step(self) -> Window:
        """The window on the steps that it sees at once, the last of which is the present."""
        return replace(self, image=(1, self.sight), before=(0, 0), strides=(1, 1), output=(1, 1))

    def constant(self, code: Code, name: str, source: Value) -> str:
        """Write it; returns its name in C.

        Args:
            code: takes the constant.
            name: what to call it.
            source: the image, whose zero point an 8-bit network sees outside of it.
        """
        code.kernel("window")
        pairs = (self.size, self.strides, self.dilation, self.before, self.output)
        numbers = [*self.image, self.channels, *(each for pair in pairs for each in pair)]
        parts = [f".{member}~=~{number}" for member, number in zip(_MEMBERS, numbers, strict=True)]
        if code.is_int8:
            parts.append(f".zero_point~=~{code.scale(source).zero_point}")
        lines = textwrap.fill(", ".join(parts), 116, initial_indent="    ", subsequent_indent="    ")
        whole = lines.replace("~", " ")  # lines end between members, not within them
        return code.constant(name, "window", f"{{\n{whole}}}")


def padding_of(padding: str, length: int | None, size: int, stride: int, dilation: int) -> tuple[int, int | None]:
    """How many places of padding are before an axis, and how often a window stands on it."""
    sight = (size - 1) * dilation + 1
    if padding == "causal":
        return sight - 1, None if length is None else -(-length // stride)
    if length is None:
        return 0, None
    if padding == "valid":
        return 0, (length - sight) // stride + 1
    output = -(-length // stride)
    return max((output - 1) * stride + sight - length, 0) // 2, output


def patches(window: Window, x: Array, outside: float = 0.0) -> Array:
    """What a window sees: batch x rows x columns x places x channels."""
    rows, columns = window.image[0] or 1, window.image[1] or 0
    image = x.reshape(len(x), rows, columns or x.size // len(x) // window.channels, window.channels)
    outputs = [each if each is not None else -(-image.shape[2] // window.strides[1]) for each in window.output]
    where = [
        np.arange(count)[:, None] * stride - before + np.arange(size) * dilation
        for count, stride, before, size, dilation in zip(
            outputs, window.strides, window.before, window.size, window.dilation, strict=True
        )
    ]
    margins = [
        (max(0, -int(places.min())), max(0, int(places.max()) - length + 1))
        for places, length in zip(where, image.shape[1:3], strict=True)
    ]
    padded = np.pad(image, [(0, 0), *margins, (0, 0)], constant_values=outside)
    down, across = where[0] + margins[0][0], where[1] + margins[1][0]
    seen = padded[:, down[:, None, :, None], across[None, :, None, :], :]
    return seen.reshape(len(x), len(down), len(across), -1, window.channels)
