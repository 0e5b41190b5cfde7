"""A check that masks hold while a model is trained: an optimizer that was not found would move pruned weights."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import read
from keras_prunelab._errors import InvalidModelError
from keras_prunelab._model._optimizers import find_updating, leaves_of
from keras_prunelab._model._variables import Prunable, Prunables
from keras_prunelab._select._masks import MaskSet

_ADVICE = (
    "Something that the callback does not know updates it: an optimizer that the model does not hold, or a step that "
    "was traced before training began. Name every Keras optimizer that trains the model with optimizers=[...], and "
    "trace steps of your own after on_train_begin. For other optimizers, such as those of torch.optim, wrap the model "
    "with keras_prunelab.layers.wrap(model, sparsity): its masks hold whatever trains it."
)


class Oversight:
    """Looks at prunable variables before and after some steps.

    That nothing moved is no fault: a learning rate may warm up from zero, gradients accumulate, a step with infinite
    gradients be skipped, two networks take turns.

    Args:
        found: the variables.
        optimizers: the optimizers that are known to train them.
        masks: gives the masks in force, where what they prune has to be zero at the end of each step.
    """

    def __init__(self, found: Prunables, optimizers: Sequence[Any], masks: Callable[[], MaskSet] | None = None) -> None:
        self._found = found
        self._leaves = leaves_of(optimizers)
        self._masks = masks
        self._before: dict[str, tuple[int, int]] = {}

    def begin(self) -> None:
        """Remember the variables, and the steps that their optimizers have made."""
        self._before = {item.path: self._seen(item) for item in self._found}

    def forget(self) -> None:
        """Remember nothing: the callback itself has written the variables."""
        self._before = {}

    def check(self) -> None:
        """Compare with what was remembered, and look for pruned weights that are not zero.

        Raises:
            InvalidModelError: a pruned weight is not zero, or a variable moved while its optimizers made no step.
        """
        self.check_zeros()
        for item in self._found:
            if item.path not in self._before or _moves_by_itself(item):
                continue
            (was, made), (now, since) = self._before[item.path], self._seen(item)
            if now != was and since == made:
                raise InvalidModelError(
                    f"{item.path!r} was trained, but no optimizer that the callback knows has made a step. {_ADVICE}"
                )

    def check_zeros(self) -> None:
        """Look for pruned weights that are not zero.

        Raises:
            InvalidModelError: there is one.
        """
        if self._masks is None:
            return
        masks = self._masks()
        for item in self._found:
            value = read(item.variable)
            astray = (value != 0) & ~masks[item.path]
            # Gradients that are not finite go through any mask: that training is lost, and says so by itself.
            moved = np.count_nonzero(np.isfinite(value[astray])) if astray.any() else 0
            if moved:
                raise InvalidModelError(
                    f"{moved} of the pruned weights of {item.path!r} are not zero after a training step. {_ADVICE}"
                )

    def _seen(self, item: Prunable) -> tuple[int, int]:
        """A checksum of a variable, and the steps that its optimizers have made; a built one may have been added."""
        steps = sum(int(read(leaf._iterations)) for leaf in find_updating(item.variable, self._leaves))
        return zlib.crc32(np.ascontiguousarray(read(item.variable)).view(np.uint8).reshape(-1).data), steps


def _moves_by_itself(item: Prunable) -> bool:
    """Whether a layer writes its kernel while it runs."""
    return any(isinstance(layer, keras.layers.SpectralNormalization) for layer in item.containers)
