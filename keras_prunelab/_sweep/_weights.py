"""A model's weights with masks on them: changed as little as each next set of masks needs, and put back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import protect
from keras_prunelab._model._variables import Prunable
from keras_prunelab._select._masks import Masks
from keras_prunelab._util._arrays import mask_with


class MaskedWeights:
    """A model's weights with masks on them.

    Args:
        prunables: the variables that masks are for, with the values that masks are put on.
    """

    def __init__(self, prunables: Iterable[Prunable]) -> None:
        self._dense: dict[str, tuple[Any, NDArray[Any]]] = {
            item.path: (item.variable, protect(item.variable)) for item in prunables
        }
        self._applied: dict[str, NDArray[np.bool_]] = {}

    def apply(self, masks: Masks) -> None:
        """Put zeros where the masks have them, and the dense weights everywhere else."""
        for path, mask in masks.items():
            before = self._applied.get(path)
            if mask.all() if before is None else np.array_equal(mask, before):
                continue
            variable, dense = self._dense[path]
            self._applied[path] = mask  # noted first: an interrupted assignment is put back as well
            variable.assign(mask_with(dense, mask))

    def restore(self) -> None:
        """Put back every weight that was changed."""
        for path in self._applied:
            variable, dense = self._dense[path]
            variable.assign(dense)
        self._applied = {}
