"""Every error that keras_prunelab raises on purpose, in one tree.

PruneLabError
├── InvalidSparsityError (ValueError)      a sparsity outside [0, 1), or levels that are none
├── InvalidScheduleError (ValueError)      a schedule that ends before it begins, or goes down
├── InvalidModelError (ValueError)         not built, or weights that are not finite
├── NothingToPruneError (ValueError)       no variable is left to prune
├── InvalidMaskError (ValueError)          masks that do not fit their model
├── InvalidDataError (ValueError)          data of the wrong shape, or missing where a score needs it
├── UnknownNameError (ValueError)          a score, scope or convention that does not exist
├── NotEquivalentError (ValueError)        a smaller model that would compute something else
├── NoTradeOffError (ValueError)           no point of a sweep meets the condition
├── StoreMismatchError (ValueError)        a store or file of results that belongs to another sweep, or is none
├── OverwriteError (ValueError)            a file to write that is one which the result is made from
├── DiskFullError (OSError)                no room for a result, or for a point of a sweep in its store
├── SweepStoppedError (RuntimeError)       a sweep that broke off; its `result` has the points until then
└── MissingBackendError (ImportError)      Keras has no backend installed

PruningWarning (UserWarning)               training goes on, but does not do what its schedule says
"""

from __future__ import annotations

from typing import Any

from ._text import visible


class PruneLabError(Exception):
    """The root of every error that `keras_prunelab` raises on purpose."""

    def __str__(self) -> str:
        # A message holds names from files, and goes to terminals.
        return visible(super().__str__())


class InvalidSparsityError(PruneLabError, ValueError):
    """A sparsity outside [0, 1), or a list of levels that is none."""


class InvalidScheduleError(PruneLabError, ValueError):
    """A schedule that ends before it begins, goes down, or counts epochs of unknown length."""


class InvalidModelError(PruneLabError, ValueError):
    """A model that is not built, or whose weights are not finite."""


class NothingToPruneError(PruneLabError, ValueError):
    """The model has no prunable variable, or the filters leave none."""


class InvalidMaskError(PruneLabError, ValueError):
    """Masks that do not fit the model they are applied to."""


class InvalidDataError(PruneLabError, ValueError):
    """Data of the wrong shape, or missing where a score or a sweep needs it."""


class UnknownNameError(PruneLabError, ValueError):
    """A score, scope, convention or other choice that does not exist."""


class NotEquivalentError(PruneLabError, ValueError):
    """A smaller model that would compute something else than the whole one."""


class NoTradeOffError(PruneLabError, ValueError):
    """No point of a sweep meets the condition."""


class StoreMismatchError(PruneLabError, ValueError):
    """A store of a sweep that was made for other weights, data or settings, or a file that is none."""


class OverwriteError(PruneLabError, ValueError):
    """A file to write that is one of those which the result is made from."""


class DiskFullError(PruneLabError, OSError):
    """The disk has no room for a result."""


class SweepStoppedError(PruneLabError, RuntimeError):
    """A sweep broke off: a worker process was ended, the disk is full, or measuring failed.

    Attributes:
        result: the points that were measured until then, a `SweepResult` with `complete=False`; None where the dense
            network was not measured either.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class MissingBackendError(PruneLabError, ImportError):
    """Keras has no backend: neither TensorFlow, JAX nor torch is installed."""


class PruningWarning(UserWarning):
    """Training goes on, but prunes less than its schedule says, or takes all weights of a layer."""
