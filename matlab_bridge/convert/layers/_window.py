"""The geometry that convolutions and poolings share: margins around an image, and how Keras adds them.

An image has 1, 2 or 3 dimensions; sequences (N, T, C) are images of one dimension, whose length T is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from matlab_bridge._errors import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._site import Site, Tensor

from ._settings import is_given, numbers, text

Size = tuple[int | None, ...]

# https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.convolution2dlayer.html, "PaddingValue"
_MIRRORS = {"symmetric-include-edge": "symmetric", "symmetric-exclude-edge": "reflect"}

_PADDINGS = {1: keras.layers.ZeroPadding1D, 2: keras.layers.ZeroPadding2D, 3: keras.layers.ZeroPadding3D}
_CROPPINGS = {1: keras.layers.Cropping1D, 2: keras.layers.Cropping2D, 3: keras.layers.Cropping3D}


@dataclass(frozen=True, slots=True)
class Margins:
    """What is added around an image, or cut off it.

    Attributes:
        pairs: how many elements before and after, for each dimension, as Keras writes them:
            `((top, bottom), (left, right))`.
    """

    pairs: tuple[tuple[int, int], ...]

    @classmethod
    def none(cls, rank: int) -> Margins:
        """No margins of an image of `rank` dimensions."""
        return cls(((0, 0),) * rank)

    @property
    def are_empty(self) -> bool:
        """Whether there is nothing to add."""
        return not any(map(any, self.pairs))

    @property
    def least(self) -> int:
        """The smallest of them; below zero there is something to cut instead of to add, or the other way round."""
        return min(map(min, self.pairs))

    @property
    def for_keras(self) -> Any:
        """As Keras' padding and cropping layers take them."""
        return self.pairs if len(self.pairs) > 1 else self.pairs[0]

    @property
    def for_matlab(self) -> Array:
        """As `PaddingSize` has them: `[left right]`, `[top bottom left right]`, or `[t l f; b r k]`."""
        pairs = np.array(self.pairs, dtype=float)
        return pairs.T if len(self.pairs) == 3 else pairs.reshape(1, -1)

    def plus(self, other: Margins) -> Margins:
        """Both together."""
        return Margins(tuple((a + c, b + d) for (a, b), (c, d) in zip(self.pairs, other.pairs, strict=True)))


@dataclass(frozen=True, slots=True)
class Window:
    """A window that moves over an image: its size, step, and the step between its own elements."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...] = (1, 1, 1)

    @property
    def extent(self) -> tuple[int, ...]:
        """How much of the image the window covers."""
        return tuple((size - 1) * step + 1 for size, step in zip(self.size, self.dilation, strict=False))


def same_padding(image: Size, window: Window) -> Margins | None:
    """The padding for outputs of ceil(image / stride); an odd element goes to the end.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.convolution2dlayer.html,
        "PaddingMode"

    Returns:
        None if it depends on a length that is open.
    """
    if any(length is None and step > 1 for length, step in zip(image, window.stride, strict=True)):
        return None

    def split(length: int | None, extent: int, stride: int) -> tuple[int, int]:
        total = extent - 1 if length is None else max((-(-length // stride) - 1) * stride + extent - length, 0)
        return total // 2, total - total // 2

    return Margins(tuple(map(split, image, window.extent, window.stride)))


def same_cropping(window: Window) -> Margins:
    """The cropping that makes the output image * stride; an odd element goes at the end.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.transposedconvolution2dlayer.html
    """

    def split(extent: int, stride: int) -> tuple[int, int]:
        total = extent - stride
        return total // 2, total - total // 2

    return Margins(tuple(map(split, window.size, window.stride)))


def padding_of(layer: Layer, image: Size, window: Window) -> Margins | None:
    """The padding of a layer around an image; None where `"same"` depends on a length that is open."""
    match text(layer, "PaddingMode", "manual"):
        case "same":
            return same_padding(image, window)
        case "causal":
            return Margins(tuple((extent - 1, 0) for extent in window.extent))
    return manual_margins(layer, len(image), "PaddingSize", "Padding")


def manual_margins(layer: Layer, rank: int, *names: str) -> Margins:
    """The first setting given: `[left right]`, `[top bottom left right]`, `[t l f; b r k]`, or one number a dimension.

    Raises:
        InvalidNetworkError: if it has another number of elements.
    """
    name = next((name for name in names if is_given(layer, name)), names[0])
    sizes = tuple(map(int, numbers(layer, name, (0,))))
    if len(sizes) == 2 * rank:
        befores, afters = (sizes[:3], sizes[3:]) if rank == 3 else (sizes[::2], sizes[1::2])
        return Margins(tuple(zip(befores, afters, strict=True)))
    if len(sizes) in (1, rank):
        return Margins(tuple((size, size) for size in sizes * (rank if len(sizes) == 1 else 1)))
    all_sides = {1: "[left right]", 2: "[top bottom left right]", 3: "[top left front; bottom right back]"}[rank]
    each = "" if rank == 1 else ", one number for each dimension"
    raise InvalidNetworkError(
        f"Layer {layer.name!r} ({layer.kind}) has {len(sizes)} numbers for {name}; "
        f"{all_sides}{each} or one number was expected."
    )


def sizes_of(images: Tensor) -> Size:
    """The sizes of images along their dimensions; that of sequences is their open length."""
    return tuple(images.shape[1:-1])


def pad(site: Site, images: Tensor, margins: Margins, value: Any = 0.0) -> Tensor:
    """Images with margins of a constant, or mirrored at the edge.

    Raises:
        UnsupportedLayerError: for `"replicate"`, which Keras has not on every backend.
    """
    if margins.are_empty:
        return images
    if value == 0:
        layer = _PADDINGS[len(margins.pairs)]
        return layer(margins.for_keras, name=site.helper("padding"))(images)
    widths = ((0, 0), *margins.pairs, (0, 0))
    if not isinstance(value, str):
        return keras.ops.pad(images, widths, constant_values=float(value))
    if value not in _MIRRORS:
        raise UnsupportedLayerError(
            f"its PaddingValue {value!r} has no counterpart in Keras; "
            f"a number and {', '.join(map(repr, _MIRRORS))} have"
        )
    return keras.ops.pad(images, widths, mode=_MIRRORS[value])


def crop_output(site: Site, images: Tensor, margins: Margins) -> Tensor:
    """Images without their margins."""
    if margins.are_empty:
        return images
    layer = _CROPPINGS[len(margins.pairs)]
    return layer(margins.for_keras, name=site.helper("cropping"))(images)


def open_length(reason: str) -> UnsupportedLayerError:
    """The error for a padding that depends on how long a sequence is."""
    return UnsupportedLayerError(
        f"its padding 'same' depends on the length of the sequences, which is open, and Keras' own cannot stand for "
        f"it because {reason}; set the padding by hand"
    )


def shared_settings(rank: int, sizes: dict[str, Sequence[int]], padding: str) -> dict[str, Any]:
    """The settings that MATLAB's convolutions and poolings share, of a Keras layer."""
    return {
        **{name: np.array([size], dtype=float) for name, size in sizes.items()},
        "PaddingMode": "manual" if padding == "valid" else padding,
        "PaddingSize": Margins.none(rank).for_matlab,
    }
