"""From scores to masks: which weights go at each of many sparsities, by exact count.

The number of weights that go is k = round(s N), with halves rounded up, as MATLAB's `round` does for
positive numbers. All levels come from one `np.partition`; the work goes by chunks, so that beside the scores
themselves (one array of the weights' size) there is never more than 1.5 times their memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._errors import InvalidSparsityError

Scope: TypeAlias = Literal["global", "layer"]
Ties: TypeAlias = Literal["exact", "matlab"]
Levels: TypeAlias = NDArray[np.uint16]

_MOST_LEVELS = np.iinfo(np.uint16).max
_CHUNK = 1 << 20


def checked_sparsities(sparsities: float | ArrayLike) -> tuple[float, ...]:
    """Sort the levels of a sweep and make sure that each is one.

    Args:
        sparsities: one or more shares of weights to prune, each in [0, 1).

    Returns:
        The levels, ascending, each once.

    Raises:
        InvalidSparsityError: there is none, or one is not in [0, 1).
    """
    try:
        given = np.atleast_1d(np.asarray(sparsities, dtype=np.float64)).reshape(-1)
    except (TypeError, ValueError) as error:
        raise InvalidSparsityError(
            f"Sparsities are numbers in [0, 1), not {sparsities!r}; write 0.9 for 90 %."
        ) from error
    if not given.size:
        raise InvalidSparsityError("The list of sparsities is empty; give at least one number in [0, 1).")
    for level in given.tolist():
        if not 0 <= level < 1:
            mend = f"write {level / 100:g} for {level:g} %" if 1 < level < 100 else "write 0.9 for 90 %"
            raise InvalidSparsityError(f"A sparsity is in [0, 1), not {level:g}; {mend}.")
    levels = np.unique(given)
    if levels.size > _MOST_LEVELS:
        raise InvalidSparsityError(f"{levels.size} levels are more than {_MOST_LEVELS}; take larger steps.")
    return tuple(levels.tolist())


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


def removal_levels(scores: NDArray[np.floating[Any]], counts: Sequence[int], ties: Ties = "exact") -> Levels:
    """Find the level at which each weight goes.

    Args:
        scores: one score a weight, flat, finite. The lowest go first.
        counts: how many weights go at each level, ascending.
        ties: `"exact"` removes exactly that many, of equal scores those that stand first; `"matlab"` removes
            every weight whose score is not above the highest removed one, or not above 0 where the count is
            0, as MATLAB's example does.

    Returns:
        The index of the first level at which the weight is gone, `len(counts)` where it stays at all of them.
    """
    wanted = np.asarray(counts, dtype=np.int64)
    # Zero where nothing is to go: MATLAB's threshold there. Without ties nothing lies below the lowest score.
    thresholds = np.zeros(len(counts), scores.dtype)
    some = wanted > 0
    if some.any():
        ranks = np.unique(wanted[some]) - 1
        thresholds[some] = np.partition(scores, ranks)[wanted[some] - 1]
    first = np.empty(scores.shape, np.uint16)
    if ties == "matlab":
        for part in _chunks(scores.size):
            first[part] = np.searchsorted(thresholds, scores[part], side="left")
        return first
    first_with_any = int(np.count_nonzero(~some))
    thresholds = thresholds[first_with_any:]
    for part in _chunks(scores.size):
        first[part] = np.searchsorted(thresholds, scores[part], side="left")
    return _by_position(scores, first, thresholds, wanted[first_with_any:]) + np.uint16(first_with_any)


def _by_position(
    scores: NDArray[np.floating[Any]],
    first: Levels,
    thresholds: NDArray[np.floating[Any]],
    counts: NDArray[np.int64],
) -> Levels:
    """Among weights with a threshold's own score, let only as many go as its count allows, the first ones."""
    last = len(thresholds)
    padded = np.append(thresholds, np.asarray([np.inf], thresholds.dtype))
    below = np.zeros(last + 1, np.int64)  # how many scores are below each threshold
    for part in _chunks(scores.size):
        level = first[part]
        strictly = scores[part] < padded[level]
        below += np.cumsum(np.bincount(level[strictly], minlength=last + 1))
        # A score equal to threshold i is below all thresholds after it, and its equals have the same level i.
        below[1:] += np.cumsum(np.bincount(level[~strictly], minlength=last + 1))[:-1]
    for part in _chunks(scores.size):
        level, values = first[part], scores[part]
        tied = np.flatnonzero(values == padded[level])
        met = level[tied]  # a copy: the levels change below
        for index in np.unique(met):
            where = tied[met == index]
            ranks = below[index] + np.arange(where.size)
            level[where] = np.searchsorted(counts, ranks, side="right")
            below[index] += where.size
    return first


def _chunks(size: int) -> Iterable[slice]:
    return (slice(start, min(start + _CHUNK, size)) for start in range(0, size, _CHUNK))
