"""Prune any built Keras 3 model, on TensorFlow, JAX or torch.

Names are imported when they are first used: the errors need no Keras, nor does the command line's help.
"""

from __future__ import annotations

import importlib
import warnings
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
    from keras_prunelab import callbacks, layers, schedules, scores

    from ._channels.rules._per_channel import PerChannelRule
    from ._channels.rules._registry import register_rule
    from ._compaction._compact import Compaction, compact, compaction
    from ._compaction._complete import complete_channels
    from ._compaction._fuse import fuse
    from ._compaction._lengths import fix_lengths
    from ._compaction._recalibrate import recalibrate
    from ._compaction._remove import remove_filters
    from ._cost._deployment import Deployment, deployment
    from ._cost._latency import latency
    from ._cost._metrics import Metrics, metrics
    from ._evaluate._evaluate_file import FileEvaluation, evaluate_file
    from ._export._c._export import CHeader, export_c
    from ._export._litert import LitertExport, export_litert
    from ._export._sparse_file import load_sparse, save_sparse
    from ._export._sparse_onnx import SparseOnnx, sparsify_onnx
    from ._model._prunable import prunable
    from ._model._variables import Prunable, Prunables
    from ._prune._oneshot import prune, sparsity
    from ._prune._trajectory import Trajectory, trajectory
    from ._reconstruct._reconstruct import reconstruct
    from ._reconstruct._rules import LinearRule, register_linear_rule
    from ._reconstruct._solved import Reconstruction, SolvedMap
    from ._report._plots import export_plots
    from ._report._report import report
    from ._result._choice import Choice
    from ._result._result import SweepResult
    from ._select._allocation import Allocation
    from ._select._conventions import Convention
    from ._select._masks import MaskSet
    from ._sweep._finetune import FineTune
    from ._sweep._planned import SweepPlan, plan_sweep
    from ._sweep._refine import AutoLevels
    from ._sweep._sweep import sweep

__all__ = [
    "Allocation",
    "AutoLevels",
    "CHeader",
    "Choice",
    "Compaction",
    "Convention",
    "Deployment",
    "DiskFullError",
    "FileEvaluation",
    "FineTune",
    "InvalidDataError",
    "InvalidMaskError",
    "InvalidModelError",
    "InvalidScheduleError",
    "InvalidSparsityError",
    "LinearRule",
    "LitertExport",
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
    "Reconstruction",
    "SolvedMap",
    "SparseOnnx",
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
    "deployment",
    "evaluate_file",
    "export_c",
    "export_litert",
    "export_plots",
    "fix_lengths",
    "fuse",
    "latency",
    "layers",
    "load_sparse",
    "metrics",
    "plan_sweep",
    "prunable",
    "prune",
    "recalibrate",
    "reconstruct",
    "register_linear_rule",
    "register_rule",
    "remove_filters",
    "report",
    "save_sparse",
    "schedules",
    "scores",
    "sparsify_onnx",
    "sparsity",
    "sweep",
    "trajectory",
]

_HOMES = {
    "Allocation": "_select._allocation",
    "AutoLevels": "_sweep._refine",
    "CHeader": "_export._c._export",
    "Choice": "_result._choice",
    "Compaction": "_compaction._compact",
    "Convention": "_select._conventions",
    "Deployment": "_cost._deployment",
    "FileEvaluation": "_evaluate._evaluate_file",
    "FineTune": "_sweep._finetune",
    "LinearRule": "_reconstruct._rules",
    "LitertExport": "_export._litert",
    "MaskSet": "_select._masks",
    "Metrics": "_cost._metrics",
    "PerChannelRule": "_channels.rules._per_channel",
    "Prunable": "_model._variables",
    "Prunables": "_model._variables",
    "Reconstruction": "_reconstruct._solved",
    "SolvedMap": "_reconstruct._solved",
    "SparseOnnx": "_export._sparse_onnx",
    "SweepPlan": "_sweep._planned",
    "SweepResult": "_result._result",
    "Trajectory": "_prune._trajectory",
    "callbacks": "callbacks",
    "compact": "_compaction._compact",
    "compaction": "_compaction._compact",
    "complete_channels": "_compaction._complete",
    "deployment": "_cost._deployment",
    "evaluate_file": "_evaluate._evaluate_file",
    "export_c": "_export._c._export",
    "export_litert": "_export._litert",
    "export_plots": "_report._plots",
    "fix_lengths": "_compaction._lengths",
    "fuse": "_compaction._fuse",
    "latency": "_cost._latency",
    "layers": "layers",
    "load_sparse": "_export._sparse_file",
    "metrics": "_cost._metrics",
    "plan_sweep": "_sweep._planned",
    "prunable": "_model._prunable",
    "prune": "_prune._oneshot",
    "recalibrate": "_compaction._recalibrate",
    "reconstruct": "_reconstruct._reconstruct",
    "register_linear_rule": "_reconstruct._rules",
    "register_rule": "_channels.rules._registry",
    "remove_filters": "_compaction._remove",
    "report": "_report._report",
    "save_sparse": "_export._sparse_file",
    "schedules": "schedules",
    "scores": "scores",
    "sparsify_onnx": "_export._sparse_onnx",
    "sparsity": "_prune._oneshot",
    "sweep": "_sweep._sweep",
    "trajectory": "_prune._trajectory",
}

_NAMESPACES = ("callbacks", "layers", "schedules", "scores")


_RENAMED = {"save_plots": "export_plots"}
"""Names of version 0.1, which the next release drops."""


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        warnings.warn(f"{__name__}.{name} is called {_RENAMED[name]} now.", DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    importlib.import_module("._backend", __name__)  # says what to install where Keras has no backend
    home = importlib.import_module(f".{_HOMES[name]}", __name__)
    value = home if name in _NAMESPACES else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
