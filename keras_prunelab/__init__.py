"""Prune any built Keras 3 model, on TensorFlow, JAX or torch.

Names are imported when they are first used: the errors need no Keras, nor does the command line's help.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ._errors import (
    InvalidDataError,
    InvalidMaskError,
    InvalidModelError,
    InvalidSparsityError,
    MissingBackendError,
    NothingToPruneError,
    NoTradeOffError,
    PruneLabError,
    UnknownNameError,
)

if TYPE_CHECKING:
    from . import _scores as scores
    from ._conventions import Convention
    from ._masks import MaskSet
    from ._oneshot import prune, sparsity
    from ._prunable import Prunable, Prunables, prunable
    from ._trajectory import Trajectory, trajectory
    from .report import report, save_plots
    from .sweep import Choice, SweepResult, sweep

__all__ = [
    "Choice",
    "Convention",
    "InvalidDataError",
    "InvalidMaskError",
    "InvalidModelError",
    "InvalidSparsityError",
    "MaskSet",
    "MissingBackendError",
    "NoTradeOffError",
    "NothingToPruneError",
    "Prunable",
    "Prunables",
    "PruneLabError",
    "SweepResult",
    "Trajectory",
    "UnknownNameError",
    "prunable",
    "prune",
    "report",
    "save_plots",
    "scores",
    "sparsity",
    "sweep",
    "trajectory",
]

_HOMES = {
    "Choice": "sweep",
    "Convention": "_conventions",
    "MaskSet": "_masks",
    "Prunable": "_prunable",
    "Prunables": "_prunable",
    "SweepResult": "sweep",
    "Trajectory": "_trajectory",
    "prunable": "_prunable",
    "prune": "_oneshot",
    "report": "report",
    "save_plots": "report",
    "scores": "_scores",
    "sparsity": "_oneshot",
    "sweep": "sweep",
    "trajectory": "_trajectory",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    importlib.import_module("._backend", __name__)  # says what to install where Keras has no backend
    home = importlib.import_module(f".{_HOMES[name]}", __name__)
    value = home if name == "scores" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps `keras_prunelab.sweep` the function when Python imports the package `keras_prunelab.sweep`."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
