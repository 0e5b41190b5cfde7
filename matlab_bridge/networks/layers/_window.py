"""The geometry that convolutions and poolings share: margins around an image, and how Keras adds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from matlab_bridge._errors import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge.networks._network import Layer
from matlab_bridge.networks._rules import Site, Tensor

from ._settings import is_given, numbers, text

Pair = tuple[int, int]

# https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.convolution2dlayer.html, "PaddingValue"
_MIRRORS = {"symmetric-include-edge": "symmetric", "symmetric-exclude-edge": "reflect"}


@dataclass(frozen=True, slots=True)
class Margins:
    """Rows and columns that are added around an image, or cut off it."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def pairs(self) -> tuple[Pair, Pair]:
        """As Keras writes them: `((top, bottom), (left, right))`."""
        return (self.top, self.bottom), (self.left, self.right)

    @property
    def are_empty(self) -> bool:
        """Whether there is nothing to add."""
        return not any((self.top, self.bottom, self.left, self.right))


@dataclass(frozen=True, slots=True)
class Window:
    """A window that moves over an image: its size, step, and the step between its own elements."""

    size: Pair
    stride: Pair
    dilation: Pair = (1, 1)

    @property
    def extent(self) -> Pair:
        """The rows and columns that the window covers."""
        return (
            (self.size[0] - 1) * self.dilation[0] + 1,
            (self.size[1] - 1) * self.dilation[1] + 1,
        )


def same_padding(image: Pair, window: Window) -> Margins:
    """The padding for outputs of ceil(image / stride); an odd row or column goes to the bottom or right.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.convolution2dlayer.html,
        "PaddingMode"
    """

    def split(length: int, extent: int, stride: int) -> Pair:
        total = max((-(-length // stride) - 1) * stride + extent - length, 0)
        return total // 2, total - total // 2

    rows, columns = map(split, image, window.extent, window.stride)
    return Margins(*rows, *columns)


def same_cropping(window: Window) -> Margins:
    """The cropping that makes the output image * stride; an odd row or column goes at the bottom or right.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.transposedconvolution2dlayer.html
    """

    def split(extent: int, stride: int) -> Pair:
        total = extent - stride
        return total // 2, total - total // 2

    rows, columns = map(split, window.size, window.stride)
    return Margins(*rows, *columns)


def padding_of(layer: Layer, image: Pair, window: Window) -> Margins:
    """The padding of a layer around an image of H x W pixels."""
    if text(layer, "PaddingMode", "manual") == "same":
        return same_padding(image, window)
    return manual_margins(layer, "PaddingSize", "Padding")


def manual_margins(layer: Layer, *names: str) -> Margins:
    """The first setting given, `[top bottom left right]`; old files have `[vertical horizontal]`."""
    sizes = tuple(map(int, numbers(layer, next((n for n in names if is_given(layer, n)), names[0]), (0,))))
    match sizes:
        case (around,):
            return Margins(around, around, around, around)
        case (vertical, horizontal):
            return Margins(vertical, vertical, horizontal, horizontal)
        case (top, bottom, left, right):
            return Margins(top, bottom, left, right)
    raise InvalidNetworkError(
        f"Layer {layer.name!r} ({layer.kind}) has {len(sizes)} numbers for {names[0]}; "
        f"[top bottom left right], [vertical horizontal] or one number was expected."
    )


def image_size(tensor: Tensor) -> Pair:
    """H and W of images (N, H, W, C)."""
    return int(tensor.shape[1]), int(tensor.shape[2])


def padded(site: Site, images: Tensor, margins: Margins, value: Any = 0.0) -> Tensor:
    """Images with margins of a constant, or mirrored at the edge.

    Raises:
        UnsupportedLayerError: for `"replicate"`, which Keras has not on every backend.
    """
    if margins.are_empty:
        return images
    if value == 0:
        return keras.layers.ZeroPadding2D(margins.pairs, name=site.helper("padding"))(images)
    widths = ((0, 0), *margins.pairs, (0, 0))
    if not isinstance(value, str):
        return keras.ops.pad(images, widths, constant_values=float(value))
    if value not in _MIRRORS:
        raise UnsupportedLayerError(
            f"its PaddingValue {value!r} has no counterpart in Keras; "
            f"a number and {', '.join(map(repr, _MIRRORS))} have"
        )
    return keras.ops.pad(images, widths, mode=_MIRRORS[value])
