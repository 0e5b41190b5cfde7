"""From one score to masks at many levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError, UnknownNameError
from keras_prunelab._util._arrays import mask_with
from keras_prunelab.scores import Score, ScoreContext, check_scores

from ._allocation import Allocation
from ._conventions import Convention
from ._granularity import Granularity
from ._level_masks import LevelMasks, NestedMasks, PackedMasks
from ._masks import Masks, MaskSet
from ._removal import Levels, removal_levels
from ._selection import pruned_count, select, sparsities_of_rounds

OnStep: TypeAlias = Callable[[int, int], None]
Values: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Search:
    """The three ways to masks at many levels: one score for all, one a level, or many rounds a level."""

    score: Score
    dense: ScoreContext
    convention: Convention
    share: Allocation
    grain: Granularity
    on_level: OnStep | None

    def __post_init__(self) -> None:
        check_together(self.convention, self.share, self.grain)

    def __call__(self, levels: Sequence[float]) -> LevelMasks:
        """Find the masks at ascending levels."""
        if not self.score.follows_masks:
            return self.once(levels)
        return self.level_by_level(levels) if self.convention.rescoring == "levels" else self.in_rounds(levels)

    @property
    def _is_plain(self) -> bool:
        return _is_plain(self.share, self.grain)

    def once(self, levels: Sequence[float]) -> LevelMasks:
        scores = self._scores(self.dense.values)
        if not self._is_plain:
            return PackedMasks.pack(self._each(levels, lambda sparsity: self._select(scores, sparsity)))
        removal = self._removal(scores, levels)
        for level in range(len(levels)):
            self._done(level, levels)
        return NestedMasks(removal)

    def level_by_level(self, levels: Sequence[float]) -> NestedMasks:
        kept = self._all_kept()
        removal: dict[str, Levels] = {path: np.full(mask.shape, len(levels), np.uint16) for path, mask in kept.items()}
        for level, sparsity in enumerate(levels):
            still = self.further(kept, sparsity)
            for path, mask in still.items():
                removal[path][kept[path] & ~mask] = level
            kept = still
            self._done(level, levels)
        return NestedMasks(removal)

    def in_rounds(self, levels: Sequence[float]) -> PackedMasks:
        return PackedMasks.pack(self._each(levels, self._by_rounds))

    def _by_rounds(self, sparsity: float) -> Masks:
        kept = self._all_kept()
        for target in sparsities_of_rounds(sparsity, self.score.rounds):
            kept = self.further(kept, target)
        return kept

    def _each(self, levels: Sequence[float], masks: Callable[[float], Masks]) -> Iterator[MaskSet]:
        for level, sparsity in enumerate(levels):
            yield MaskSet(masks(sparsity))
            self._done(level, levels)

    def further(self, kept: Masks, sparsity: float) -> Masks:
        """Score the network as far as it is pruned, and prune it to the next sparsity."""
        exact = self.convention.ties == "exact"
        if (
            exact
            and self._is_plain
            and all(
                sum(np.count_nonzero(~kept[path]) for path in group) >= self._count(group, sparsity)
                for group in self._groups()
            )
        ):
            return kept  # nothing more is to go: the scores would not be used
        scores = self._scores({path: mask_with(self.dense.values[path], mask) for path, mask in kept.items()})
        if exact:
            return self._select(scores, sparsity, kept)
        # MATLAB's rule sees to it itself that what is pruned stays pruned.
        return {path: gone_at > 0 for path, gone_at in self._removal(scores, [sparsity]).items()}

    def _select(self, scores: Values, sparsity: float, kept: Masks | None = None) -> Masks:
        return select(
            self.dense.prunables,
            scores,
            sparsity,
            scope=self.share,
            granularity=self.grain,
            norm=self.score.group_norm,
            kept=kept,
        )

    def _scores(self, values: Values) -> Values:
        scores = check_scores(self.score, self.dense.at(values))
        if self.convention.ties == "matlab":
            for path, found in scores.items():
                if found.size and found.min() < 0:
                    raise InvalidDataError(
                        f"The score {self.score.name!r} is negative for weights of {path!r}; MATLAB's "
                        "threshold of 0 at sparsity 0 is for scores that are not. Use convention='paper'."
                    )
        return scores

    def _removal(self, scores: Values, levels: Sequence[float]) -> dict[str, Levels]:
        removal: dict[str, Levels] = {}
        for group in self._groups():
            counts = [self._count(group, sparsity) for sparsity in levels]
            found = removal_levels([scores[path] for path in group], counts, self.convention.ties)
            removal |= dict(zip(group, found, strict=True))
        return {item.path: removal[item.path] for item in self.dense.prunables}

    def _groups(self) -> Iterator[list[str]]:
        """The paths whose weights are ranked together."""
        by_layer: dict[Any, list[str]] = {}
        for item in self.dense.prunables:
            by_layer.setdefault(None if self.share.rule == "global" else item.within, []).append(item.path)
        yield from by_layer.values()

    def _count(self, group: Sequence[str], sparsity: float) -> int:
        return pruned_count(sparsity, sum(self.dense.values[path].size for path in group))

    def _all_kept(self) -> Masks:
        return {path: np.ones(value.shape, np.bool_) for path, value in self.dense.values.items()}

    def _done(self, level: int, levels: Sequence[float]) -> None:
        if self.on_level is not None:
            self.on_level(level + 1, len(levels))


def check_together(convention: Convention, share: Allocation, grain: Granularity) -> None:
    """Make sure that a convention goes with an allocation and a granularity.

    Raises:
        UnknownNameError: it does not.
    """
    if convention.ties == "matlab" and not _is_plain(share, grain):
        raise UnknownNameError(
            f"convention={convention.name!r} prunes single weights with scope='global' or 'layer'. Use "
            "convention='paper' for granularities, limits and other allocations."
        )


def _is_plain(share: Allocation, grain: Granularity) -> bool:
    """Whether single weights go by one ranking, or one a layer: then one number a weight says it all."""
    return grain.kind == "weight" and share.rule in ("global", "layer") and not share.is_limited
