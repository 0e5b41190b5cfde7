"""What a model would cost without some channels, before it is built."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from keras_prunelab._channels._analysis import Analysis
from keras_prunelab._channels._channels import Flags, Ids, Site
from keras_prunelab._channels.rules import ChannelRule

from ._macs import uses
from ._products import UnknownCountError, products

Cost: TypeAlias = Literal["parameters", "macs", "bytes"]


def cost(analysis: Analysis, removed: Flags, kind: Cost) -> int:
    """Count parameters, bytes of weights or multiply-adds, as `metrics` will of the model that is left.

    Args:
        analysis: of the model.
        removed: for each group whether it goes.
        kind: what to count.

    Returns:
        The count, for one observation. Layers whose multiply-adds are not known count as none.
    """
    kept = ~removed[analysis.labels]

    def count(ids: Ids) -> int:
        return int(kept[ids].sum())

    total, firsts = 0, analysis.layers()
    done: set[int] = set()
    for rule, site in zip(analysis.rules, analysis.sites, strict=True):
        layer = site.layer
        if kind != "macs" and id(layer) in done:
            continue
        done.add(id(layer))
        sizes = _sizes(rule, analysis, firsts[id(layer)][1], count)
        if kind == "parameters":
            total += sum(sizes)
        elif kind == "bytes":
            widths = (weight.dtype.itemsize for weight in site.weights)
            total += sum(size * width for size, width in zip(sizes, widths, strict=True))
        else:
            try:
                used, between = uses(site.call), products(site.call, _heads(site, count))
            except UnknownCountError:
                continue
            total += sum(use * size for use, size in zip(used, sizes, strict=True)) + between
    return total


def _heads(site: Site, count: Callable[[Ids], int]) -> tuple[int, int, int] | None:
    """How many heads, keys and values an attention will have; None elsewhere."""
    if "heads" not in site.ports:
        return None
    heads, keys, values = (count(site.ports[name]) for name in ("heads", "keys", "values"))
    return heads, keys, values


def _sizes(rule: ChannelRule, analysis: Analysis, site: Site, count: Callable[[Ids], int]) -> list[int]:
    sizes = []
    for weight, axes in zip(site.weights, analysis.layout(rule, site), strict=True):
        lengths = [length if ids is None else count(ids) for length, ids in zip(weight.shape, axes, strict=True)]
        sizes.append(math.prod(lengths))
    groups = rule.config(site, count).get("groups") if getattr(site.layer, "groups", 1) != 1 else None
    if groups and len(site.weights[0].shape) > 1:  # the inputs of one group, which no layout speaks of
        per_group = site.ports["in"].size // site.layer.groups
        sizes[0] = sizes[0] // per_group * (count(site.ports["in"]) // groups)
    return sizes


def remove_none(analysis: Analysis) -> Flags:
    """For each group of channels that it stays."""
    return np.zeros(analysis.stays.size, np.bool_)
