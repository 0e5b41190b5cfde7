"""Schedules: which sparsity is in force at a step of training."""

from __future__ import annotations

from ._base import Schedule, check_frequency
from ._constant import Constant, OneShot
from ._gradual import Cosine, Exponential, Polynomial
from ._registry import ScheduleLike, deserialize, get, register, serialize
from ._rounds import Iterative, Piecewise
from ._step import Step, StepLike

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "Iterative",
    "OneShot",
    "Piecewise",
    "Polynomial",
    "Schedule",
    "ScheduleLike",
    "Step",
    "StepLike",
    "check_frequency",
    "deserialize",
    "get",
    "register",
    "serialize",
]
