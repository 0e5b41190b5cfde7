"""Which filters go: families ranked by score, so many of each, or as many as bring a cost down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ._analysis import Analysis
from ._channels import Flags, Ids
from ._costs import Cost, cost, none_gone
from ._families import Family
from ._importance import Importance

Settle: TypeAlias = Callable[[Flags], Flags]


@dataclass(frozen=True)
class Ranking:
    """Groups in the order in which they go, in steps: those of one step go together.

    Attributes:
        groups: the groups' numbers.
        ends: how many of them have gone after each step.
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


def steps_of(family: Family, scores: Importance) -> Ids:
    """The groups of a family in rows, the row first that matters least; each row is what goes together.

    Where as many have to go of each of several classes, a row has one group of each.
    """
    order = np.argsort(scores[family.groups], kind="stable")
    groups, classes = family.groups[order], family.classes[order]
    members = [groups[classes == number] for number in np.unique(classes)]
    if len(members) == 1 or members[0].size == 1 or len({each.size for each in members}) > 1:
        return groups[:, None]
    return np.stack(members, axis=1)


def together(found: Sequence[Family], scores: Importance) -> Ranking:
    """All steps but the last of each family, those first that matter least in relation to the family's mean."""
    ranked = [steps_of(family, scores) for family in found]
    means = [scores[family.groups].mean() or 1.0 for family in found]
    relative = [scores[rows[:-1]].mean(axis=1) / mean for rows, mean in zip(ranked, means, strict=True)]
    return _sorted(ranked, relative)


def alternating(found: Sequence[Family], scores: Importance) -> Ranking:
    """All steps but the last of each family, in an order in which each loses the same share at any point."""
    ranked = [steps_of(family, scores) for family in found]
    return _sorted(ranked, [(np.arange(len(rows) - 1) + 1) / len(rows) for rows in ranked])


def _sorted(ranked: Sequence[Ids], keys: Sequence[Importance]) -> Ranking:
    steps = [row for rows in ranked for row in rows[:-1]]
    return Ranking.of([steps[index] for index in np.argsort(np.concatenate(keys), kind="stable")])


def so_many(analysis: Analysis, goals: Sequence[tuple[Ranking, int]]) -> Flags:
    """Remove so many groups of each ranking; for those that have to stay after all, the next ones go.

    Args:
        analysis: of the model.
        goals: rankings, and how many of the groups of each are to go.

    Returns:
        For each group whether it goes.
    """
    taken = [ranking.steps_for(count) for ranking, count in goals]
    while True:
        gone = none_gone(analysis)
        for (ranking, _), steps in zip(goals, taken, strict=True):
            gone[ranking.first(steps)] = True
        gone = analysis.settled(gone)
        before = list(taken)
        for place, (ranking, count) in enumerate(goals):
            short = count - int(gone[ranking.groups].sum())
            if short > 0:
                reached = int(ranking.ends[taken[place] - 1]) if taken[place] else 0
                taken[place] = max(taken[place], ranking.steps_for(reached + short))
        if taken == before:
            return gone


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
        gone = none_gone(analysis)
        gone[ranking.first(steps)] = True
        return settle(gone)

    low, high = 0, len(ranking.ends)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(analysis, after(middle), kind) <= most else (middle + 1, high)
    return after(low)


def in_multiples(gone: Flags, found: Sequence[Family], scores: Importance, multiple: int) -> Flags:
    """Take back the best of what is to go, until of each family a multiple stays, or all; heads are not counted so."""
    gone = gone.copy()
    for family in found:
        if multiple > 1 and not family.are_heads:
            order = steps_of(family, scores).reshape(-1)
            going = order[gone[order]]
            kept = order.size - going.size
            wanted = min(-(-kept // multiple) * multiple, order.size)
            gone[going[order.size - wanted :]] = False
    return gone
