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


class LevelMasks(Protocol):
    """Masks at levels 0, 1, ..."""

    def masks(self, level: int) -> MaskSet: ...
    def zeros(self, level: int) -> int: ...


@dataclass(frozen=True)
class NestedMasks:
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
class PackedMasks:
    """Masks that need not be nested: one bit a weight and level."""

    shapes: Mapping[str, tuple[int, ...]]
    bits: Sequence[NDArray[np.uint8]]
    gone: Sequence[int]

    @classmethod
    def pack(cls, levels: Iterable[MaskSet]) -> PackedMasks:
        """Pack masks as they come."""
        shapes: dict[str, tuple[int, ...]] = {}
        bits, gone = [], []
        for masks in levels:
            shapes = masks.shapes
            bits.append(masks.packed())
            gone.append(masks.zeros)
        return cls(shapes, bits, gone)

    def masks(self, level: int) -> MaskSet:
        return MaskSet.unpacked(self.shapes, self.bits[level])

    def zeros(self, level: int) -> int:
        return self.gone[level]
