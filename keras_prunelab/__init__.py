"""Prune any built Keras 3 model, on TensorFlow, JAX or torch.

Names are imported when they are first used: the errors need no Keras, nor does the command line's help.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._errors import (
    InvalidDataError,
    InvalidMaskError,
    InvalidModelError,
    InvalidScheduleError,
    InvalidSparsityError,
    MissingBackendError,
    NothingToPruneError,
    NoTradeOffError,
    PruneLabError,
    StoreMismatchError,
    UnknownNameError,
)

if TYPE_CHECKING:
    from . import callbacks, layers, schedules, scores
    from ._allocation import Allocation
    from ._conventions import Convention
    from ._masks import MaskSet
    from ._oneshot import prune, sparsity
    from ._prunable import Prunable, Prunables, prunable
    from ._report import report, save_plots
    from ._sweep import AutoLevels, Choice, FineTune, SweepPlan, SweepResult, plan_sweep, sweep
    from ._trajectory import Trajectory, trajectory

__all__ = [
    "Allocation",
    "AutoLevels",
    "Choice",
    "Convention",
    "FineTune",
    "InvalidDataError",
    "InvalidMaskError",
    "InvalidModelError",
    "InvalidScheduleError",
    "InvalidSparsityError",
    "MaskSet",
    "MissingBackendError",
    "NoTradeOffError",
    "NothingToPruneError",
    "Prunable",
    "Prunables",
    "PruneLabError",
    "StoreMismatchError",
    "SweepPlan",
    "SweepResult",
    "Trajectory",
    "UnknownNameError",
    "callbacks",
    "layers",
    "plan_sweep",
    "prunable",
    "prune",
    "report",
    "save_plots",
    "schedules",
    "scores",
    "sparsity",
    "sweep",
    "trajectory",
]

_HOMES = {
    "Allocation": "_allocation",
    "AutoLevels": "_sweep",
    "Choice": "_sweep",
    "Convention": "_conventions",
    "FineTune": "_sweep",
    "MaskSet": "_masks",
    "Prunable": "_prunable",
    "Prunables": "_prunable",
    "SweepPlan": "_sweep",
    "SweepResult": "_sweep",
    "Trajectory": "_trajectory",
    "callbacks": "callbacks",
    "layers": "layers",
    "plan_sweep": "_sweep",
    "prunable": "_prunable",
    "prune": "_oneshot",
    "report": "_report",
    "save_plots": "_report",
    "schedules": "schedules",
    "scores": "scores",
    "sparsity": "_oneshot",
    "sweep": "_sweep",
    "trajectory": "_trajectory",
}

_NAMESPACES = ("callbacks", "layers", "schedules", "scores")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    importlib.import_module("._backend", __name__)  # says what to install where Keras has no backend
    home = importlib.import_module(f".{_HOMES[name]}", __name__)
    value = home if name in _NAMESPACES else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
