"""8-bit numbers: q stands for scale * (q - zero_point)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """How 8-bit numbers stand for real ones.

    Attributes:
        factor: the distance between two neighbours.
        zero_point: the 8-bit number that stands for 0.
    """

    factor: float
    zero_point: int

    def quantize(self, values: NDArray[Any]) -> NDArray[np.int8]:
        """Real numbers as 8-bit ones, those beyond the ends at the ends."""
        found = np.round(np.asarray(values, np.float64) / self.factor) + self.zero_point
        return np.clip(found, -128, 127).astype(np.int8)

    def dequantize(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What 8-bit numbers stand for."""
        return self.factor * (np.asarray(values, np.float64) - self.zero_point)


PROBABILITY = Scale(1 / 256, -128)
"""That of softmax and sigmoid."""
SIGNED = Scale(1 / 128, 0)
"""That of tanh."""
EVERY = np.arange(-128, 128)
"""All 8-bit numbers."""


def scale_of(found: Range) -> Scale:
    """The scale for a range, with a number for exactly 0, as LiteRT chooses it."""
    low, high = float(np.float32(min(found[0], 0.0))), float(np.float32(max(found[1], 0.0)))
    factor = (high - low) / 255 or 1.0
    from_low = -128 - low / factor
    return Scale(factor, int(np.clip(math.floor(from_low + 0.5), -128, 127)))


def fixed_point(factor: float) -> tuple[int, int]:
    """A factor as multiplier / 2^31 * 2^shift, with 31 bits."""
    if factor == 0:
        return 0, 0
    fraction, shift = math.frexp(factor)
    multiplier = round(fraction * (1 << 31))
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    if shift < -31:
        return 0, 0
    return multiplier, min(shift, 30)
