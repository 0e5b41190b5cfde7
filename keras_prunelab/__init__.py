"""Prune any built Keras 3 model, on TensorFlow, JAX or torch.

Names are imported when they are first used: the errors need no Keras, nor does the command line's help.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._errors import (
    DiskFullError,
    InvalidDataError,
    InvalidMaskError,
    InvalidModelError,
    InvalidScheduleError,
    InvalidSparsityError,
    MissingBackendError,
    NotEquivalentError,
    NothingToPruneError,
    NoTradeOffError,
    OverwriteError,
    PruneLabError,
    PruningWarning,
    StoreMismatchError,
    SweepStoppedError,
    UnknownNameError,
)

if TYPE_CHECKING:
    from . import callbacks, layers, schedules, scores
    from ._allocation import Allocation
    from ._conventions import Convention
    from ._masks import MaskSet
    from ._oneshot import prune, sparsity
    from ._prunable import prunable
    from ._report import report, save_plots
    from ._structured import (
        Compaction,
        Metrics,
        PerChannelRule,
        compact,
        compaction,
        complete_channels,
        export_litert,
        fuse,
        latency,
        load_sparse,
        metrics,
        recalibrate,
        register_rule,
        remove_filters,
        save_sparse,
    )
    from ._sweep import AutoLevels, Choice, FineTune, SweepPlan, SweepResult, plan_sweep, sweep
    from ._trajectory import Trajectory, trajectory
    from ._variables import Prunable, Prunables

__all__ = [
    "Allocation",
    "AutoLevels",
    "Choice",
    "Compaction",
    "Convention",
    "DiskFullError",
    "FineTune",
    "InvalidDataError",
    "InvalidMaskError",
    "InvalidModelError",
    "InvalidScheduleError",
    "InvalidSparsityError",
    "MaskSet",
    "Metrics",
    "MissingBackendError",
    "NoTradeOffError",
    "NotEquivalentError",
    "NothingToPruneError",
    "OverwriteError",
    "PerChannelRule",
    "Prunable",
    "Prunables",
    "PruneLabError",
    "PruningWarning",
    "StoreMismatchError",
    "SweepPlan",
    "SweepResult",
    "SweepStoppedError",
    "Trajectory",
    "UnknownNameError",
    "callbacks",
    "compact",
    "compaction",
    "complete_channels",
    "export_litert",
    "fuse",
    "latency",
    "layers",
    "load_sparse",
    "metrics",
    "plan_sweep",
    "prunable",
    "prune",
    "recalibrate",
    "register_rule",
    "remove_filters",
    "report",
    "save_plots",
    "save_sparse",
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
    "Compaction": "_structured",
    "Convention": "_conventions",
    "FineTune": "_sweep",
    "MaskSet": "_masks",
    "Metrics": "_structured",
    "PerChannelRule": "_structured",
    "Prunable": "_prunable",
    "Prunables": "_prunable",
    "SweepPlan": "_sweep",
    "SweepResult": "_sweep",
    "Trajectory": "_trajectory",
    "callbacks": "callbacks",
    "compact": "_structured",
    "compaction": "_structured",
    "complete_channels": "_structured",
    "export_litert": "_structured",
    "fuse": "_structured",
    "latency": "_structured",
    "layers": "layers",
    "load_sparse": "_structured",
    "metrics": "_structured",
    "plan_sweep": "_sweep",
    "prunable": "_prunable",
    "prune": "_oneshot",
    "recalibrate": "_structured",
    "register_rule": "_structured",
    "remove_filters": "_structured",
    "report": "_report",
    "save_plots": "_report",
    "save_sparse": "_structured",
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
