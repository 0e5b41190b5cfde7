"""Where the masks and networks behind the points of a curve come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidMaskError, InvalidModelError
from keras_prunelab._select._masks import MaskSet

if TYPE_CHECKING:
    import keras

NOT_KEPT = (
    "The network of this point is not at hand: those of several rounds of training are not kept, and files and copies "
    "hold no network. Prune the model with these options again."
)
"""What a source says that has no network."""


class MaskSource(Protocol):
    """What gives the masks of one curve."""

    def masks(self, level: float, /) -> MaskSet:
        """The masks at a level that was asked for."""

    def applied(self, level: float, /) -> MaskSet:
        """The masks with all that goes with a channel, ready to be applied."""

    def network(self, level: float, /) -> keras.Model:
        """The network that was measured at a level.

        Raises:
            InvalidModelError: it is not at hand.
        """


@dataclass(frozen=True)
class TrainedMasks:
    """The masks of a curve that was pruned while it was trained: one bit a weight and level."""

    shapes: Mapping[str, tuple[int, ...]]
    bits: Mapping[float, NDArray[np.uint8]] = field(repr=False)

    def masks(self, level: float, /) -> MaskSet:
        """The masks at a level."""
        return MaskSet.unpacked(self.shapes, self.bits[level])

    def applied(self, level: float, /) -> MaskSet:
        """The same masks: biases and normalizations were trained on."""
        return self.masks(level)

    def network(self, _level: float, /) -> keras.Model:
        """Refuse: what was trained is not kept."""
        raise InvalidModelError(NOT_KEPT)


@dataclass(frozen=True)
class CopiedMasks:
    """The masks of a curve in a copied or pickled result, which has no network: as they are and as they are applied."""

    plain: TrainedMasks
    complete: TrainedMasks

    @classmethod
    def of(cls, source: MaskSource, levels: Iterable[float]) -> CopiedMasks:
        """The masks of a source at some levels."""
        levels = list(levels)
        return cls(*(_packed({level: of(level) for level in levels}) for of in (source.masks, source.applied)))

    def masks(self, level: float, /) -> MaskSet:
        """The masks at a level."""
        return self.plain.masks(level)

    def applied(self, level: float, /) -> MaskSet:
        """The masks with all that goes with a channel."""
        return self.complete.masks(level)

    def network(self, _level: float, /) -> keras.Model:
        """Refuse: copies hold no network."""
        raise InvalidModelError(NOT_KEPT)


def _packed(masks: Mapping[float, MaskSet]) -> TrainedMasks:
    shapes = next((each.shapes for each in masks.values()), {})
    return TrainedMasks(shapes, {level: each.packed() for level, each in masks.items()})


@dataclass(frozen=True)
class NoMasks:
    """Stands for the masks of a curve in a result that was loaded without them."""

    path: str = field(repr=False)

    def masks(self, level: float, /) -> MaskSet:
        """Say where masks come from.

        Raises:
            InvalidMaskError: always.
        """
        raise InvalidMaskError(
            f"{self.path!r} holds what was measured, not the masks; sweep the model again, or prune it to the level: "
            f"keras_prunelab.prune(model, {level:g}, score)."
        )

    applied = masks

    def network(self, _level: float, /) -> keras.Model:
        """Refuse: files hold no network."""
        raise InvalidModelError(NOT_KEPT)
