"""A channel mask over all that makes the channel, so that what leaves it is exactly zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._masks import MaskSet
from keras_prunelab._prunable import Prunable, maskable
from keras_prunelab._rebuild import is_graph

from ._analysis import Analysis, analysed, constants
from ._channels import Flags, Site, Values
from ._rules import Rule

Masks = dict[str, NDArray[np.bool_]]


def complete_channels(model: keras.Model, masks: Mapping[str, NDArray[np.bool_]]) -> MaskSet:
    """Extend masks of whole channels over the biases, and over the scale and offset of normalizations that follow.

    A channel whose kernel is masked as a whole still gives out its bias, and a normalization behind it makes its
    offset of that. With these masked too, what leaves the channel is exactly zero, and `compact` can cut it out even
    before a padded convolution. A batch normalization without a scale would still subtract its mean, so that this is
    masked instead. `prune(granularity="channel")` does all that by itself.

    Args:
        model: a built model, which is only read. Of a subclass only the biases are found, because nobody can see
            what follows what.
        masks: the masks, as `Trajectory.masks` gives them.

    Returns:
        These masks, and more.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
        >>> path = kpl.prunable(model)[0].path
        >>> gone = np.tile([True, False, True], (4, 1))
        >>> masks = kpl.complete_channels(model, {path: gone})
        >>> [mask.tolist() for mask in masks.values()][1:]
        [[True, False, True], [True, False, True], [True, False, True]]
    """
    whole = {path: np.array(mask) for path, mask in masks.items()}
    items = maskable(model)
    _mask_biases(items, whole)
    if is_graph(model):
        _mask_normalizations(analysed(model), items, whole)
    return MaskSet(whole)


def _mask_biases(items: Sequence[Prunable], masks: Masks) -> None:
    """Mask a bias where every kernel of its layer that makes the channel is masked as a whole."""
    owners: dict[int, list[Prunable]] = {}
    for item in items:
        owners.setdefault(id(item.owner), []).append(item)
    for together in owners.values():
        for bias in together:
            kernels = [item for item in together if item.role == "kernel" and _outputs(item) == bias.shape[-1:]]
            kernels = kernels or [item for item in together if item.role == "kernel" and _outputs(item) == bias.shape]
            if bias.role != "bias" or not kernels or any(item.path not in masks for item in kernels):
                continue
            kept = np.any([_kept(item, masks[item.path]) for item in kernels], axis=0)
            masks[bias.path] = masks.get(bias.path, np.ones(bias.shape, np.bool_)) & kept


def _outputs(item: Prunable) -> tuple[int, ...]:
    return tuple(item.shape[axis] for axis in item.output_axes)


def _kept(item: Prunable, mask: NDArray[np.bool_]) -> Flags:
    others = tuple(axis for axis in range(mask.ndim) if axis not in item.output_axes)
    return np.asarray(mask.any(axis=others))


def _mask_normalizations(analysis: Analysis, items: Sequence[Prunable], masks: Masks) -> None:
    """Mask scale and offset, or mean and offset, where what comes in is the constant that a masked channel has left."""
    by_variable = {id(item.variable): item for item in items}
    gone = np.zeros(len(analysis.makers), np.bool_)
    seen: set[int] = set()

    def change(rule: Rule, site: Site, values: Sequence[Values]) -> None:
        if not isinstance(site.layer, keras.layers.Layer):
            return
        layout = analysis.layout(rule, site)
        found = [by_variable.get(id(weight)) for weight in site.layer.weights]
        if id(site.layer) not in seen:  # its weights under the masks
            seen.add(id(site.layer))
            for index, item in enumerate(found):
                if item is not None and item.path in masks:
                    site.weights[index] = np.where(masks[item.path], site.weights[index], 0)  # type: ignore[index]
            gone[_emptied(found, layout, masks)] = True
        roles = {item.role for item in found if item is not None}
        # Where there is a scale, what is subtracted before it does not matter.
        covered = roles & ({"gamma", "beta"} if "gamma" in roles else {"beta", "mean"})
        if not values or not covered:
            return
        dead = ~np.isnan(values[0]) & _groups_gone(analysis, gone, site)
        for index, (item, axes) in enumerate(zip(found, layout, strict=True)):
            if item is not None and item.role in covered and item.shape == dead.shape and axes[0] is not None:
                silent = dead & (values[0] == 0) if item.role == "mean" else dead
                masks[item.path] = masks.get(item.path, np.ones(item.shape, np.bool_)) & ~silent
                site.weights[index] = np.where(masks[item.path], site.weights[index], 0)  # type: ignore[index]

    constants(analysis, change)


def _emptied(found: Sequence[Prunable | None], layout: Sequence[Any], masks: Masks) -> NDArray[np.int64]:
    """The elements that a layer makes with kernels which are all masked as a whole."""
    kept: dict[int, bool] = {}
    for item, axes in zip(found, layout, strict=True):
        if item is None or item.role not in ("kernel", "embedding"):
            continue
        mask = masks.get(item.path, np.ones(item.shape, np.bool_))
        for axis in item.output_axes:
            if axes[axis] is None:
                continue
            others = tuple(each for each in range(mask.ndim) if each != axis)
            for element, stays in zip(axes[axis].tolist(), np.asarray(mask.any(axis=others)), strict=True):
                kept[element] = kept.get(element, False) or bool(stays)
    return np.array([element for element, stays in kept.items() if not stays], np.int64)


def _groups_gone(analysis: Analysis, gone: Flags, site: Site) -> Flags:
    groups = np.zeros(analysis.stays.size, np.bool_)
    groups[analysis.labels[gone]] = True
    return groups[analysis.labels[site.inputs[0].ids]]
