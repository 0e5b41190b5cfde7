"""Which filters go: families ranked by score, so many of each, or as many as bring a cost down."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from keras_prunelab._channels._analysis import Analysis
from keras_prunelab._channels._channels import Flags, Ids
from keras_prunelab._cost._costs import Cost, cost, remove_none

from ._families import Family
from ._importance import Importance

Settle: TypeAlias = Callable[[Flags], Flags]


@dataclass(frozen=True)
class Ranking:
    """Groups in the order in which they go, in steps: those of one step go together.

    Attributes:
        groups: the groups' numbers.
        ends: how many of them are removed after each step.
    """

    groups: Ids
    ends: Ids

    @classmethod
    def of(cls, steps: Sequence[Ids]) -> Ranking:
        """Put steps after each other."""
        sizes = np.array([step.size for step in steps], np.int64)
        return cls(np.concatenate(steps) if len(steps) else np.zeros(0, np.int64), np.cumsum(sizes))

    def first(self, steps: int) -> Ids:
        """The groups that go in so many steps."""
        return self.groups[: self.ends[steps - 1]] if steps else self.groups[:0]

    def steps_for(self, count: int) -> int:
        """How many steps come closest to a number of groups."""
        return int(np.argmin(np.abs(np.concatenate([[0], self.ends]) - count)))


def steps_of(family: Family, scores: Importance) -> list[Ids]:
    """The groups of a family in steps, the step first that matters least; the groups of a step go together.

    Where as many have to go of each of several classes, a step has groups of each, as many as keep their proportion.
    """
    order = np.argsort(scores[family.groups], kind="stable")
    groups, classes = family.groups[order], family.classes[order]
    members = [groups[classes == number] for number in np.unique(classes)]
    steps = math.gcd(*(each.size for each in members))
    if len(members) == 1 or steps == 1:
        return list(groups[:, None])
    return [np.concatenate(parts) for parts in zip(*(np.split(each, steps) for each in members), strict=True)]


def together(found: Sequence[Family], scores: Importance) -> Ranking:
    """All steps but the last of each family, those first that matter least in relation to the family's mean."""
    ranked = [steps_of(family, scores)[:-1] for family in found]
    means = [scores[family.groups].mean() or 1.0 for family in found]
    keys = [scores[step].mean() / mean for steps, mean in zip(ranked, means, strict=True) for step in steps]
    return _sort(ranked, keys)


def alternate(found: Sequence[Family], scores: Importance) -> Ranking:
    """All steps but the last of each family, in an order in which each loses the same share at any point."""
    ranked = [steps_of(family, scores) for family in found]
    keys = [(place + 1) / len(steps) for steps in ranked for place in range(len(steps) - 1)]
    return _sort([steps[:-1] for steps in ranked], keys)


def _sort(ranked: Sequence[Sequence[Ids]], keys: Sequence[float]) -> Ranking:
    steps = [step for each in ranked for step in each]
    return Ranking.of([steps[index] for index in np.argsort(keys, kind="stable")])


def so_many(analysis: Analysis, goals: Sequence[tuple[Ranking, int]]) -> Flags:
    """Remove so many groups of each ranking; for those that have to stay after all, the next ones go.

    Args:
        analysis: of the model.
        goals: rankings, and how many of the groups of each are to go.

    Returns:
        For each group whether it goes: of each ranking as many as come closest to what is asked.
    """

    def after(taken: Sequence[int]) -> Flags:
        removed = remove_none(analysis)
        for (ranking, _), steps in zip(goals, taken, strict=True):
            removed[ranking.first(steps)] = True
        return analysis.find_fixed_point(removed)

    taken = [ranking.steps_for(count) for ranking, count in goals]
    best = [(count, 0) for _, count in goals]  # how far off, and with how many steps
    while True:
        removed, before = after(taken), list(taken)
        for place, (ranking, count) in enumerate(goals):
            short = count - int(removed[ranking.groups].sum())
            best[place] = min(best[place], (abs(short), taken[place]))
            if short > 0:
                reached = int(ranking.ends[taken[place] - 1]) if taken[place] else 0
                taken[place] = max(taken[place], ranking.steps_for(reached + short))
        if taken == before:
            return after([steps for _, steps in best])


def within(analysis: Analysis, ranking: Ranking, kind: Cost, most: float, settle: Settle) -> Flags:
    """As few groups as bring a cost down to a limit; all of them where they do not.

    Args:
        analysis: of the model.
        ranking: in which order they go.
        kind: of which cost.
        most: the limit.
        settle: takes back what cannot go.

    Returns:
        For each group whether it goes.
    """

    def after(steps: int) -> Flags:
        removed = remove_none(analysis)
        removed[ranking.first(steps)] = True
        return settle(removed)

    low, high = 0, len(ranking.ends)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(analysis, after(middle), kind) <= most else (middle + 1, high)
    return after(low)


def in_multiples(removed: Flags, found: Sequence[Family], scores: Importance, multiple: int) -> Flags:
    """Take back the best of what is to go, until of each family a multiple stays, or all; heads are not counted so."""
    removed = removed.copy()
    for family in found:
        if multiple > 1 and not family.are_heads:
            steps = steps_of(family, scores)
            order, step = np.concatenate(steps), steps[0].size
            going = order[removed[order]]
            # Whole steps come back, so that what has to go evenly still does.
            wanted = (kept for kept in range(order.size - going.size, order.size) if kept % multiple == 0)
            even = next((kept for kept in wanted if (order.size - kept) % step == 0), order.size)
            removed[going[order.size - even :]] = False
    return removed
