"""Resizing images: the nearest pixel, or the weighted mean of two in each dimension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import LayerRule, Shapes, register_layer
from matlab_bridge.convert._site import Site, Tensor

from ._elementwise import add_inputs
from ._settings import flag, is_given, numbers, text
from ._window import sizes_of

_METHODS = ("nearest", "bilinear", "trilinear")
_MODES = ("half-pixel", "asymmetric")
_ROUNDINGS: dict[str, float] = {"round": 0.5, "floor": 0.0}  # what is added before it is rounded down


class _Resize(LayerRule):
    """The image at other pixels: each pixel of the output looks up where it lies in the input.

    | `GeometricTransformMode` | place of the pixel i, from 0    |
    |--------------------------|---------------------------------|
    | `half-pixel`             | (i + 1/2) / scale - 1/2         |
    | `asymmetric`             | i / scale                       |

    Source: https://www.mathworks.com/help/deeplearning/ref/dlarray.dlresize.html
    """

    per_frame = True
    rank: ClassVar[int]

    def objection(self, layer: Layer) -> str | None:
        """A method, a mode or a rounding that is not documented in full."""
        if (method := text(layer, "Method", "nearest")) not in _METHODS:
            return f"its Method is {method!r}, which is none of {', '.join(map(repr, _METHODS))}"
        if (mode := text(layer, "GeometricTransformMode", "half-pixel")) not in _MODES:
            return f"its GeometricTransformMode is {mode!r}, which is none of {', '.join(map(repr, _MODES))}"
        rounding = text(layer, "NearestRoundingMode", "round")
        if method == "nearest" and rounding not in _ROUNDINGS:
            return f"its NearestRoundingMode {rounding!r} is not documented in full; 'round' and 'floor' are"
        return None

    def build(self, site: Site) -> Tensor:
        """Rows, then columns, then planes are taken by their numbers, and weighted."""
        layer, images = site.layer, site.as_image(site.input, self.rank)
        reference = site.at("ref") if flag(layer, "EnableReferenceInput") else None
        before = tuple(int(size or 0) for size in sizes_of(images))
        after = tuple(sizes_of(reference)) if reference is not None else _output_size(layer, before)
        mode = text(layer, "GeometricTransformMode", "half-pixel")
        for axis, (length, wanted) in enumerate(zip(before, after, strict=True), start=1):
            places = _places(length, int(wanted or 0), mode)
            if text(layer, "Method", "nearest") == "nearest":
                near = np.floor(places + _ROUNDINGS[text(layer, "NearestRoundingMode", "round")])
                images = _taken(images, near, axis, length)
            else:
                images = _interpolate(images, places, axis, length)
        return keras.layers.Identity(name=site.name)(images)


def _output_size(layer: Layer, before: tuple[int, ...]) -> tuple[int, ...]:
    """The size that the layer asks for; sizes that would have to be rounded are not documented."""
    rank = len(before)
    if is_given(layer, "OutputSize"):
        wanted = np.array(numbers(layer, "OutputSize"))
        given = ~np.isnan(wanted)
        ratios = wanted[given] / np.array(before)[given]
        sizes = np.where(given, wanted, np.array(before) * ratios[0])
    else:
        scale = np.array(numbers(layer, "Scale"))
        sizes = np.array(before) * (scale if scale.size == rank else np.repeat(scale, rank))
    if not np.allclose(sizes, np.round(sizes), rtol=0, atol=1e-9):
        wanted_sizes = " x ".join(f"{size:g}" for size in sizes)
        raise UnsupportedLayerError(
            f"it makes {wanted_sizes} pixels of {before}, and how they are rounded is not documented"
        )
    return tuple(int(size) for size in np.round(sizes))


def _places(length: int, wanted: int, mode: str) -> Array:
    scale = wanted / length
    pixels = np.arange(wanted)
    places: Array = (pixels + 0.5) / scale - 0.5 if mode == "half-pixel" else pixels / scale
    return np.round(places, 9)  # 2.9999999999 is 3


def _taken(images: Tensor, places: Array, axis: int, length: int) -> Tensor:
    inside = np.clip(places, 0, length - 1).astype("int32")
    return images if np.array_equal(inside, np.arange(length)) else keras.ops.take(images, inside, axis=axis)


def _interpolate(images: Tensor, places: Array, axis: int, length: int) -> Tensor:
    before = np.floor(np.clip(places, 0, length - 1))
    weights = np.clip(places, 0, length - 1) - before
    first = _taken(images, before, axis, length)
    if not weights.any():
        return first
    second = _taken(images, before + 1, axis, length)
    shape = [-1 if at == axis else 1 for at in range(len(images.shape))]
    return add_inputs(first, (second - first) * weights.reshape(shape).astype(keras.config.floatx()))


@register_layer("nnet.cnn.layer.Resize2DLayer")
@final
class Resize2D(_Resize):
    """`resize2dLayer`."""

    rank = 2
    keras_classes = ("UpSampling2D",)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """Keras' scaling by whole numbers looks up the same pixels."""
        if layer.interpolation not in ("nearest", "bilinear"):
            raise UnsupportedLayerError(f"it interpolates by {layer.interpolation!r}")
        return {
            "Scale": np.array([layer.size], dtype=float),
            "OutputSize": np.zeros((0, 0)),
            "EnableReferenceInput": np.zeros((1, 1), dtype=bool),
            "Method": layer.interpolation,
            "GeometricTransformMode": "half-pixel",
            "NearestRoundingMode": "round",
        }


@register_layer("nnet.cnn.layer.Resize3DLayer")
@final
class Resize3D(_Resize):
    """`resize3dLayer`."""

    rank = 3
