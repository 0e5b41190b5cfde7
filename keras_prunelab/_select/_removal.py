"""At which of many sparsities each weight goes: the masks of all levels as one small number a weight.

The thresholds of all levels come from one `np.partition`, of those scores that can be one. Which level a score falls to
is then read from a table by the leading bits of the score, which for positive numbers have the order of the numbers;
only those that share these bits with a threshold are compared with it. That takes a tenth of the time of a binary
search for each weight.

Beside the scores there is never more than their own memory once more: first for the partition, then for the levels.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ties: TypeAlias = Literal["exact", "matlab"]
Levels: TypeAlias = NDArray[np.unsignedinteger[Any]]
Scores: TypeAlias = NDArray[np.floating[Any]]

_CHUNK = 1 << 15  # what the second-level cache holds, with what is made of it
_MANTISSA = 14  # leading bits of the mantissa in the table's index
_SAMPLE = 1 << 16
_MARGIN = 0.01  # some six standard errors of a share in the sample
_WORTH_A_TABLE = 1 << 20  # below, a search for each weight is quicker than making the table
_BITS = {np.dtype(np.float32): (np.int32, 23 - _MANTISSA), np.dtype(np.float64): (np.int64, 52 - _MANTISSA)}


def removal_levels(parts: Sequence[Scores], counts: Sequence[int], ties: Ties = "exact") -> list[Levels]:
    """Find the level at which each weight goes.

    Args:
        parts: the scores of weights that are ranked together, one array a variable, all finite. The lowest go first.
        counts: how many weights go at each level, ascending.
        ties: `"exact"` removes exactly that many, of equal scores those that stand first; `"matlab"` removes
            every weight whose score is not above the highest removed one, or not above 0 where the count is
            0, as MATLAB's example does.

    Returns:
        For each array one of its shape: the index of the first level at which the weight is pruned, `len(counts)` where
        it stays at all of them.
    """
    wanted = np.asarray(counts, dtype=np.int64)
    found = _thresholds(parts, wanted)
    # Without ties nothing lies below the lowest score; MATLAB's threshold is zero there.
    skipped = 0 if ties == "matlab" else int(np.count_nonzero(wanted == 0))
    thresholds, dtype = found.values[skipped:], np.min_scalar_type(len(counts) + 1)
    # One array for all: pages of memory are slow to get.
    ends = np.cumsum([part.size for part in parts])
    flat: Levels = np.empty(int(ends[-1]), dtype)
    find = _finder(thresholds, dtype, uses_table=found.is_positive and flat.size >= _WORTH_A_TABLE)
    levels = np.split(flat, ends[:-1])
    pieces = [
        (part.reshape(-1)[chunk], into[chunk])
        for part, into in zip(parts, levels, strict=True)
        for chunk in _chunks(into.size)
    ]
    equal = _in_threads(find, pieces)
    if ties == "exact" and found.below is not None:
        _by_position([into for _, into in pieces], equal, wanted[skipped:], found.below[skipped:])
    if skipped:
        flat += dtype.type(skipped)
    return [into.reshape(part.shape) for part, into in zip(parts, levels, strict=True)]


@dataclass(frozen=True)
class _Thresholds:
    """The scores up to which weights go.

    Attributes:
        values: the highest score that goes, a level each; 0 where none goes.
        below: how many scores are lower than that; None if no score like it stays.
        is_positive: whether no score is below zero.
    """

    values: Scores
    below: NDArray[np.int64] | None
    is_positive: bool


def _thresholds(parts: Sequence[Scores], wanted: NDArray[np.int64]) -> _Thresholds:
    is_positive = all(part.min(initial=0) >= 0 for part in parts)
    values = np.zeros(len(wanted), np.result_type(*parts))
    some = wanted > 0
    ranks = np.unique(wanted[some]) - 1
    if not ranks.size:
        return _Thresholds(values, None, is_positive)
    scores, lower = _upper(parts, int(ranks[0]))
    ranks -= lower
    scores.partition(ranks)
    values[some] = scores[wanted[some] - 1 - lower]
    # Between two ranks stand the scores between them: the lowest of these follows the first rank.
    inner = ranks[ranks + 1 < scores.size]
    following = np.minimum.reduceat(scores, inner + 1) if inner.size else scores[:0]
    below = None
    if (following == scores[inner]).any():
        below = np.zeros(len(wanted), np.int64)
        below[some] = lower + _below(scores, ranks)[np.searchsorted(ranks, wanted[some] - 1 - lower)]
    return _Thresholds(values, below, is_positive)


def _upper(parts: Sequence[Scores], rank: int) -> tuple[Scores, int]:
    """A copy of the scores, without lower ones that no threshold from a rank on can be; and how many these are."""
    size = sum(part.size for part in parts)
    flat = [part.reshape(-1) for part in parts]
    if size >= _WORTH_A_TABLE and rank > _MARGIN * size:
        # A sample tells a score that is surely lower than the one of the rank; if it is not, nothing is lost but time.
        sample = np.concatenate([part[:: size // _SAMPLE + 1] for part in flat])
        place = int((rank / size - _MARGIN) * sample.size)
        pivot = np.partition(sample, place)[place]
        chunks = [part[chunk] for part in flat for chunk in _chunks(part.size)]
        ends = np.cumsum([np.count_nonzero(chunk >= pivot) for chunk in chunks])
        lower = size - int(ends[-1])
        if lower <= rank:
            upper = np.empty(int(ends[-1]), pivot.dtype)
            for chunk, into in zip(chunks, np.split(upper, ends[:-1]), strict=True):
                np.compress(chunk >= pivot, chunk, out=into)
            return upper, lower
    return np.concatenate(flat), 0  # a copy also of a single one


def _below(scores: Scores, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many partitioned scores are lower than that at each rank."""
    below = np.empty(len(ranks), np.int64)
    start = 0
    for place, rank in enumerate(ranks.tolist()):
        value = scores[rank]
        if place and scores[ranks[place - 1]] == value:
            below[place] = below[place - 1]
        else:
            between = scores[start : rank + 1]
            below[place] = rank + 1 - sum(np.count_nonzero(between[part] == value) for part in _chunks(between.size))
        start = rank + 1
    return below


