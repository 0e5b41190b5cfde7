"""8-bit numbers, of which q stands for factor * (q - zero_point), and the weights that are multiplied by them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Range = tuple[float, float]

_LARGEST_BIAS = 1 << 30
"""The largest bias of an 8-bit network, so that its sums stay within 32 bits."""


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
"""The scale of softmax and sigmoid."""
SIGNED = Scale(1 / 128, 0)
"""The scale of tanh."""
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


def quantized_weights(weights: Array, bias: Array, scale: Scale) -> tuple[Array, Array, Array]:
    """Weights as 8-bit numbers, each output with a factor of its own.

    Args:
        weights: outputs x inputs; zeros stay zeros.
        bias: one number an output. An output whose weights are all zero gets the factor that its bias needs.
        scale: that of the inputs.

    Returns:
        The weights in 8 bits, the bias in 32 bits, and for each output the real number that a sum of 1 stands for.
    """
    factors = np.abs(weights.astype(np.float64)).max(axis=1, initial=0.0) / 127
    factors = np.maximum(factors, np.abs(bias.astype(np.float64)) / (scale.factor * _LARGEST_BIAS))
    factors[factors == 0] = 1.0
    found = np.clip(np.round(weights / factors[:, None]), -127, 127).astype(np.int8)
    return found, np.round(bias / (scale.factor * factors)).astype(np.int32), np.asarray(scale.factor * factors)


def without_zero_point(weights: Array, bias: Array, scale: Scale) -> Array:
    """The bias less what the zero point of the inputs adds, so that weights multiply 8-bit inputs as they are."""
    return np.asarray(bias - scale.zero_point * weights.astype(np.int64).sum(axis=1)).astype(np.int32)


def limits(scale: Scale, ends: tuple[float, float]) -> tuple[int, int]:
    """The 8-bit numbers between which outputs stay; an end may be infinite."""
    low, high = (int(scale.quantize(np.array(end))) for end in ends)
    return low, high
