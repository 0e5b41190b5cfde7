"""The masks of many levels, held in little memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ._masks import MaskSet
from ._removal import Levels

_CHUNK = 1 << 20


class LevelMasks(Protocol):
    """Masks at levels 0, 1, ..."""

    def masks(self, level: int) -> MaskSet: ...
    def zeros(self, level: int) -> Mapping[str, int]: ...  # by variable


@dataclass(frozen=True)
class NestedMasks:
    """Masks of which each keeps a part of what the one before it kept: one number a weight says it all."""

    removal: Mapping[str, Levels]  # the level at which a weight goes

    def masks(self, level: int) -> MaskSet:
        return MaskSet({path: gone_at > level for path, gone_at in self.removal.items()})

    def zeros(self, level: int) -> Mapping[str, int]:
        return {path: int(counts[level]) for path, counts in self._gone.items()}

    @cached_property
    def _gone(self) -> dict[str, NDArray[np.int64]]:
        """How many weights of each variable are pruned at each level."""
        return {path: np.cumsum(_count(gone_at.reshape(-1))) for path, gone_at in self.removal.items()}


def _count(levels: Levels) -> NDArray[np.int64]:
    # By parts, because counting turns them into numbers of eight bytes.
    counts = np.zeros(np.iinfo(levels.dtype).max + 1, np.int64)
    for start in range(0, levels.size, _CHUNK):
        counts += np.bincount(levels[start : start + _CHUNK], minlength=counts.size)
    return counts


@dataclass(frozen=True)
class PackedMasks:
    """Masks that need not be nested: one bit a weight and level."""

    shapes: Mapping[str, tuple[int, ...]]
    bits: Sequence[NDArray[np.uint8]]
    pruned: Sequence[Mapping[str, int]]

    @classmethod
    def pack(cls, levels: Iterable[MaskSet]) -> PackedMasks:
        """Pack masks as they come."""
        shapes: dict[str, tuple[int, ...]] = {}
        bits, pruned = [], []
        for masks in levels:
            shapes = masks.shapes
            bits.append(masks.packed())
            pruned.append(masks.zeros_by_variable())
        return cls(shapes, bits, pruned)

    def masks(self, level: int) -> MaskSet:
        return MaskSet.unpacked(self.shapes, self.bits[level])

    def zeros(self, level: int) -> Mapping[str, int]:
        return self.pruned[level]
