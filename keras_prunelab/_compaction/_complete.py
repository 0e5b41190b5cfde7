"""A channel mask over all that makes the channel, so that what leaves it is exactly zero."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._analysis import Analysis, analyze, constants
from keras_prunelab._channels._channels import Flags, Site, Values
from keras_prunelab._channels.rules import ChannelRule
from keras_prunelab._model._prunable import maskable
from keras_prunelab._model._rebuild import is_graph
from keras_prunelab._model._variables import Prunable
from keras_prunelab._select._masks import Mask, Masks, MaskSet
from keras_prunelab.layers._strip import without_wrappers

_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


def complete_channels(model: keras.Model, masks: Masks) -> MaskSet:
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
        >>> removed = np.tile([True, False, True], (4, 1))
        >>> masks = kpl.complete_channels(model, {path: removed})
        >>> [mask.tolist() for mask in masks.values()][1:]
        [[True, False, True], [True, False, True], [True, False, True]]
    """
    plain = without_wrappers(model)
    items = maskable(plain)
    # By position: in a copy without wrappers, variables have other paths.
    paths = {own.path: its.path for own, its in zip(maskable(model), items, strict=True)}
    whole = {paths.get(path, path): np.array(mask) for path, mask in masks.items()}
    _mask_biases(items, whole)
    if is_graph(plain):
        _mask_what_follows(analyze(plain), items, whole)
    names = {theirs: own for own, theirs in paths.items()}
    return MaskSet({names.get(path, path): mask for path, mask in whole.items()})


def _mask_biases(items: Sequence[Prunable], masks: dict[str, Mask]) -> None:
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


def _mask_what_follows(analysis: Analysis, items: Sequence[Prunable], masks: dict[str, Mask]) -> None:
    """Mask what makes something of the constant that a masked channel has left.

    That is the scale and offset of a normalization, or its mean and offset; and the bias of a depthwise convolution.
    """
    by_variable = {id(item.variable): item for item in items}
    removed = np.zeros(len(analysis.makers), np.bool_)
    calls = Counter(id(site.layer) for site in analysis.sites)
    everywhere: dict[int, Flags] = {}  # by layer: where its input was such a constant in all of its calls so far
    seen: set[int] = set()

    def change(rule: ChannelRule, site: Site, values: Sequence[Values]) -> None:
        if not isinstance(site.layer, keras.layers.Layer):
            return
        key, layout = id(site.layer), analysis.layout(rule, site)
        found = [by_variable.get(id(weight)) for weight in site.layer.weights]
        if key not in seen:  # its weights under the masks
            seen.add(key)
            for index, item in enumerate(found):
                if item is not None and item.path in masks:
                    site.weights[index] = np.where(masks[item.path], site.weights[index], 0)  # type: ignore[index]
            removed[_find_emptied(found, layout, masks)] = True
        calls[key] -= 1
        if not any(item is not None and _follows(item) for item in found):
            return
        dead = ~np.isnan(values[0]) & _find_removed(analysis, removed, site) & everywhere.get(key, np.True_)
        everywhere[key] = dead
        if calls[key]:  # what another call makes of the same weights is not known yet
            return
        for index, (item, axes) in enumerate(zip(found, layout, strict=True)):
            silent = None if item is None else _silent(item, found, dead, values[0])
            if item is not None and silent is not None and silent.shape == item.shape and axes[0] is not None:
                masks[item.path] = masks.get(item.path, np.ones(item.shape, np.bool_)) & ~silent
                site.weights[index] = np.where(masks[item.path], site.weights[index], 0)  # type: ignore[index]

    constants(analysis, change)


def _follows(item: Prunable) -> bool:
    """Whether a variable may make something of a channel that is dead."""
    return item.role in ("gamma", "beta", "mean") or (item.role == "bias" and isinstance(item.owner, _DEPTHWISE))


def _silent(item: Prunable, found: Sequence[Prunable | None], dead: Flags, values: Values) -> Flags | None:
    """Where a variable is to be zero behind channels that are dead; None where it has nothing to do with that."""
    if item.role in ("gamma", "beta"):
        return dead
    # Where there is a scale, what is subtracted before it does not matter.
    if item.role == "mean" and not any(other is not None and other.role == "gamma" for other in found):
        return np.asarray(dead & (values == 0))
    if item.role == "bias" and isinstance(item.owner, _DEPTHWISE):
        return np.repeat(dead & (values == 0), item.owner.depth_multiplier)
    return None


def _find_emptied(found: Sequence[Prunable | None], layout: Sequence[Any], masks: dict[str, Mask]) -> NDArray[np.int64]:
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


def _find_removed(analysis: Analysis, removed: Flags, site: Site) -> Flags:
    groups = np.zeros(analysis.stays.size, np.bool_)
    groups[analysis.labels[removed]] = True
    return groups[analysis.labels[site.inputs[0].ids]]
