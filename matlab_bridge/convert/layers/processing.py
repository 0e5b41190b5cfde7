"""What a shallow network does to its inputs, and undoes at its outputs: the process functions, by MATLAB's names.

The settings of a layer are those that MATLAB stored when the network met its data; `Reverse` turns the
function around.

Source: https://www.mathworks.com/help/deeplearning/ug/choose-neural-network-input-output-processing-functions.html
and the pages of the functions
"""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import keras
import numpy as np

from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import LayerRule, register_layer
from matlab_bridge.convert._site import Site, Tensor

from ._settings import flag, integer, is_given, numbers


def _vector(layer: Layer, name: str) -> Array:
    return np.array(numbers(layer, name))


def _indices(layer: Layer, *names: str) -> list[int]:
    """Rows that a setting counts from 1, counted from 0."""
    name = next((name for name in names if name in layer.settings), names[0])
    return [int(index) - 1 for index in numbers(layer, name, ())]


def _affine(tensor: Tensor, scale: Array, offset: Array, name: str) -> Tensor:
    scale, offset = np.broadcast_arrays(scale, offset)
    return keras.layers.Rescaling(scale.ravel().tolist(), offset.ravel().tolist(), name=name)(tensor)


class _Linear(LayerRule):
    """A function y = (x - before) * gain + after of each row by itself."""

    @abstractmethod
    def terms(self, layer: Layer) -> tuple[Array, Array, Array]:
        """`before`, `gain` and `after`, one number a row."""

    def build(self, site: Site) -> Tensor:
        """Rescalings; the shift comes first, for the difference of two large numbers is exact."""
        before, gain, after = self.terms(site.layer)
        if flag(site.layer, "Reverse"):
            return _affine(site.input, 1 / gain, before - after / gain, site.name)
        shifted = _affine(site.input, np.ones(1), -before, site.helper("shift"))
        return _affine(shifted, gain, after, site.name)


@register_layer("mapminmax")
@final
class MapMinMax(_Linear):
    """`mapminmax`: each row from [xmin, xmax] to [ymin, ymax]; a row without a range stays as it is."""

    def terms(self, layer: Layer) -> tuple[Array, Array, Array]:
        """The stored terms; the first versions stored the limits only, which they are computed from."""
        if is_given(layer, "gain"):
            return _vector(layer, "xoffset"), _vector(layer, "gain"), _vector(layer, "ymin")
        low, high = _vector(layer, "xmin"), _vector(layer, "xmax")
        target = _vector(layer, "ymin")
        stays = ~np.isfinite(high - low) | (high == low)
        gain = (_vector(layer, "ymax") - target) / np.where(stays, 1, high - low)
        return np.where(stays, 0, low), np.where(stays, 1, gain), np.where(stays, 0, target)


@register_layer("mapstd")
@final
class MapStd(_Linear):
    """`mapstd`: each row to the mean ymean and the standard deviation ystd; a constant row stays as it is."""

    def terms(self, layer: Layer) -> tuple[Array, Array, Array]:
        """The stored terms; the first versions stored the statistics only, which they are computed from."""
        if is_given(layer, "gain"):
            return _vector(layer, "xoffset"), _vector(layer, "gain"), _vector(layer, "ymean")
        mean, deviation, target = (_vector(layer, name) for name in ("xmean", "xstd", "ymean"))
        stays = ~np.isfinite(deviation) | (deviation == 0)
        gain = _vector(layer, "ystd") / np.where(stays, 1, deviation)
        return np.where(stays, 0, mean), np.where(stays, 1, gain), np.where(stays, 0, target)


@register_layer("removeconstantrows", "removerows")
@final
class RemoveRows(LayerRule):
    """`removeconstantrows`: the rows `keep` only; reversed, the others come back as the constants they were."""

    def build(self, site: Site) -> Tensor:
        keep = _indices(site.layer, "keep", "keep_ind")
        if not flag(site.layer, "Reverse"):
            return keras.ops.take(site.input, keep, axis=-1)
        removed = _indices(site.layer, "remove", "remove_ind")
        constants = np.zeros(len(keep) + len(removed))
        constants[removed] = numbers(site.layer, "constants" if "constants" in site.layer.settings else "value", (0.0,))
        zero = keras.ops.zeros_like(site.input[..., :1])
        order = [keep.index(row) if row in keep else len(keep) for row in range(constants.size)]
        rows = keras.ops.take(keras.ops.concatenate([site.input, zero], axis=-1), order, axis=-1)
        return _affine(rows, np.ones(1), constants, site.name)


@register_layer("fixunknowns")
@final
class FixUnknowns(LayerRule):
    """`fixunknowns`: a NaN becomes the row's mean, and a row with any gets a second one, 1 where it was known."""

    def build(self, site: Site) -> Tensor:
        """Reversed, the rows that tell the known from the unknown go."""
        layer, unknown = site.layer, set(_indices(site.layer, "unknown"))
        rows = range(integer(layer, "xrows"))
        if flag(layer, "Reverse"):
            firsts = [row + sum(other < row for other in unknown) for row in rows]
            return keras.ops.take(site.input, firsts, axis=-1)
        missing = keras.ops.isnan(site.input)
        means = _affine(keras.ops.zeros_like(site.input), np.zeros(1), _vector(layer, "xmeans"), site.helper("means"))
        filled = keras.ops.where(missing, means, site.input)
        known = 1 - keras.ops.cast(missing, filled.dtype)
        order = [place for row in rows for place in ([row, row + len(rows)] if row in unknown else [row])]
        return keras.ops.take(keras.ops.concatenate([filled, known], axis=-1), order, axis=-1)


@register_layer("processpca")
@final
class ProcessPca(LayerRule):
    """`processpca`: the principal components, `transform` times the input."""

    def build(self, site: Site) -> Tensor:
        """A product with a constant matrix; reversed, with its inverse."""
        transform = np.asarray(site.layer.settings["transform"], dtype=float)
        if not flag(site.layer, "Reverse"):
            return keras.ops.matmul(site.input, transform.T.astype(np.float32))
        inverse = site.layer.settings.get("inverseTransform", np.linalg.pinv(transform))
        return keras.ops.matmul(site.input, np.asarray(inverse, dtype=np.float32).T)
