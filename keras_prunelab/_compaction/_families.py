"""Filters that compete with each other: the channels of one layer, and of the layers coupled to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from keras_prunelab._channels._analysis import Analysis
from keras_prunelab._channels._channels import Ids, Site

_NEVER_BY_ITSELF = ("keys", "values")
"""Axes inside a layer that go with nothing else; a head is what goes of attention."""


@dataclass(frozen=True)
class Family:
    """Groups of channels of which a share can go.

    Attributes:
        keys: names of the axes that count all of them, such as `"conv/out"`, the same after other families have become
            part of this one; or one name for several axes that count a part each.
        groups: the groups' numbers, in the order of the channels.
        owners: the layers that make them.
        are_heads: whether they are heads of attention, and not the width of a tensor.
        classes: a number for each group; of those with the same number as many have to go as of those with another.
    """

    keys: tuple[str, ...]
    groups: Ids
    owners: tuple[Any, ...]
    are_heads: bool
    classes: Ids

    def of(self, chosen: NDArray[np.bool_]) -> Family:
        """Some of the groups."""
        return replace(self, groups=self.groups[chosen], classes=self.classes[chosen])


def families(analysis: Analysis) -> list[Family]:
    """The families of a model whose channels can go."""
    made = [(site, name, analysis.labels[ids]) for site, name, ids in _made(analysis)]
    # Axes with a group in common are one family: axes and groups are the nodes of a graph.
    axes = np.repeat(np.arange(len(made)), [labels.size for *_, labels in made])
    groups = np.concatenate([labels for *_, labels in made]) if made else np.zeros(0, np.int64)
    size = len(made) + analysis.stays.size
    joined = coo_array((np.ones(axes.size, np.bool_), (axes, len(made) + groups)), shape=(size, size))
    _, numbers = connected_components(joined, directed=False)
    classes = _classes(analysis)
    together: dict[int, list[tuple[Site, str, Ids]]] = {}
    for number, each in zip(numbers.tolist(), made, strict=False):  # behind the axes come the groups
        together.setdefault(number, []).append(each)
    found = []
    for members in together.values():
        own = np.array(list(dict.fromkeys(np.concatenate([labels for *_, labels in members]).tolist())), np.int64)
        own = own[~analysis.stays[own]]
        if own.size:
            keys = {f"{site.call.name}/{name}": np.isin(own, labels).all() for site, name, labels in members}
            whole = tuple(key for key, has_all in keys.items() if has_all) or (", ".join(keys),)
            owners = tuple(site.layer for site, *_ in members)
            are_heads = any(name == "heads" for _, name, _ in members)
            found.append(Family(whole, own, owners, are_heads, classes[own]))
    return found


def _classes(analysis: Analysis) -> Ids:
    """For each group the number of the rows that it stands in, of all matrices whose rows have to go evenly."""
    classes = np.zeros(analysis.stays.size, np.int64)
    for rule, site in analysis.layers().values():
        for rows in rule.rows(site):
            labels = analysis.labels[rows]
            if len(rows) == 1 or (labels == labels[:, :1]).all():
                continue  # there is nothing to be even with, or a row goes as a whole
            place = np.zeros(classes.size, np.int64)
            place[labels] = 1 + np.arange(len(rows))[:, None]
            _, classes = np.unique(np.stack([classes, place]), axis=1, return_inverse=True)
    return classes


def _made(analysis: Analysis) -> Iterator[tuple[Site, str, Ids]]:
    """Each axis that a layer makes, with its name."""
    for _, site in analysis.layers().values():
        distinct = {id(ids): (name, ids) for name, ids in site.ports.items() if name not in _NEVER_BY_ITSELF}
        yield from ((site, name, ids) for name, ids in distinct.values() if analysis.makes(site, ids))
