"""From scores to masks: which weights go, by exact count.

The number of weights that go is k = round(s N), with halves rounded up, as MATLAB's `round` does for
positive numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_prunelab._errors import InvalidSparsityError
from keras_prunelab._model._numbers import real_numbers
from keras_prunelab._model._variables import Prunables

from . import _allocation, _granularity
from ._allocation import Allocation, Group, Scope
from ._candidates import Candidates, take
from ._granularity import Granularity, GranularityLike

_MOST_LEVELS = np.iinfo(np.uint16).max


def check_sparsities(sparsities: float | ArrayLike) -> tuple[float, ...]:
    """Sort the levels of a sweep and make sure that each is one.

    Args:
        sparsities: one or more shares of weights to prune, each in [0, 1).

    Returns:
        The levels, ascending, each once.

    Raises:
        InvalidSparsityError: there is none, or one is not in [0, 1).
    """
    given = real_numbers(sparsities)
    if given is None:
        raise InvalidSparsityError(f"Sparsities are numbers in [0, 1), not {sparsities!r}; write 0.9 for 90 %.")
    if not given:
        raise InvalidSparsityError("The list of sparsities is empty; give at least one number in [0, 1).")
    for level in given:
        if not 0 <= level < 1:
            mend = f"write {level / 100:g} for {level:g} %" if 1 < level < 100 else "write 0.9 for 90 %"
            raise InvalidSparsityError(f"A sparsity is in [0, 1), not {level:g}; {mend}.")
    levels = np.unique(given)
    if levels.size > _MOST_LEVELS:
        raise InvalidSparsityError(f"{levels.size} levels are more than {_MOST_LEVELS}; take larger steps.")
    return tuple(levels.tolist())


def sparsities_of_rounds(sparsity: float, rounds: int) -> tuple[float, ...]:
    """The sparsity after each of several rounds: each keeps the same share of what the one before it kept.

    Args:
        sparsity: the sparsity after the last round, exactly that.
        rounds: how many there are, at least 1.

    Examples:
        >>> [round(each, 6) for each in sparsities_of_rounds(0.75, 2)]
        [0.5, 0.75]
    """
    return (*(1 - (1 - sparsity) ** (number / rounds) for number in range(1, rounds)), sparsity)


def pruned_count(sparsity: float, total: int) -> int:
    """Round s N to the number of weights that go, halves up.

    Args:
        sparsity: the share to prune, in [0, 1).
        total: the number of weights.

    Returns:
        The count k.

    Examples:
        >>> pruned_count(0.5, 5), pruned_count(0.145, 100)
        (3, 15)
    """
    # 0.145 * 100 is 14.499999999999998 in binary, but 14.5 to its writer: six decimals settle what a half is.
    return math.floor(round(sparsity * total, 6) + 0.5)


def check(prunables: Prunables, sparsity: float, scope: Scope, granularity: GranularityLike) -> None:
    """Make sure that `select` can reach a sparsity, before anything is changed.

    Args:
        prunables: the variables to prune.
        sparsity: the highest that will be asked for.
        scope: a rule or an `Allocation`.
        granularity: what goes as a whole.

    Raises:
        UnknownNameError: there is no such scope or granularity, or a limit matches no layer.
        InvalidSparsityError: the limits, or the granularity, do not allow the sparsity, or the variables cannot be
            cut like that.
    """
    rules, grain = _allocation.get(scope), _granularity.get(granularity)
    grain.check(prunables)
    groups = _groups(rules, grain, prunables)
    _check_count(pruned_count(sparsity, prunables.total), prunables.total, *_limits(rules, grain, groups))


def select(
    prunables: Prunables,
    scores: Mapping[str, NDArray[Any]],
    sparsity: float,
    *,
    scope: Scope = "global",
    granularity: GranularityLike = "weight",
    norm: int = 1,
    kept: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, NDArray[np.bool_]]:
    """Make masks of exactly a sparsity from scores.

    Args:
        prunables: the variables to prune.
        scores: one finite score a weight, by path, of the variable's shape. The lowest go first; of equal ones
            those that stand first.
        sparsity: the share of the weights to prune. With `scope="layer"` that is k = round(s n) for each layer's own
            n, else k = round(s N) for all. Whole units go as long as that brings their number closer to k.
        scope: a rule or an `Allocation`.
        granularity: what goes as a whole.
        norm: the score of a unit is this norm of its weights' scores: 1 for their sum, 2 for the Euclidean one.
        kept: the masks so far: what is pruned stays pruned, and counts.

    Returns:
        The masks, by path: True where a weight is kept.

    Raises:
        InvalidSparsityError: the limits do not allow the sparsity.
    """
    rules, grain = _allocation.get(scope), _granularity.get(granularity)
    masks = kept or {item.path: np.ones(item.shape, np.bool_) for item in prunables}
    groups = _groups(rules, grain, prunables)
    candidates = [Candidates(group, scores, masks, grain, norm) for group in groups]
    pruned = np.array([each.pruned for each in candidates])
    if rules.rule == "layer" and not rules.is_limited:
        for group, each in zip(groups, candidates, strict=True):
            take([each], pruned_count(sparsity, sum(item.size for item in group)) - each.pruned)
    elif (need := pruned_count(sparsity, prunables.total) - int(pruned.sum())) > 0:
        low, high = _limits(rules, grain, groups)
        _check_count(need + int(pruned.sum()), prunables.total, low, high)
        low, high = np.maximum(low, pruned) - pruned, np.maximum(high, pruned) - pruned
        if rules.rule == "global":
            if rules.is_limited:
                for each, least, most in zip(candidates, low.tolist(), high.tolist(), strict=True):
                    each.bound(least, most)
            take(candidates, need)
        else:
            targets = rules.targets(groups, need + int(pruned.sum())) - pruned
            counts = _allocation.fill(targets, low, high, max(need, int(low.sum())))
            for each, count in zip(candidates, counts.tolist(), strict=True):
                take([each], count)
    return {path: mask for each in candidates for path, mask in each.masks().items()}


def _groups(rules: Allocation, grain: Granularity, prunables: Prunables) -> list[Group]:
    return rules.groups(prunables, in_channels=grain.kind == "channel")


def _limits(
    rules: Allocation, grain: Granularity, groups: Sequence[Group]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    low, high = rules.limits(groups)
    return low, np.minimum(high, [sum(grain.most(item) for item in group) for group in groups])


def _check_count(count: int, total: int, low: NDArray[np.int64], high: NDArray[np.int64]) -> None:
    if not low.sum() <= count <= high.sum():
        raise InvalidSparsityError(
            f"A sparsity of {count / total:.6g} is out of reach: granularity and limits of the layers allow from "
            f"{low.sum() / total:.6g} to {high.sum() / total:.6g}. Ask for one between these, or change them."
        )
