"""Filters that compete with each other: the channels of one layer, and of the layers coupled to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._analysis import Analysis
from ._channels import Ids, Site
from ._rules import Rule

_NEVER_BY_ITSELF = ("keys", "values")
"""Axes inside a layer that go with nothing else; a head is what goes of attention."""


@dataclass(frozen=True)
class Family:
    """Groups of channels of which a share can go.

    Attributes:
        name: the names of the layers that make them.
        groups: the groups' numbers, in the order of the channels.
        owners: the layers that make them.
    """

    name: str
    groups: Ids
    owners: tuple[Any, ...]


def families(analysis: Analysis) -> list[Family]:
    """The families of a model whose channels can go."""
    made = [(site.call.name, site.layer, analysis.labels[ids]) for _, site, ids in _made(analysis)]
    parents = list(range(len(made)))

    def root(index: int) -> int:
        while parents[index] != index:
            index = parents[index]
        return index

    first: dict[int, int] = {}
    for index, (_, _, labels) in enumerate(made):
        for label in np.unique(labels).tolist():
            parents[root(index)] = root(first.setdefault(label, index))
    together: dict[int, list[int]] = {}
    for index in range(len(made)):
        together.setdefault(root(index), []).append(index)
    found = []
    for members in together.values():
        groups = np.array(list(dict.fromkeys(np.concatenate([made[index][2] for index in members]).tolist())), np.int64)
        groups = groups[~analysis.stays[groups]]
        if groups.size:
            names = ", ".join(dict.fromkeys(made[index][0] for index in members))
            found.append(Family(names, groups, tuple(made[index][1] for index in members)))
    return found


def _made(analysis: Analysis) -> Iterator[tuple[Rule, Site, Ids]]:
    """Each axis that a layer makes."""
    for rule, site in analysis.layers().values():
        inside = {id(layer) for layer in site.layer._flatten_layers()} if hasattr(site.layer, "_flatten_layers") else ()
        seen: set[int] = set()
        for name, ids in site.ports.items():
            if not ids.size or name in _NEVER_BY_ITSELF or id(ids) in seen:
                continue
            maker = analysis.makers[ids[0]]
            if maker is not None and id(maker) in inside:
                seen.add(id(ids))
                yield rule, site, ids
