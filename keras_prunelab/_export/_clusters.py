"""Weight clustering: the int8 codes of each kernel gathered into few values, which compilers store in few bits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._model._copy import copy_model
from keras_prunelab._model._numbers import whole_number
from keras_prunelab._model._roles import find
from keras_prunelab._model._variables import Prunable
from keras_prunelab.layers._quantized import Quantized

L = keras.layers
Array = NDArray[Any]

_LARGEST = 127
_ROUNDS = 100
_LAYERS = (
    L.Dense,
    *(L.Conv1D, L.Conv2D, L.DepthwiseConv1D, L.DepthwiseConv2D, L.SeparableConv1D, L.SeparableConv2D),
    *(L.Conv1DTranspose, L.Conv2DTranspose),
)


def check_clusters(clusters: Any, quantize: Any) -> None:
    """Refuse numbers of clusters that cannot be, before any work.

    Raises:
        UnknownNameError: it is not an even number from 2 to 254, or the weights are not int8.
    """
    if clusters is None:
        return
    count = whole_number(clusters)
    if count is None or count % 2 or not 2 <= count <= 2 * _LARGEST:
        raise UnknownNameError(
            f"clusters={clusters!r}; it is an even number from 2 to {2 * _LARGEST}, half of either sign, such as 16."
        )
    if quantize != "int8":
        raise UnknownNameError(f"clusters={clusters!r} goes with quantize='int8' alone.")


def clustered(model: keras.Model, clusters: int, dense_scales: str) -> keras.Model:
    """Make a copy of a model each of whose kernels has few different int8 codes; zeros stay zeros.

    A code is a weight as a share of the largest that has the same scale, in 127 steps. Codes of a kernel are gathered
    into clusters by Lloyd's algorithm, the same for all its channels; that of the largest weight, 127, is one of them,
    so that the scales stay. Kernels of dense and convolutional layers are changed, those of recurrent ones are not.
    After Han et al., Deep compression, ICLR 2016, https://arxiv.org/abs/1510.00149.

    Args:
        model: a model without `Pruned` wrappers, which is only read.
        clusters: how many codes there may be beside 0, half of either sign.
        dense_scales: `"channel"` where each output of a dense layer has a scale, `"tensor"` where all have one.
    """
    copy = copy_model(model)
    for item in find(copy)[0] + find(copy)[1]:
        if item.role == "kernel" and isinstance(item.owner, _LAYERS):
            kernel = np.asarray(keras.ops.convert_to_numpy(item.variable))
            item.variable.assign(_gathered(kernel, _reduced(item, dense_scales), clusters // 2))
    return copy


def _reduced(item: Prunable, dense_scales: str) -> tuple[int, ...] | None:
    """The axes along which weights have the same scale; None for all."""
    is_whole = dense_scales == "tensor" and isinstance(item.owner, L.Dense)
    if any(isinstance(layer, Quantized) for layer in item.containers):
        is_whole = not isinstance(item.owner, L.Conv2D)  # as it was trained
    return None if is_whole else tuple(axis for axis, role in enumerate(item.axes) if role != "output")


def _gathered(kernel: Array, axes: tuple[int, ...] | None, count: int) -> Array:
    """A kernel whose magnitudes are those of some shares of the largest ones."""
    largest = np.abs(kernel).max(axis=axes, keepdims=True).astype(np.float64)
    shares = np.abs(kernel) / np.where(largest == 0, 1.0, largest)
    kept = shares[kernel != 0]
    if not kept.size:
        return kernel
    codes = np.unique(np.maximum(np.round(_LARGEST * _centres(np.sort(kept), count)), 1.0)) / _LARGEST
    nearest = codes[np.searchsorted(_between(codes), shares)]
    found: Array = np.where(kernel == 0, 0.0, np.sign(kernel) * nearest * largest).astype(kernel.dtype)
    return found


def _centres(ordered: Array, count: int) -> Array:
    """Lloyd's algorithm in one dimension: centres in ascending order, of which the last stays 1."""
    centres = np.quantile(ordered, (np.arange(count) + 0.5) / count)
    centres[-1] = 1.0
    for _ in range(_ROUNDS):
        ends = np.searchsorted(ordered, _between(centres))
        parts = np.split(ordered, ends)
        means = [part.mean() if part.size else centre for part, centre in zip(parts[:-1], centres[:-1], strict=True)]
        before, centres = centres, np.array([*means, 1.0])
        if np.abs(centres - before).max() < 0.1 / _LARGEST:
            break
    return centres


def _between(centres: Array) -> Array:
    middles: Array = (centres[1:] + centres[:-1]) / 2
    return middles
