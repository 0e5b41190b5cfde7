"""What a trace will cost, before it begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras

from . import _blocked, _trace
from ._method import TRACE_BUDGET
from ._rules import maps_of
from ._statistics import find_layers, matrix_bytes
from ._threads import cores

_RATE = 1e10  # multiply-adds a second on a core of a few years ago, as traces of 1,000 to 3,000 inputs reach them
_STEP = 1.5e-4  # seconds that Python takes for a step, however small


@dataclass(frozen=True)
class Estimate:
    """What the traces of some layers cost.

    Attributes:
        layers: how many there are.
        passes: how many of them are beyond the budget, and are ranked by a pass.
        multiply_adds: of all.
        seconds: on an idle machine like this one, give or take a factor of two.
        bytes: for the matrices of all layers, and for the largest trace.
    """

    layers: int
    passes: int
    multiply_adds: float
    seconds: float
    bytes: int

    @classmethod
    def of(cls, layers: Iterable[Any], budget: float = TRACE_BUDGET) -> Estimate:
        """Estimate the work.

        Args:
            layers: those that have linear maps.
            budget: in multiply-adds, for each matrix.
        """
        several = list(layers)
        passes, work, seconds, most = 0, 0.0, 0.0, 0
        for layer in several:
            for problems, inputs, outputs in (each.places.shape for each in maps_of(layer)):
                own = _trace.multiply_adds(inputs, outputs)
                if own > budget:
                    passes += 1
                    own = _blocked.multiply_adds(inputs, outputs)
                    most = max(most, 8 * inputs * inputs)
                else:
                    seconds += problems * inputs * _trace.rounds(inputs, outputs) * _STEP
                    most = max(most, _trace.memory(inputs, outputs))
                work += problems * own
        seconds += work / (_RATE * cores())
        return cls(len(several), passes, work, seconds, sum(map(matrix_bytes, several)) + most)

    def __str__(self) -> str:
        several = "1 layer" if self.layers == 1 else f"{self.layers} layers"
        how = f", {self.passes} of them by a pass" if self.passes else ""
        long = f"{self.seconds:.0f} s" if self.seconds < 100 else f"{self.seconds / 60:.0f} min"
        return (
            f"traces of {several}{how}: {self.multiply_adds:.1e} multiply-adds, about {long} on {cores()} idle cores, "
            f"{self.bytes / 2**30:.1f} GiB"
        )


def estimate(model: keras.Model, budget: float = TRACE_BUDGET) -> Estimate:
    """Estimate what the traces of all layers of a built model cost."""
    return Estimate.of(find_layers(model)[0], budget)
