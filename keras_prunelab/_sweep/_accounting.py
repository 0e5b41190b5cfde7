"""What is left of a network at a point: weights, storage and multiply-adds, by stated conventions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_prunelab._model._variables import Prunables
from keras_prunelab._result._outline import Outline
from keras_prunelab._util._storage import sparse_bytes, width

if TYPE_CHECKING:
    import keras

COUNTS = ["zeros", "kept", "total", "compression_ratio", "speedup", "bytes"]
"""The columns of `Accounting.row`."""


@dataclass(frozen=True)
class Accounting:
    """Counts what is left of a network.

    Attributes:
        sizes: the number of weights of each prunable variable, by path.
        widths: the bytes of one weight of it.
        uses: in how many multiply-adds one weight of it takes part for one observation; 0 where that is unknown.
        other_parameters: the number of weights that are not prunable.
        other_bytes: what these take.
        macs: the multiply-adds of the dense network, of all layers in which they can be counted.
    """

    sizes: Mapping[str, int]
    widths: Mapping[str, int]
    uses: Mapping[str, int]
    other_parameters: int
    other_bytes: int
    macs: int

    @classmethod
    def of(cls, model: keras.Model, prunables: Prunables, outline: Outline) -> Accounting:
        """Prepare to count for a model whose variables are pruned."""
        pruned = {id(item.variable) for item in prunables}
        others = [weight for weight in model.weights if id(weight) not in pruned]
        counted = [layer for layer in outline.layers if all(each.uses is not None for each in layer.variables)]
        uses = {each.path: each.uses or 0 for layer in counted for each in layer.variables}
        return cls(
            sizes={item.path: item.size for item in prunables},
            widths={item.path: width(item.variable.dtype) for item in prunables},
            uses=uses,
            other_parameters=sum(math.prod(weight.shape) for weight in others),
            other_bytes=sum(math.prod(weight.shape) * width(weight.dtype) for weight in others),
            macs=sum((each.uses or 0) * each.size for layer in counted for each in layer.variables),
        )

    @property
    def total(self) -> int:
        """The number of prunable weights."""
        return sum(self.sizes.values())

    def row(self, zeros: Mapping[str, int]) -> dict[str, object]:
        """The columns of a point.

        Args:
            zeros: how many weights of each variable are zero.
        """
        zero = sum(zeros.values())
        parameters = self.total + self.other_parameters
        macs = self.macs - sum(self.uses.get(path, 0) * count for path, count in zeros.items())
        return {
            "zeros": zero,
            "kept": self.total - zero,
            "total": self.total,
            "compression_ratio": parameters / (parameters - zero) if parameters > zero else math.inf,
            "speedup": (self.macs / macs if macs else math.inf) if self.macs else math.nan,
            "bytes": self.other_bytes + sum(self._bytes(path, zeros.get(path, 0)) for path in self.sizes),
        }

    def _bytes(self, path: str, zeros: int) -> int:
        return sparse_bytes(self.sizes[path], self.sizes[path] - zeros, self.widths[path])
