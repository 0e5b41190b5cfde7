"""The masks of one score at every sparsity of a sweep, held in little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _conventions
from ._conventions import Convention
from ._errors import InvalidDataError, InvalidModelError, UnknownNameError
from ._masks import MaskSet
from ._prunable import Prunables, prunable
from ._scores import Score, ScoreContext, ScoreLike
from ._scores import get as get_score
from ._selection import Levels, Scope, checked_sparsities, pruned_count, removal_levels

Progress: TypeAlias = Callable[[int, int], None]
Values: TypeAlias = Mapping[str, NDArray[Any]]


class _Store(Protocol):
    """Masks at levels 0, 1, ..."""

    def masks(self, level: int) -> MaskSet: ...
    def zeros(self, level: int) -> int: ...


@dataclass(frozen=True)
class _NestedMasks:
    """Masks of which each keeps a part of what the one before it kept: one number a weight says it all."""

    removal: Mapping[str, Levels]  # the level at which a weight goes

    def masks(self, level: int) -> MaskSet:
        return MaskSet({path: gone_at > level for path, gone_at in self.removal.items()})

    def zeros(self, level: int) -> int:
        return int(self._zeros[: level + 1].sum())

    @cached_property
    def _zeros(self) -> NDArray[np.int64]:
        longest = 1 + max(int(gone_at.max(initial=0)) for gone_at in self.removal.values())
        counts = [np.bincount(gone_at.reshape(-1), minlength=longest) for gone_at in self.removal.values()]
        total: NDArray[np.int64] = np.sum(counts, axis=0, dtype=np.int64)
        return total


@dataclass(frozen=True)
class _PackedMasks:
    """Masks that need not be nested: one bit a weight and level."""

    shapes: Mapping[str, tuple[int, ...]]
    bits: Sequence[NDArray[np.uint8]]
    gone: Sequence[int]

    def masks(self, level: int) -> MaskSet:
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in self.shapes.values()]
        flat = np.unpackbits(self.bits[level], count=sum(sizes)).astype(np.bool_)
        parts = np.split(flat, np.cumsum(sizes)[:-1])
        return MaskSet(
            {path: part.reshape(shape) for (path, shape), part in zip(self.shapes.items(), parts, strict=True)}
        )

    def zeros(self, level: int) -> int:
        return self.gone[level]


@dataclass(frozen=True)
class Trajectory:
    """The masks of one score at several sparsities.

    Attributes:
        score: the name of the score.
        scope: `"global"` or `"layer"`.
        convention: the name of the convention.
        sparsities: the levels that were asked for, ascending, each once; `masks` and `zeros` count along
            them.
        total: N, the number of prunable weights.
    """

    score: str
    scope: Scope
    convention: str
    sparsities: tuple[float, ...]
    total: int
    _store: _Store = field(repr=False)

    def __len__(self) -> int:
        return len(self.sparsities)

    def masks(self, level: int) -> MaskSet:
        """The masks at one level.

        Args:
            level: the index of the level in `sparsities`.

        Returns:
            The masks.

        Raises:
            IndexError: there is no such level.
        """
        return self._store.masks(self._checked(level))

    def zeros(self, level: int) -> int:
        """The number of pruned weights at one level, without making its masks.

        Args:
            level: the index of the level in `sparsities`.

        Returns:
            The number; divided by `total` it is the sparsity reached.

        Raises:
            IndexError: there is no such level.
        """
        return self._store.zeros(self._checked(level))

    def _checked(self, level: int) -> int:
        if not -len(self) <= level < len(self):
            raise IndexError(f"There is no level {level}; this trajectory has {len(self)}.")
        return level % len(self)


def trajectory(
    model: keras.Model,
    sparsities: float | ArrayLike,
    score: ScoreLike = "magnitude",
    *,
    scope: Scope = "global",
    convention: str | Convention = "paper",
    prunables: Prunables | None = None,
    data: Any = None,
    on_level: Progress | None = None,
) -> Trajectory:
    """Compute the masks of one score at several sparsities.

    The model is only read.

    Args:
        model: a built model.
        sparsities: shares of the weights to prune, each in [0, 1), in any order.
        score: what `scores.get` takes.
        scope: `"global"` ranks all weights together; `"layer"` prunes the same share of each layer, where
            k = round(s n) holds for each layer's own n.
        convention: `"paper"`, `"matlab"`, or a `Convention`.
        prunables: the variables to prune; by default those of the model that the convention counts.
        data: inputs, or (inputs, labels), for a score that needs them.
        on_level: called as `on_level(done, total)` when a level is done.

    Returns:
        The masks at all levels.

    Raises:
        InvalidSparsityError: a sparsity is outside [0, 1).
        UnknownNameError: there is no such score, scope or convention.
        InvalidDataError: the score needs data and got none, or returned scores that do not fit.
        InvalidModelError: the model is not built, or weights are not finite.
        NothingToPruneError: the model has no prunable weight.
    """
    levels, rules, scorer = checked_sparsities(sparsities), _conventions.get(convention), get_score(score)
    if scope not in ("global", "layer"):
        raise UnknownNameError(f"scope={scope!r} is unknown; it is 'global' or 'layer'.")
    found = prunable(model, learnables=rules.learnables) if prunables is None else prunables
    if data is None and (scorer.needs_data or scorer.needs_labels):
        wanted = "(inputs, labels)" if scorer.needs_labels else "inputs"
        raise InvalidDataError(f"The score {scorer.name!r} needs data; give data={wanted}.")
    search = _Search(scorer, ScoreContext(model, found, found.values(), data), rules, scope, on_level)
    store: _Store
    if not scorer.follows_masks:
        store = search.once(levels)
    elif rules.rescoring == "levels":
        store = search.level_by_level(levels)
    else:
        store = search.in_rounds(levels)
    return Trajectory(scorer.name, scope, rules.name, levels, found.total, store)


@dataclass(frozen=True)
class _Search:
    """The three ways to masks at many levels: one score for all, one a level, or many rounds a level."""

    score: Score
    dense: ScoreContext
    convention: Convention
    scope: Scope
    on_level: Progress | None

    def once(self, levels: Sequence[float]) -> _NestedMasks:
        scores = self._scores(self.dense.values)
        removal = self._removal(scores, levels)
        for level in range(len(levels)):
            self._done(level, levels)
        return _NestedMasks(removal)

    def level_by_level(self, levels: Sequence[float]) -> _NestedMasks:
        kept = self._all_kept()
        removal = {path: np.full(mask.shape, len(levels), np.uint16) for path, mask in kept.items()}
        for level, sparsity in enumerate(levels):
            still = self._prune_further(kept, sparsity)
            for path, mask in still.items():
                removal[path][kept[path] & ~mask] = level
            kept = still
            self._done(level, levels)
        return _NestedMasks(removal)

    def in_rounds(self, levels: Sequence[float]) -> _PackedMasks:
        bits, gone = [], []
        for level, sparsity in enumerate(levels):
            kept = self._all_kept()
            for step in range(1, self.score.rounds + 1):
                # The last exponent is 1: exactly the asked sparsity.
                target = 1 - (1 - sparsity) ** (step / self.score.rounds) if step < self.score.rounds else sparsity
                kept = self._prune_further(kept, target)
            flat = np.concatenate([mask.reshape(-1) for mask in kept.values()])
            bits.append(np.packbits(flat))
            gone.append(flat.size - int(np.count_nonzero(flat)))
            self._done(level, levels)
        return _PackedMasks({item.path: item.shape for item in self.dense.prunables}, bits, gone)

    def _prune_further(self, kept: Values, sparsity: float) -> dict[str, NDArray[np.bool_]]:
        """Score the network as far as it is pruned, and prune it to the next sparsity."""
        exact = self.convention.ties == "exact"
        if exact and all(
            sum(np.count_nonzero(~kept[path]) for path in group) >= self._count(group, sparsity)
            for group in self._groups()
        ):
            return dict(kept)  # nothing more is to go: the scores would not be used
        pruned = {path: np.where(mask, self.dense.values[path], 0) for path, mask in kept.items()}
        scores = self._scores(pruned)
        if exact:
            # What is gone stays gone, even where what is kept scores zero. MATLAB's rule sees to that itself.
            scores = {path: np.where(kept[path], values, -1) for path, values in scores.items()}
        return {path: gone_at > 0 for path, gone_at in self._removal(scores, [sparsity]).items()}

    def _scores(self, values: Values) -> Values:
        scores = self.score(self.dense.at(values))
        self._check(scores)
        return scores

    def _removal(self, scores: Values, levels: Sequence[float]) -> dict[str, Levels]:
        removal: dict[str, Levels] = {}
        for group in self._groups():
            flat = np.concatenate([scores[path].reshape(-1) for path in group])
            counts = [self._count(group, sparsity) for sparsity in levels]
            gone_at = removal_levels(flat, counts, self.convention.ties)
            ends = np.cumsum([scores[path].size for path in group])
            for path, part in zip(group, np.split(gone_at, ends[:-1]), strict=True):
                removal[path] = part.reshape(scores[path].shape)
        return {item.path: removal[item.path] for item in self.dense.prunables}

    def _groups(self) -> Iterator[list[str]]:
        """The paths whose weights are ranked together."""
        by_layer: dict[Any, list[str]] = {}
        for item in self.dense.prunables:
            by_layer.setdefault(None if self.scope == "global" else item.within, []).append(item.path)
        yield from by_layer.values()

    def _count(self, group: Sequence[str], sparsity: float) -> int:
        return pruned_count(sparsity, sum(self.dense.values[path].size for path in group))

    def _all_kept(self) -> dict[str, NDArray[np.bool_]]:
        return {path: np.ones(value.shape, np.bool_) for path, value in self.dense.values.items()}

    def _done(self, level: int, levels: Sequence[float]) -> None:
        if self.on_level is not None:
            self.on_level(level + 1, len(levels))

    def _check(self, scores: Values) -> None:
        expected = {path: value.shape for path, value in self.dense.values.items()}
        given = {path: np.shape(values) for path, values in scores.items()}
        if given != expected:
            wrong = sorted(path for path in given.keys() | expected.keys() if given.get(path) != expected.get(path))
            raise InvalidDataError(
                f"The score {self.score.name!r} must return one array a path, of the variable's shape; for "
                f"{wrong[0]!r} it returned {given.get(wrong[0], 'nothing')}, where "
                f"{expected.get(wrong[0], 'nothing')} was expected."
            )
        for path, values in scores.items():
            if not np.isfinite(values).all():
                raise InvalidModelError(
                    f"The score {self.score.name!r} gave NaN or infinite scores for {path!r}, which cannot be ranked."
                )
            if self.convention.ties == "matlab" and values.size and values.min() < 0:
                raise InvalidDataError(
                    f"The score {self.score.name!r} is negative for weights of {path!r}; MATLAB's "
                    "threshold of 0 at sparsity 0 is for scores that are not. Use convention='paper'."
                )