def _finder(
    thresholds: Scores, dtype: np.dtype[Any], *, uses_table: bool
) -> Callable[[Scores, Levels], NDArray[np.int32]]:
    """A function that writes how many thresholds are below each score, and tells the scores that equal one."""
    padded = np.append(thresholds, np.asarray([np.inf], thresholds.dtype))

    def search(scores: Scores, found: Levels) -> NDArray[np.int32]:
        found[...] = np.searchsorted(thresholds, scores, side="left")
        return np.flatnonzero(scores == padded[found]).astype(np.int32)

    if not uses_table or thresholds.dtype not in _BITS or not len(thresholds):
        return search
    bits, shift = _BITS[thresholds.dtype]
    keys = (thresholds + 0).view(bits) >> shift  # adding turns -0.0, whose bits are not in order, into 0.0
    lowest = int(keys[0]) - 1
    in_bucket = np.bincount(keys - lowest, minlength=int(keys[-1]) - lowest + 2)
    table = (np.cumsum(in_bucket) - in_bucket).astype(dtype)
    unsure = dtype.type(np.iinfo(dtype).max)
    table[in_bucket > 0] = unsure
    if thresholds[0] == 0:
        table[0] = unsure  # only -0.0 comes before the bucket of 0.0, and it equals the threshold
    scratch = threading.local()  # a new array for each chunk would cost more than what is done with it

    def look_up(scores: Scores, found: Levels) -> NDArray[np.int32]:
        if not hasattr(scratch, "index"):
            scratch.index = np.empty(_CHUNK, np.intp)
        index = scratch.index[: scores.size]
        np.right_shift(scores.view(bits), shift, out=index, casting="unsafe")
        index -= lowest
        np.take(table, index, out=found, mode="clip")
        near = np.flatnonzero(found == unsure).astype(np.int32)
        if near.size:
            values = scores[near]
            found[near] = level = np.searchsorted(thresholds, values, side="left")
            near = near[values == padded[level]]
        return near

    return look_up


def _in_threads(
    work: Callable[[Scores, Levels], NDArray[np.int32]], pieces: Sequence[tuple[Scores, Levels]]
) -> list[NDArray[np.int32]]:
    """Do the pieces in as many threads as there are processors: NumPy lets go of the interpreter's lock."""
    if len(pieces) <= 1:
        return [work(*piece) for piece in pieces]
    results: list[Any] = [None] * len(pieces)
    threads = min(len(pieces), os.cpu_count() or 1)

    def some(first: int) -> None:
        for place in range(first, len(pieces), threads):
            results[place] = work(*pieces[place])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(some, range(threads)))
    return results


def _by_position(
    pieces: Sequence[Levels], equal: Sequence[NDArray[np.int32]], counts: NDArray[np.int64], below: NDArray[np.int64]
) -> None:
    """Among weights with a threshold's own score, let only as many go as its count allows, the first ones.

    Args:
        pieces: the levels of the weights, in their order.
        equal: the places in each piece where the score is the threshold of the level.
        counts: how many weights go at each level.
        below: how many scores are lower than each threshold.
    """
    seen = below.copy()
    for group in _groups(equal):
        met = np.concatenate([pieces[index][equal[index]] for index in group]).astype(np.intp)
        order = np.argsort(met, kind="stable")
        numbers = np.bincount(met, minlength=len(seen))
        within = np.arange(met.size) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        levels = np.empty(met.size, np.int64)
        levels[order] = np.searchsorted(counts, seen[met[order]] + within, side="right")
        seen += numbers
        start = 0
        for index in group:
            places = equal[index]
            pieces[index][places] = levels[start : start + places.size]
            start += places.size


def _groups(equal: Sequence[NDArray[np.int32]]) -> Iterator[list[int]]:
    """Indices of pieces with some places, so many at a time as are quickly done together."""
    group: list[int] = []
    size = 0
    for index, places in enumerate(equal):
        if places.size:
            group.append(index)
            size += places.size
        if size > _CHUNK:
            yield group
            group, size = [], 0
    if group:
        yield group


def _chunks(size: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK, size)) for start in range(0, size, _CHUNK))
