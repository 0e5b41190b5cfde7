"""Schedules: which sparsity is in force at a step of training."""

from __future__ import annotations

from ._base import Schedule
from ._base import check_frequency as check_frequency  # for the package, not for its users
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
    "deserialize",
    "get",
    "register",
    "serialize",
]
